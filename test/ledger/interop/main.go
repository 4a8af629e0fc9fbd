// An independent verifier: Go's own implementation of signed notes and transparent logs reads what Mayfly wrote.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"vendored.example/sumdb/note"
	"vendored.example/sumdb/tlog"
)

type input struct {
	Vkey     string
	Receipts []string
	Older    string   // a checkpoint
	Newer    string   // a checkpoint
	Proof    []string // that the newer only adds to the older, base64
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
	return value
}

func hash(text string) (h tlog.Hash) {
	copy(h[:], must(base64.StdEncoding.DecodeString(text)))
	return h
}

// tree opens a checkpoint: Go's note checks the signature, its tlog.ParseTree only knows its own origin line.
func tree(checkpoint string, verifier note.Verifier) tlog.Tree {
	lines := strings.Split(must(note.Open([]byte(checkpoint), note.VerifierList(verifier))).Text, "\n")
	return tlog.Tree{N: must(strconv.ParseInt(lines[1], 10, 64)), Hash: hash(lines[2])}
}

func hashes(lines []string) (proof []tlog.Hash) {
	for _, line := range lines {
		proof = append(proof, hash(line))
	}
	return proof
}

func main() {
	var in input
	must(0, json.NewDecoder(os.Stdin).Decode(&in))
	verifier := must(note.NewVerifier(in.Vkey))
	for _, receipt := range in.Receipts {
		head, checkpoint, _ := strings.Cut(receipt, "\n\n")
		lines := strings.Split(head, "\n")
		leaf := must(base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra ")))
		index := must(strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64))
		t := tree(checkpoint, verifier)
		must(0, tlog.CheckRecord(tlog.RecordProof(hashes(lines[3:])), t.N, t.Hash, index, tlog.RecordHash(leaf)))
	}
	older, newer := tree(in.Older, verifier), tree(in.Newer, verifier)
	must(0, tlog.CheckTree(tlog.TreeProof(hashes(in.Proof)), newer.N, newer.Hash, older.N, older.Hash))
	fmt.Println("verified", len(in.Receipts), "receipts and one growth")
}
