import { describe, expect, test } from "vitest";
import { usualIssuers } from "../../src/commands/stand-in-config.ts";
import { BrokerError } from "../../src/errors.ts";
import { compileProfiles, issuersSchema } from "../../src/identity/issuers/issuers.ts";
import type { JsonObject } from "../../src/identity/json.ts";
import { presetNames } from "../../src/identity/presets/presets.ts";
import type { Profile } from "../../src/identity/profile.ts";
import { supposedClaims, supposedIdentity, unspecified } from "../../src/identity/supposed.ts";

const now = Date.UTC(2026, 10, 23);
const profiles = compileProfiles(issuersSchema.parse(usualIssuers), () => "");

function profileOf(name: string): Profile {
  const profile = profiles.find((one) => one.name === name);
  if (profile === undefined) throw new Error(`no profile ${name}`);
  return profile;
}

function identityOf(preset: string, said: JsonObject): ReturnType<typeof supposedIdentity> {
  return supposedIdentity(supposedClaims(said, profileOf(preset)), profileOf(preset), now);
}

describe("the claims that a policy test leaves out", () => {
  test.each(presetNames)("are filled in so that the rules of %s take them, and never make a job trusted", (preset) => {
    const identity = identityOf(preset, {});
    expect([identity.issuer, identity.trust]).toEqual([preset, "unknown"]);
  });

  test.each(presetNames)("%s: one that is required and taken away is missed as the verifier would miss it", (preset) => {
    const [required] = profileOf(preset).required;
    const taken = required ?? "sub";
    expect(() => identityOf(preset, { [taken]: null })).toThrow(BrokerError);
    expect(() => identityOf(preset, { [taken]: null })).toThrow("lacks a claim");
  });

  test("are called what no branch, event or id is called", () => {
    const { claims } = identityOf("github", { repository_id: "7" });
    expect(claims).toMatchObject({ repository_id: "7", ref: unspecified, event_name: unspecified, run_id: unspecified });
    expect(Object.hasOwn(claims, "ref_protected")).toBe(false);
  });

  test("give way to what is said, from which trust is derived as ever", () => {
    expect(identityOf("github", { event_name: "push", ref_protected: "true" }).trust).toBe("protected");
    expect(identityOf("gitlab", { project_id: "20", job_project_id: "21" }).trust).toBe("fork");
  });

  test("are not there where a test takes them away, rather than of a shape that is refused", () => {
    expect(Object.keys(identityOf("github", { environment: null, ref_type: null }).claims)).not.toContain("environment");
  });

  test("agree with each other where the system's tokens do", () => {
    const named = {
      "kubernetes.io/namespace": "ci",
      "kubernetes.io/serviceaccount/name": "runner",
      "kubernetes.io/pod/uid": "p",
    };
    const { subject, claims } = identityOf("kubernetes", named);
    expect([subject, claims["kubernetes.io/pod/uid"]]).toEqual(["system:serviceaccount:ci:runner", "p"]);
    expect(identityOf("circleci", { "oidc.circleci.com/project-id": "shop" }).subject).toContain("/project/shop/");
  });

  test("cannot make up for what a preset refuses", () => {
    expect(() => identityOf("circleci", { "oidc.circleci.com/ssh-rerun": true })).toThrow("lacks a claim");
    expect(() => identityOf("spiffe", { sub: "spiffe://example.org/../admin" })).toThrow("lacks a claim");
  });
});
