import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { deniedNames, jobEnvironment, named, passed } from "../../src/sandbox/environment.ts";

describe("a job's environment", () => {
  it.each<[string, string, readonly string[], boolean]>([
    ["a name that is listed", "CI", ["CI"], true],
    ["a name that begins as listed", "GITHUB_SHA", ["GITHUB_*"], true],
    ["the beginning itself", "GITHUB_", ["GITHUB_*"], true],
    ["a name that is not listed", "HOSTNAME", ["CI", "GITHUB_*"], false],
    ["a longer name than is listed", "CI_JOB_ID", ["CI"], false],
    ["another case", "ci", ["CI"], false],
    ["a name that a regular expression would match", "CIX", ["CI."], false],
    ["GitHub's token though its beginning is listed", "GITHUB_TOKEN", ["GITHUB_*"], false],
    ["the address that mints identity tokens", "ACTIONS_ID_TOKEN_REQUEST_URL", ["*"], false],
    ["the word that mints identity tokens", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", ["*"], false],
    ["GitLab's job token", "CI_JOB_TOKEN", ["CI_*"], false],
    ["GitLab's second token format", "CI_JOB_JWT_V2", ["CI_*"], false],
    ["GitLab's job token as its custom executor hands it over", "CUSTOM_ENV_CI_JOB_TOKEN", ["CUSTOM_ENV_*"], false],
    ["what else GitLab's custom executor hands over", "CUSTOM_ENV_CI_COMMIT_SHA", ["CUSTOM_ENV_*"], true],
    ["Buildkite's agent token, though it is named", "BUILDKITE_AGENT_ACCESS_TOKEN", ["BUILDKITE_AGENT_ACCESS_TOKEN"], false],
    ["a standing cloud key", "AWS_SECRET_ACCESS_KEY", ["AWS_*"], false],
    ["Vault's token", "VAULT_TOKEN", ["VAULT_TOKEN"], false],
    ["what loads code first", "LD_PRELOAD", ["*"], false],
    ["what loads code into node", "NODE_OPTIONS", ["NODE_*"], false],
    ["a shell function", "BASH_FUNC_ls%%", ["*"], false],
    ["what is no name", "A B", ["*"], false],
  ])("%s (%s)", (_, name, pass, expected) => {
    expect(Object.hasOwn(passed({ [name]: "value" }, pass), name)).toBe(expected);
  });

  it("never has a denied name, whatever is passed", () => {
    const patterns = Object.values(deniedNames).flat();
    const someName = fc
      .constantFrom(...patterns)
      .chain((pattern) => fc.string().map((end) => pattern.replace("*", end.replaceAll(/[^A-Z_]/g, "X"))));
    fc.assert(
      fc.property(someName, fc.array(fc.constantFrom("*", ...patterns)), (name, pass) => {
        expect(Object.keys(passed({ [name]: "x" }, pass))).toEqual([]);
      }),
    );
  });

  it("has its own PATH and HOME, whatever the runner's are", () => {
    const environment = jobEnvironment({ PATH: "/evil", HOME: "/root", CI: "true" }, ["PATH", "HOME", "CI"]);
    expect(environment).toMatchObject({
      CI: "true",
      HOME: "/home/job",
      PATH: expect.stringMatching(/^\/usr\/local/),
      MAYFLY_WORKSPACE: "/workspace",
    });
  });

  it("knows a pattern by its last character only", () => {
    expect([named("A*B", ["A*B"]), named("AXB", ["A*B"])]).toEqual([true, false]);
  });
});
