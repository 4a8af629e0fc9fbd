// An independent verifier of identity tokens, on Go's own cryptography and JSON: what Mayfly accepts, it must accept too.
//
// The first line of its input is its configuration; each further line is a token in base64url. For each token it prints "accepted",
// or why not. It is written from RFC 7515, 7518, 7519 and 8037 alone, and knows nothing of Mayfly's stricter rules.
package main

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"strings"
)

type jwk struct{ Kty, Kid, Alg, Crv, N, E, X, Y string }

type issuer struct {
	Iss        string
	Aud        string
	Algorithms []string
	Keys       []jwk
}

type configuration struct {
	Now     float64 // seconds
	Skew    float64
	Issuers []issuer
}

var raw = base64.RawURLEncoding.Strict()

func number(text string) *big.Int {
	bytes, err := raw.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return new(big.Int).SetBytes(bytes)
}

func object(segment string) (map[string]any, error) {
	bytes, err := raw.DecodeString(segment)
	if err != nil {
		return nil, errors.New("no base64url")
	}
	var members map[string]any
	if json.Unmarshal(bytes, &members) != nil || members == nil {
		return nil, errors.New("no JSON object")
	}
	return members, nil
}

func contains(list []string, wanted string) bool {
	for _, one := range list {
		if one == wanted {
			return true
		}
	}
	return false
}

func holds(key jwk, alg string, input, signature []byte) bool {
	digest := func() []byte { h := crypto.SHA256.New(); h.Write(input); return h.Sum(nil) }
	switch alg {
	case "RS256":
		public := rsa.PublicKey{N: number(key.N), E: int(number(key.E).Int64())}
		return key.Kty == "RSA" && rsa.VerifyPKCS1v15(&public, crypto.SHA256, digest(), signature) == nil
	case "ES256":
		if key.Kty != "EC" || key.Crv != "P-256" || len(signature) != 64 {
			return false
		}
		public := ecdsa.PublicKey{Curve: elliptic.P256(), X: number(key.X), Y: number(key.Y)}
		return ecdsa.Verify(&public, digest(), new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case "EdDSA":
		public, err := raw.DecodeString(key.X)
		return err == nil && key.Crv == "Ed25519" && len(public) == ed25519.PublicKeySize && ed25519.Verify(public, input, signature)
	}
	return false
}

func second(claims map[string]any, name string) (float64, error) {
	value, isNumber := claims[name].(float64)
	if !isNumber || math.IsInf(value, 0) {
		return 0, fmt.Errorf("no %s", name)
	}
	return value, nil
}

func checkTimes(config configuration, claims map[string]any) error {
	exp, err := second(claims, "exp")
	if err != nil {
		return err
	}
	iat, err := second(claims, "iat")
	if err != nil {
		return err
	}
	if exp <= config.Now-config.Skew {
		return errors.New("expired")
	}
	if iat > config.Now+config.Skew {
		return errors.New("issued in the future")
	}
	if _, there := claims["nbf"]; there {
		nbf, err := second(claims, "nbf")
		if err != nil || nbf > config.Now+config.Skew {
			return errors.New("not valid yet")
		}
	}
	return nil
}

func isFor(claims map[string]any, audience string) bool {
	switch aud := claims["aud"].(type) {
	case string:
		return aud == audience
	case []any:
		for _, one := range aud {
			if one == audience {
				return true
			}
		}
	}
	return false
}

func verify(config configuration, token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("not three parts")
	}
	header, err := object(parts[0])
	if err != nil {
		return err
	}
	claims, err := object(parts[1])
	if err != nil {
		return err
	}
	signature, err := raw.DecodeString(parts[2])
	if err != nil {
		return errors.New("no base64url")
	}
	if _, there := header["crit"]; there {
		return errors.New("crit")
	}
	for _, issuer := range config.Issuers {
		if claims["iss"] == issuer.Iss {
			return verifyFor(config, issuer, header, claims, []byte(parts[0]+"."+parts[1]), signature)
		}
	}
	return errors.New("unknown issuer")
}

func verifyFor(config configuration, issuer issuer, header, claims map[string]any, input, signature []byte) error {
	alg, _ := header["alg"].(string)
	if !contains(issuer.Algorithms, alg) {
		return errors.New("algorithm")
	}
	for _, key := range issuer.Keys {
		if key.Kid != header["kid"] || (key.Alg != "" && key.Alg != alg) {
			continue
		}
		if !holds(key, alg, input, signature) {
			return errors.New("signature")
		}
		if sub, isText := claims["sub"].(string); !isText || sub == "" {
			return errors.New("no sub")
		}
		if !isFor(claims, issuer.Aud) {
			return errors.New("audience")
		}
		return checkTimes(config, claims)
	}
	return errors.New("no such key")
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<22)
	lines.Scan()
	var config configuration
	if err := json.Unmarshal(lines.Bytes(), &config); err != nil {
		panic(err)
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		token, err := raw.DecodeString(lines.Text())
		if err == nil {
			err = verify(config, string(token))
		}
		if err == nil {
			fmt.Fprintln(out, "accepted")
		} else {
			fmt.Fprintln(out, err)
		}
	}
}
