import { describe, expect, it } from "vitest";
import { BrokerError } from "../../../src/errors.ts";
import { isOf } from "../../../src/identity/chosen.ts";
import { compileProfiles, issuersSchema } from "../../../src/identity/issuers/issuers.ts";
import { presetNames, presets } from "../../../src/identity/presets/presets.ts";
import type { Profile } from "../../../src/identity/profile.ts";
import { audience, flaws, generic, github, key, spiffe } from "./written.ts";

function profileOf(issuer: unknown): Profile {
  const [profile] = compileProfiles(issuersSchema.parse({ ci: issuer }), (path) => `the text of ${path}`);
  if (profile === undefined) throw new Error("no profile");
  return profile;
}

describe("issuers that load", () => {
  it.each<[string, unknown]>([
    ["a generic one", generic],
    ["GitHub by one line", github],
    ["GitHub, its url written out", { ...github, url: "https://token.actions.githubusercontent.com" }],
    ["GitHub with an enterprise's issuer", { ...github, url: "https://token.actions.githubusercontent.com/octocorp" }],
    ["GitHub with data residency", { ...github, url: "https://token.actions.octocorp.ghe.com" }],
    ["GitHub Enterprise Server", { ...github, url: "https://github.example.com/_services/token" }],
    ["GitHub with ids of its own", { ...github, job: ["run_id", "run_attempt"] }],
    ["GitLab by one line", { preset: "gitlab", audience }],
    ["GitLab on a host of one's own", { preset: "gitlab", url: "https://gitlab.example.com:8443/gitlab", audience }],
    ["Buildkite", { preset: "buildkite", audience }],
    ["CircleCI", { preset: "circleci", url: "https://oidc.circleci.com/org/5034460f-c7c4-4c43-9457-de07e2029e7b", audience }],
    ["a Jenkins folder", { preset: "jenkins", url: "https://jenkins.example.com/oidc/job/at%20the%20top/job/shop", audience }],
    [
      "a folder of a Jenkins below a path, over plain http nearby",
      { preset: "jenkins", url: "http://10.0.0.8:8080/ci/oidc/job/shop", audience, allow_private: true },
    ],
    [
      "Bitbucket",
      { preset: "bitbucket", url: "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc", audience },
    ],
    [
      "Azure DevOps",
      {
        preset: "azure-devops",
        url: "https://vstoken.dev.azure.com/0ca3ddd9-f0b0-4635-a98c-5866526961b6",
        audience: "api://AzureADTokenExchange",
      },
    ],
    [
      "Azure DevOps by Entra",
      {
        preset: "azure-devops-entra",
        url: "https://login.microsoftonline.com/ff882432-09b0-437b-bd22-ca13c0037ded/v2.0",
        audience: "fb60f99c-7a34-4190-8149-302f77469936",
      },
    ],
    ["Forgejo", { preset: "forgejo", url: "https://codeberg.org/api/actions", audience }],
    ["Google", { preset: "google", audience }],
    [
      "Kubernetes, with a slash at the end as AKS has it",
      { preset: "kubernetes", url: "https://x.oic.prod-aks.azure.com/t/u/", audience },
    ],
    [
      "a cluster that shows its keys to its own alone",
      {
        preset: "kubernetes",
        url: "https://kubernetes.default.svc.cluster.local",
        audience,
        jwks: { url: "https://kubernetes.default.svc/openid/v1/jwks" },
        ca: "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
        bearer: "/var/run/secrets/kubernetes.io/serviceaccount/token",
        allow_private: true,
      },
    ],
    ["a cluster at an IPv6 address", { preset: "kubernetes", url: "https://[fd00::1]:6443", audience, allow_private: true }],
    ["SPIFFE with a bundle's file", spiffe],
    ["SPIFFE with an audience that is a SPIFFE ID", { ...spiffe, audience: "spiffe://example.org/mayfly" }],
    ["SPIFFE with a bundle's endpoint", { ...spiffe, jwks: { url: "https://spire.example.org/bundle" } }],
    ["HCP Terraform", { preset: "hcp-terraform", audience }],
    ["Terraform Enterprise", { preset: "hcp-terraform", url: "https://tfe.example.com", audience }],
    ["Nomad", { preset: "nomad", url: "https://nomad.example.com", audience }],
    ["a path and a slash at the end", { ...generic, url: "https://oic.example/tenant/user/" }],
    ["plain http that is allowed", { ...generic, url: "http://127.0.0.1:8080", allow_private: true }],
    ["plain http on this host, by its name", { ...generic, url: "http://localhost:8080", allow_private: true }],
    ["a private address that nobody goes to", { ...generic, url: "https://10.0.0.1", jwks: { file: "/etc/mayfly/ci.jwks" } }],
    ["a private address, its keys written out", { ...generic, url: "http://10.0.0.1", jwks: { keys: [key] } }],
    [
      "a private address, its keys elsewhere",
      { ...generic, url: "https://10.0.0.1", jwks: { url: "https://ci.example/keys" } },
    ],
    ["plain http that is allowed, in no preset's form", { ...github, url: "http://127.0.0.1:8080", allow_private: true }],
    ["a private address that is allowed", { ...generic, url: "https://10.0.0.1", allow_private: true }],
    ["keys from a file", { ...generic, jwks: { file: "/etc/mayfly/ci.jwks" } }],
    ["keys from a URL", { ...generic, jwks: { url: "https://ci.example/keys?v=2" } }],
    ["keys written out", { ...generic, jwks: { keys: [key] } }],
    ["keys written out, some of them for other ends", { ...generic, jwks: { keys: [key, { ...key, use: "enc" }] } }],
    ["keys by discovery, said", { ...generic, jwks: "discovery" }],
    ["an authority", { ...generic, ca: "/etc/mayfly/ca.pem" }],
    ["trust by a claim", { ...generic, trust: { protected: { ref_protected: "true" } } }],
    [
      "trust by a claim where the preset cannot tell",
      { preset: "buildkite", audience, trust: { branch: { build_source: "ui" } } },
    ],
    ["the largest skew", { ...generic, skew: "60s" }],
    ["the longest hold", { ...generic, hold: "24h" }],
    ["no hold", { ...generic, hold: "0s" }],
    ["a fresh token every minute", { ...generic, fresh: "1m" }],
    ["every algorithm", { ...generic, algorithms: ["RS256", "PS512", "ES384", "EdDSA"] }],
  ])("%s", (_, issuer) => {
    expect(flaws(issuer)).toBe("");
  });
});

