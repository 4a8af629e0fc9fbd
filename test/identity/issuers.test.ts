import { describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import { compileProfiles, issuersSchema } from "../../src/identity/issuers.ts";

const generic = { url: "https://ci.example", audience: "https://broker.example", workload: ["project_id"], job: ["job_id"] };
const github = { url: "https://token.actions.githubusercontent.com", audience: "https://broker.example", preset: "github" };

function flaws(issuer: unknown, name = "ci"): string {
  const parsed = issuersSchema.safeParse({ [name]: issuer });
  return parsed.success ? "" : parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
}

describe("issuers that load", () => {
  it.each<[string, unknown]>([
    ["a generic one", generic],
    ["GitHub", github],
    ["GitHub with ids of its own", { ...github, job: ["run_id", "run_attempt"] }],
    ["a path and a slash at the end", { ...generic, url: "https://oic.example/tenant/user/" }],
    ["plain http that is allowed", { ...generic, url: "http://127.0.0.1:8080", allowPrivate: true }],
    ["a private address that is allowed", { ...generic, url: "https://10.0.0.1", allowPrivate: true }],
    ["keys from a file", { ...generic, jwks: { file: "/etc/mayfly/ci.jwks" } }],
    ["an authority", { ...generic, ca: "/etc/mayfly/ca.pem" }],
    ["trust by a claim", { ...generic, trust: { protected: { ref_protected: "true" } } }],
    ["the largest skew", { ...generic, skew: "60s" }],
    ["every algorithm", { ...generic, algorithms: ["RS256", "PS512", "ES384", "EdDSA"] }],
  ])("%s", (_, issuer) => {
    expect(flaws(issuer)).toBe("");
  });
});

describe("issuers that do not", () => {
  it.each<[string, unknown, string]>([
    ["no audience", { ...generic, audience: undefined }, "ci.audience"],
    ["a list of audiences", { ...generic, audience: ["a", "b"] }, "ci.audience"],
    ["an audience of everybody's", { ...generic, audience: "sts.amazonaws.com" }, "choose one that only this broker has"],
    ["plain http", { ...generic, url: "http://ci.example" }, "ci.url: plain http needs allowPrivate: true"],
    ["loopback", { ...generic, url: "https://127.0.0.1" }, "needs allowPrivate: true"],
    ["loopback as IPv6", { ...generic, url: "https://[::1]" }, "needs allowPrivate: true"],
    ["a file as issuer", { ...generic, url: "file:///etc/passwd" }, "reached by https"],
    ["no URL", { ...generic, url: "ci.example" }, "exactly as its tokens have it"],
    ["a user in the URL", { ...generic, url: "https://ci.example@evil.example" }, "no user, query or fragment"],
    ["a query in the URL", { ...generic, url: "https://ci.example?x" }, "no user, query or fragment"],
    ["none", { ...generic, algorithms: ["none"] }, "ci.algorithms.0"],
    ["HS256", { ...generic, algorithms: ["HS256"] }, "ci.algorithms.0"],
    ["no algorithms", { ...generic, algorithms: [] }, "ci.algorithms"],
    ["a skew of 61 s", { ...generic, skew: "61s" }, "a clock may be wrong by 60s at most"],
    ["a lifetime of two days", { ...generic, maxLifetime: "2d" }, "no token may live longer than 24h"],
    ["a lifetime without a unit", { ...generic, maxLifetime: 300 }, "ci.maxLifetime"],
    ["generic without workload", { ...generic, workload: undefined }, "ci.workload: name the claims"],
    ["generic without job", { ...generic, job: undefined }, "ci.job: name the claims"],
    ["no ids in workload", { ...generic, workload: [] }, "ci.workload"],
    ["trust for everybody", { ...generic, trust: { protected: {} } }, "an empty rule would trust every token"],
    ["trust by a number", { ...generic, trust: { protected: { a: 1 } } }, "ci.trust.protected.a"],
    ["trust called unknown", { ...generic, trust: { unknown: { a: "b" } } }, "ci.trust"],
    ["GitHub's trust, overruled", { ...github, trust: { protected: { ref: "x" } } }, "derives trust from GitHub's own claims"],
    ["a path that is not absolute", { ...generic, ca: "ca.pem" }, "write an absolute path"],
    ["an unknown key", { ...generic, audiences: [] }, "Unrecognized key"],
    ["a token of 17 KiB", { ...generic, maxSize: 17_000 }, "ci.maxSize"],
  ])("%s", (_, issuer, why) => {
    expect(flaws(issuer)).toContain(why);
  });

  it("two names for one issuer", () => {
    expect(issuersSchema.safeParse({ a: generic, b: { ...generic } }).error?.issues[0]?.message).toBe(
      "two issuers have the same url",
    );
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
