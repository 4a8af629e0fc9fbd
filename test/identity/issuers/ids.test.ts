import { describe, expect, it } from "vitest";
import { identifyingClaims } from "../../../src/identity/issuers/ids.ts";
import { issuersSchema } from "../../../src/identity/issuers/issuers.ts";
import { presetNames, presets } from "../../../src/identity/presets/presets.ts";
import { audience, flaws, generic, github, spiffe } from "./written.ts";

describe("ids that load", () => {
  it.each<[string, unknown]>([
    ["ids beside the preset's own", { ...github, workload: ["repository_id", "enterprise_id"] }],
    ["an id that older versions do not send", { ...github, job: ["run_id", "run_attempt", "check_run_id"] }],
  ])("%s", (_, issuer) => {
    expect(flaws(issuer)).toBe("");
  });
});

describe("ids that do not", () => {
  it.each<[string, unknown, string]>([
    ["generic without workload", { ...generic, workload: undefined }, "ci.workload: name the claims"],
    ["generic without job", { ...generic, job: undefined }, "ci.job: name the claims"],
    ["no ids in workload", { ...generic, workload: [] }, "ci.workload"],
    ...["iss", "aud", "exp", "iat", "nbf", "jti", "ref", "ref_protected", "event_name", "environment", "actor"].flatMap(
      (name): [string, unknown, string][] => [
        [`a workload by ${name}`, { ...generic, workload: ["project_id", name] }, `ci.workload: ${name} is no id`],
        [`a job by ${name}`, { ...generic, job: ["job_id", name] }, `ci.job: ${name} is no id`],
        [`GitHub's workload by ${name} too`, { ...github, workload: ["repository_id", name] }, `ci.workload: ${name} is no id`],
      ],
    ),
    [
      "another workload than the preset's",
      { ...github, workload: ["repository_owner_id"] },
      "ci.workload: ids are added to the preset's own, which stay: write repository_id too",
    ],
    [
      "less of a job than the preset's",
      { ...github, job: ["run_id"] },
      "ci.job: ids are added to the preset's own, which stay: write run_attempt too",
    ],
    [
      "GitLab's workload by the project that a fork's merge request runs in",
      { preset: "gitlab", audience, workload: ["project_id", "job_project_id"] },
      "ci.workload: job_project_id is no id",
    ],
    ["Google's workload by a label", { preset: "google", audience, workload: ["sub", "email"] }, "ci.workload: email is no id"],
    [
      "Jenkins' workload by what a Jenkinsfile chooses",
      { preset: "jenkins", url: "https://jenkins.example.com/oidc/job/shop", audience, workload: ["sub"] },
      "ci.workload: sub is no id",
    ],
    [
      "a boolean that is required",
      { ...generic, required: ["email_verified"] },
      "ci.required: email_verified is a boolean, and what is required is text or a number",
    ],
  ])("%s", (_, issuer, why) => {
    expect(flaws(issuer)).toContain(why);
  });
});

describe("the claims that identify", () => {
  it("are the preset's ids, else what mayfly.yaml calls a workload, and never what it adds to a preset's", () => {
    const circle = { preset: "circleci", url: "https://oidc.circleci.com/org/5034460f-c7c4-4c43-9457-de07e2029e7b", audience };
    const shop = { preset: "jenkins", url: "https://jenkins.example.com/oidc/job/shop", audience };
    const added = { ...github, workload: ["repository_id", "repository"] };
    const identifying = identifyingClaims(issuersSchema.parse({ github: added, generic, circle, spiffe, shop }));
    const subjectsBelow = undefined;
    expect(Object.fromEntries(identifying)).toEqual({
      github: { claims: ["repository_id", "repository_owner_id"], subjectsBelow },
      generic: { claims: ["project_id"], subjectsBelow },
      circle: { claims: ["oidc.circleci.com/project-id"], subjectsBelow },
      spiffe: { claims: ["sub"], subjectsBelow: "spiffe://example.org/" },
      shop: { claims: [], subjectsBelow },
    });
  });

  it.each(presetNames.filter((preset) => !["generic", "jenkins"].includes(preset)))(
    "of %s always come with its tokens, one at least",
    (preset) => {
      const { identifying, workload } = presets[preset];
      expect(identifying.filter((claim) => workload.includes(claim))).not.toEqual([]);
    },
  );
});