describe("issuers that do not", () => {
  it.each<[string, unknown, string]>([
    ["no audience", { ...generic, audience: undefined }, "ci.audience"],
    ["a list of audiences", { ...generic, audience: ["a", "b"] }, "ci.audience"],
    ["plain http", { ...generic, url: "http://ci.example" }, "ci.url: plain http is for localhost and private addresses alone"],
    [
      "plain http at a public address, beside allow_private",
      { ...generic, url: "http://93.184.216.34", allow_private: true },
      "ci.url: plain http is for localhost and private addresses alone",
    ],
    [
      "plain http by a name, beside allow_private",
      { ...generic, url: "http://ci.internal", allow_private: true },
      "ci.url: plain http is for localhost and private addresses alone",
    ],
    [
      "plain http nearby",
      { ...generic, url: "http://127.0.0.1" },
      "ci.url: an issuer at a private address needs allow_private",
    ],
    [
      "keys over plain http at a public address, beside allow_private",
      { ...generic, jwks: { url: "http://ci.example/keys" }, allow_private: true },
      "ci.jwks: plain http is for localhost and private addresses alone",
    ],
    [
      "https's own port, which no iss has",
      { ...generic, url: "https://ci.example:443" },
      "ci.url: write the issuer's URL exactly",
    ],
    ["a host with an empty label", { ...generic, url: "https://ci..example" }, "ci.url: write the issuer's URL exactly"],
    ["a host with a dot at its end", { ...generic, url: "https://ci.example./" }, "ci.url: write the issuer's URL exactly"],
    ["a host in capitals", { ...generic, url: "https://CI.example" }, "ci.url: write the issuer's URL exactly"],
    [
      "an address in octal",
      { ...generic, url: "https://0127.0.0.1", allow_private: true },
      "ci.url: write the issuer's URL exactly",
    ],
    ["a path that climbs", { ...generic, url: "https://ci.example/a/../b" }, "ci.url: write the issuer's URL exactly"],
    ...(
      [
        ["github", "https://token.actions.githubusercontent.com"],
        ["github", "https://token.actions.githubusercontent.com/octocorp"],
        ["github", "https://token.actions.octocorp.ghe.com"],
        ["github", "https://github.example.com/_services/token"],
        ["gitlab", "https://gitlab.com"],
        ["buildkite", "https://agent.buildkite.com"],
        ["circleci", "https://oidc.circleci.com/org/5034460f-c7c4-4c43-9457-de07e2029e7b"],
        ["jenkins", "https://jenkins.example.com/oidc/job/shop"],
        ["bitbucket", "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc"],
        ["azure-devops", "https://vstoken.dev.azure.com/0ca3ddd9-f0b0-4635-a98c-5866526961b6"],
        ["azure-devops-entra", "https://login.microsoftonline.com/ff882432-09b0-437b-bd22-ca13c0037ded/v2.0"],
        ["forgejo", "https://codeberg.org/api/actions"],
        ["google", "https://accounts.google.com"],
        ["kubernetes", "https://oidc.eks.eu-central-1.amazonaws.com/id/ABC"],
        ["hcp-terraform", "https://app.terraform.io"],
      ] as const
    ).flatMap(([owner, url]): [string, unknown, string][] => [
      [`${owner}'s issuer by hand, ${url}`, { ...generic, url }, `ci.url: tokens from there are read by the preset ${owner}`],
      [
        `${owner}'s issuer by Nomad's preset, ${url}`,
        { preset: "nomad", url, audience },
        `ci.url: tokens from there are read by the preset ${owner}`,
      ],
    ]),
    ["loopback", { ...generic, url: "https://127.0.0.1" }, "ci.url: an issuer at a private address needs allow_private: true"],
    ["loopback as IPv6", { ...generic, url: "https://[::1]" }, "needs allow_private: true"],
    ["a file as issuer", { ...generic, url: "file:///etc/passwd" }, "reached by https"],
    ["no URL", { ...generic, url: "ci.example" }, "exactly as its tokens have it"],
    ["a user in the URL", { ...generic, url: "https://ci.example@evil.example" }, "no user, query or fragment"],
    ["a query in the URL", { ...generic, url: "https://ci.example?x" }, "no user, query or fragment"],
    ["none", { ...generic, algorithms: ["none"] }, "ci.algorithms.0"],
    ["HS256", { ...generic, algorithms: ["HS256"] }, "ci.algorithms.0"],
    ["no algorithms", { ...generic, algorithms: [] }, "ci.algorithms"],
    ["a skew of 61 s", { ...generic, skew: "61s" }, "a clock may be wrong by 60s at most"],
    ["a lifetime of two days", { ...generic, max_lifetime: "2d" }, "no token may live longer than 24h"],
    ["a lifetime without a unit", { ...generic, max_lifetime: 300 }, "ci.max_lifetime"],
    ["a hold of two days", { ...generic, hold: "2d" }, "ci.hold: a new key waits 24h at most"],
    ["a fresh token every second", { ...generic, fresh: "1s" }, "ci.fresh: a fresh token is asked for every 1m to 24h"],
    ...(
      [
        ["gitlab", undefined],
        ["jenkins", "https://jenkins.example.com/oidc/job/shop"],
        ["bitbucket", "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc"],
        ["hcp-terraform", undefined],
      ] as const
    ).map(([preset, url]): [string, unknown, string] => [
      `fresh tokens of ${preset}, whose jobs have one`,
      { preset, url, audience, fresh: "10m" },
      `ci.fresh: a job of ${preset} has one token for as long as it runs, and could never bring another`,
    ]),
    ["a key that is empty", { ...generic, jwks: { keys: [{}] } }, "ci.jwks: none of these keys can verify"],
    [
      "a private key",
      { ...generic, jwks: { keys: [{ ...key, d: "AQAB" }] } },
      "ci.jwks: key 1: its private part was published",
    ],
    [
      "a private key beside a good one, for other ends",
      { ...generic, jwks: { keys: [key, { ...key, use: "enc", d: "AQAB" }] } },
      "ci.jwks: key 2: a private one",
    ],
    [
      "a weak key beside a good one",
      { ...generic, jwks: { keys: [key, { ...key, e: "AQ" }] } },
      "ci.jwks: key 2: an RSA key with",
    ],
    ["keys for other ends alone", { ...generic, jwks: { keys: [{ ...key, use: "enc" }] } }, "ci.jwks: none of these keys can"],
    ["trust for everybody", { ...generic, trust: { protected: {} } }, "an empty rule would trust every token"],
    ["trust by a number", { ...generic, trust: { protected: { a: 1 } } }, "ci.trust.protected.a"],
    ["trust called unknown", { ...generic, trust: { unknown: { a: "b" } } }, "ci.trust"],
    ...["github", "gitlab"].map((preset): [string, unknown, string] => [
      `${preset}'s trust, overruled`,
      { preset, audience, trust: { protected: { ref: "x" } } },
      `ci.trust: the ${preset} preset derives trust from the token's own claims`,
    ]),
    ["a preset that nobody made", { ...generic, preset: "travis" }, "ci.preset"],
    ["a path that is not absolute", { ...generic, ca: "ca.pem" }, "write an absolute path"],
    ["a key set that is a path", { ...generic, jwks: "/etc/mayfly/ci.jwks" }, "ci.jwks: write discovery, { file: /PATH }"],
    ["keys from two places", { ...generic, jwks: { file: "/a", url: "https://ci.example" } }, "ci.jwks: write discovery"],
    ["no keys", { ...generic, jwks: { keys: [] } }, "ci.jwks"],
    ["keys over plain http", { ...generic, jwks: { url: "http://ci.example/keys" } }, "ci.jwks: plain http is for localhost"],
    [
      "keys at a private address",
      { ...generic, jwks: { url: "https://10.0.0.1/keys" } },
      "ci.jwks: a key set at a private address",
    ],
    [
      "keys with a password",
      { ...generic, jwks: { url: "https://a:b@ci.example/keys" } },
      "ci.jwks: a key set's URL has no user",
    ],
    [
      "an authority that is never asked",
      { ...generic, jwks: { file: "/a" }, ca: "/ca.pem" },
      "ci.ca: only keys that are read over",
    ],
    [
      "a bearer that is never shown",
      { ...generic, jwks: { keys: [key] }, bearer: "/token" },
      "ci.bearer: only keys that are read",
    ],
    [
      "a bearer over plain http",
      { ...generic, url: "http://127.0.0.1", allow_private: true, bearer: "/token" },
      "ci.bearer: a bearer token is never sent over plain http",
    ],
    ["a trust domain without its bundle", { ...spiffe, jwks: undefined }, "ci.jwks: a trust domain has no discovery"],
    [
      "a trust domain with a path",
      { ...spiffe, url: "spiffe://example.org/ci" },
      "ci.url: the spiffe form is spiffe://TRUST-DOMAIN",
    ],
    ["a trust domain as a web address", { ...spiffe, url: "https://example.org" }, "ci.url: the spiffe form is"],
    ["a trust domain as a plain web address", { ...spiffe, url: "http://anything" }, "ci.url: the spiffe form is"],
    [
      "a trust domain as a web address nearby",
      { ...spiffe, url: "http://127.0.0.1", allow_private: true },
      "ci.url: the spiffe form is",
    ],
    ["an unknown key", { ...generic, audiences: [] }, "Unrecognized key"],
    ["a token of 17 KiB", { ...generic, max_size: 17_000 }, "ci.max_size"],
  ])("%s", (_, issuer, why) => {
    expect(flaws(issuer)).toContain(why);
  });

  it.each(presetNames.filter((preset) => presets[preset].issuer.usual === undefined))(
    "%s without its url, which says the form",
    (preset) => {
      expect(flaws({ preset, audience })).toContain(
        `ci.url: each has its own, which must be written here: ${presets[preset].issuer.form}`,
      );
    },
  );

  it.each([
    ["github", "https://token.actions.githubusercontent.com/"],
    ["github", "https://token.actions.githubusercontent.com.evil.example"],
    ["github", "https://github.example.com/_services/token/"],
    ["gitlab", "https://gitlab.example.com/"],
    ["buildkite", "https://agent.buildkite.com/acme"],
    ["circleci", "https://oidc.circleci.com/org/acme"],
    ["bitbucket", "https://api.bitbucket.org/2.0/workspaces/acme"],
    ["azure-devops", "https://vstoken.dev.azure.com/acme"],
    ["azure-devops-entra", "https://login.microsoftonline.com/common/v2.0"],
    ["azure-devops-entra", "https://sts.windows.net/ff882432-09b0-437b-bd22-ca13c0037ded/"],
    ["forgejo", "https://codeberg.org"],
    ["google", "https://accounts.google.com/"],
    ["hcp-terraform", "https://app.terraform.io/"],
    ["jenkins", "https://jenkins.example.com/oidc"],
    ["jenkins", "https://jenkins.example.com/job/shop/oidc"],
    ["jenkins", "https://jenkins.example.com/oidc/job/shop/"],
    ["jenkins", "https://keys.example.com"],
  ] as const)("%s at %s, which says the form", (preset, url) => {
    expect(flaws({ preset, url, audience })).toContain(`ci.url: the ${preset} form is ${presets[preset].issuer.form}`);
  });

  it("the root of a Jenkins over plain http nearby, which says the form", () => {
    const root = { preset: "jenkins", url: "http://127.0.0.1:8080/oidc", audience, allow_private: true };
    expect(flaws(root)).toContain("every job may use one of https://JENKINS/oidc, and say that it is another");
  });

  it("two names for one issuer", () => {
    expect(issuersSchema.safeParse({ a: generic, b: { ...generic } }).error?.issues[0]?.message).toBe(
      "two issuers have the same url",
    );
  });

  it("two names for one issuer, one of which leaves its url out", () => {
    const written = { ...github, url: "https://token.actions.githubusercontent.com" };
    expect(issuersSchema.safeParse({ a: github, b: written }).error?.issues[0]?.message).toBe("two issuers have the same url");
  });

  it("none at all", () => {
    expect(issuersSchema.safeParse({}).error?.issues[0]?.message).toBe("name at least one issuer");
  });

  it("a file that cannot be read names the key", () => {
    const config = issuersSchema.parse({ ci: { ...generic, ca: "/nowhere.pem" } });
    const read = (): string => {
      throw new Error("ENOENT");
    };
    expect(() => compileProfiles(config, read)).toThrow("issuers.ci.ca: /nowhere.pem cannot be read");
    expect(() => compileProfiles(config, read)).toThrow(BrokerError);
  });
});

