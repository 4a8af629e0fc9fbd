import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { deniedNames } from "../../src/sandbox/denied-names.ts";
import { jobEnvironment, named, passed } from "../../src/sandbox/environment.ts";

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
    ["npm's setting in any case", "Npm_Config_registry", ["*"], false],
    ["yarn's in its other case", "yarn_registry", ["*"], false],
    ["pnpm's in its other case", "pnpm_config_registry", ["*"], false],
    ["GitLab's job token in another case", "custom_env_ci_job_token", ["*"], false],
    ["an action's input", "INPUT_ENVIRONMENT", ["INPUT_*"], true],
    ["an action's token", "INPUT_TOKEN", ["INPUT_*"], false],
  ])("%s (%s)", (_, name, pass, expected) => {
    expect(Object.hasOwn(passed({ [name]: "value" }, pass), name)).toBe(expected);
  });

  it.each([
    [
      "the tokens and token endpoints of a CI system",
      [
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_RUNTIME_TOKEN",
        "FORGEJO_TOKEN",
        "CI_JOB_TOKEN",
        "CUSTOM_ENV_CI_JOB_TOKEN",
        "MAYFLY_ID_TOKEN",
        "CUSTOM_ENV_MAYFLY_ID_TOKEN",
        "BUILDKITE_AGENT_ACCESS_TOKEN",
        "BUILDKITE_AGENT_JOB_API_SOCKET",
        "CIRCLE_OIDC_TOKEN",
        "CIRCLE_OIDC_TOKEN_V2",
        "BITBUCKET_STEP_OIDC_TOKEN",
        "SYSTEM_ACCESSTOKEN",
        "SYSTEM_OIDCREQUESTURI",
        "MAYFLY_SERVICE_CONNECTION",
        "TFC_WORKLOAD_IDENTITY_TOKEN",
        "TFC_WORKLOAD_IDENTITY_TOKEN_MAYFLY",
        "NOMAD_TOKEN",
        "NOMAD_TOKEN_mayfly",
        "JENKINS_SECRET",
        "SPIFFE_ENDPOINT_SOCKET",
        "GITHUB_PAT",
        "GL_TOKEN",
        "INPUT_GITHUB_TOKEN",
        "BUILDKITE_ANALYTICS_TOKEN",
        "CIRCLECI_CLI_TOKEN",
        "DOCKER_CERT_PATH",
        "BUILDAH_AUTHFILE",
      ],
    ],
    [
      "what loads code, trusts an authority or fetches from elsewhere",
      [
        "LD_PRELOAD",
        "GLIBC_TUNABLES",
        "NODE_PATH",
        "OPENSSL_CONF",
        "OPENSSL_MODULES",
        "SSLKEYLOGFILE",
        "SSL_CERT_FILE",
        "HTTPS_PROXY",
        "https_proxy",
        "GOFLAGS",
        "GOPROXY",
        "RUSTC_WRAPPER",
        "CARGO_BUILD_RUSTC_WRAPPER",
        "CARGO_REGISTRY_TOKEN",
        "CARGO_REGISTRIES_X_INDEX",
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER",
        "MAVEN_OPTS",
        "MAVEN_ARGS",
        "GRADLE_OPTS",
        "PIP_CONFIG_FILE",
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "npm_config_registry",
        "NPM_CONFIG_REGISTRY",
        "YARN_NPM_REGISTRY_SERVER",
        "DOTNET_STARTUP_HOOKS",
        "BUNDLE_GEMFILE",
        "MAKEFLAGS",
        "PYTHONWARNINGS",
        "GOCACHEPROG",
        "GOROOT",
        "GOPATH",
        "CARGO_HOME",
        "RUSTDOC",
        "GRADLE_USER_HOME",
        "MAVEN_CONFIG",
        "JRUBY_OPTS",
        "PYTEST_PLUGINS",
        "PYTEST_ADDOPTS",
        "PYTHONPYCACHEPREFIX",
        "CONFIG_SITE",
        "CMAKE_C_COMPILER_LAUNCHER",
        "CMAKE_CXX_COMPILER_LAUNCHER",
        "SSH_ASKPASS",
        "SUDO_ASKPASS",
        "MANPAGER",
        "SVN_SSH",
        "RSYNC_RSH",
        "CVS_RSH",
        "TS_NODE_REQUIRE",
        "HELM_PLUGINS",
      ],
    ],
  ])("has nothing of %s, by whatever list", (_, names) => {
    const environment = Object.fromEntries(names.map((name) => [name, "value"]));
    expect(passed(environment, ["*", ...names])).toEqual({});
  });

  it("has what builds ask for, where a template lets it pass", () => {
    const names = [
      "CI",
      "GITHUB_SHA",
      "GITHUB_REF",
      "GITHUB_RUN_ID",
      "CI_COMMIT_SHA",
      "CI_PIPELINE_ID",
      "BUILDKITE_COMMIT",
      "CIRCLE_SHA1",
      "BITBUCKET_COMMIT",
      "BUILD_BUILDID",
      "SYSTEM_TEAMPROJECT",
      "JENKINS_URL",
      "BUILD_NUMBER",
      "NOMAD_ALLOC_ID",
      "TERM",
      "TZ",
      "LC_ALL",
      "NODE_ENV",
      "PYTHONUNBUFFERED",
      "CARGO_TERM_COLOR",
      "GOOS",
      "GOARCH",
      "CGO_ENABLED",
      "CC",
      "CXX",
      "JAVA_HOME",
    ];
    const environment = Object.fromEntries(names.map((name) => [name, "value"]));
    expect(passed(environment, ["*"])).toEqual(environment);
  });

  it.each([
    ["a JWT", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", false],
    ["a JWT without its signature", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", false],
    ["a JWT with a line's end", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln\n", false],
    ["a JWT as a header has it", "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", false],
    ["a JWT inside of JSON", '{"value":"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"}', false],
    ["GitLab's job token", "glcbt-eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", false],
    ["GitLab's job token of a partition", "glcbt-64_eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", false],
    ["a JWT behind a name", "x_eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", false],
    ["a JWT in an address", "https://ci.test/?token%3DeyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", false],
    ["a version", "1.2.3", true],
    ["a host's name", "eyJump.example.com", true],
    ["what is only the beginning of one", "eyJhbGciOiJSUzI1NiJ9", true],
  ])("under a name that says nothing, %s", (_, value, expected) => {
    expect(Object.hasOwn(passed({ PLAIN: value }, ["PLAIN"]), "PLAIN")).toBe(expected);
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