describe("a profile", () => {
  it("has its preset's facts where mayfly.yaml is silent", () => {
    expect(profileOf(github)).toMatchObject({
      name: "ci",
      preset: "github",
      issuer: "https://token.actions.githubusercontent.com",
      chosenBy: "iss",
      algorithms: ["RS256"],
      maxLifetime: 900_000,
      maxAge: 900_000,
      skew: 30_000,
      workload: ["repository_id"],
      job: ["run_id", "run_attempt"],
      jobWhereSent: ["check_run_id"],
      jti: "required",
      fresh: undefined,
      hold: 0,
      keyUse: "sig",
      keys: { kind: "discovery", authority: undefined, allowPrivate: false, bearer: undefined },
    });
  });

  it("has mayfly.yaml's word where it says one", () => {
    const written = { max_lifetime: "5m", max_age: "1m", max_size: 4096, algorithms: ["ES256"], hold: "1h", fresh: "10m" };
    const ids = { workload: ["repository_id", "enterprise_id"], job: ["run_id", "run_attempt"] };
    expect(profileOf({ ...github, ...written, ...ids, jti: "absent", required: ["environment"] })).toMatchObject({
      maxLifetime: 300_000,
      maxAge: 60_000,
      maxSize: 4096,
      algorithms: ["ES256"],
      hold: 3_600_000,
      fresh: 600_000,
      jti: "absent",
      ...ids,
      jobWhereSent: ["check_run_id"],
      required: ["ref", "event_name", "environment", "repository_id", "enterprise_id", "run_id", "run_attempt"],
    });
  });

  it.each<[string, unknown, unknown]>([
    ["a file, by its path: it is read whenever keys are", { jwks: { file: "/keys" } }, { kind: "file", path: "/keys" }],
    ["keys written out, as a set", { jwks: { keys: [key] } }, { kind: "inline", text: JSON.stringify({ keys: [key] }) }],
    [
      "a URL, and how it is reached",
      { jwks: { url: "https://ci.example/keys" }, ca: "/ca.pem", bearer: "/token", allow_private: true },
      { kind: "url", url: "https://ci.example/keys", authority: "the text of /ca.pem", bearer: "/token", allowPrivate: true },
    ],
    [
      "discovery, and how it is reached",
      { ca: "/ca.pem", bearer: "/token" },
      { kind: "discovery", authority: "the text of /ca.pem", bearer: "/token", allowPrivate: false },
    ],
  ])("knows where its keys are: %s", (_, source, keys) => {
    expect(profileOf({ ...generic, ...(source as object) }).keys).toEqual(keys);
  });

  it("of a trust domain takes the tokens whose subject lies in it, and no others", () => {
    const profile = profileOf(spiffe);
    expect(profile).toMatchObject({ issuer: "spiffe://example.org", chosenBy: "trust-domain", keyUse: "jwt-svid" });
    expect(isOf(profile, { sub: "spiffe://example.org/ci" })).toBe(true);
    for (const sub of [
      "spiffe://example.org",
      "spiffe://example.org.evil/ci",
      "spiffe://example.orgs/ci",
      "example.org/ci",
      "",
    ]) {
      expect(isOf(profile, { sub, iss: "spiffe://example.org" })).toBe(false);
    }
  });

  it.each<[string, string, readonly string[]]>([
    ["kubernetes", "https://k8s.example", ["RS256", "ES256", "ES384", "ES512"]],
    ["jenkins", "https://jenkins.example.com/oidc/job/shop", ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]],
  ])("of %s has every algorithm that its keys may have", (preset, url, algorithms) => {
    expect(profileOf({ preset, url, audience }).algorithms).toEqual(algorithms);
  });

  it.each<[string, unknown]>([
    ["left out", generic],
    ["said to be nothing", { ...generic, hold: "0s" }],
  ])("holds no new key back where that is %s", (_, issuer) => {
    expect(profileOf(issuer).hold).toBe(0);
  });

  it("of an issuer takes the tokens with its exact name, whatever their subject", () => {
    const profile = profileOf(generic);
    expect(isOf(profile, { iss: "https://ci.example", sub: "spiffe://example.org/ci" })).toBe(true);
    expect(isOf(profile, { iss: "https://ci.example/", sub: "https://ci.example/" })).toBe(false);
  });
});
