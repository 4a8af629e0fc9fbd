import type { PresetName } from "../identity/presets/presets.ts";

/** Whose jobs a first template is for. */
export interface Subject {
  /** The claims that say so, by name. */
  readonly ids: Readonly<Record<string, string>>;
  /** `acme/shop`, for people; undefined where nobody said. */
  readonly repository: string | undefined;
  /** `github.com/acme/shop`, as CircleCI writes it. */
  readonly origin: string | undefined;
  /** Without `refs/heads/`. */
  readonly branch: string;
  /** Only where a token has one. */
  readonly environment: string | undefined;
}

/** One line of `who`: a claim, what it must be, and why, for whoever reads the template. */
export interface Line {
  readonly claim: string;
  readonly value: string;
  readonly because: string;
}

/** A job that must get nothing: what is other in its token, and the line or the code that says so. */
export interface Stranger {
  readonly it: string;
  readonly claims: Readonly<Record<string, string | boolean>>;
  readonly failsAt: { readonly claim: string } | { readonly code: "token-claim" };
}

/** What a first template needs to know of one kind of CI system; docs/issuers.md has the reasons. */
export interface SystemFacts {
  /** The claims of `--id`; of several, in its order and divided by `/`. */
  readonly ids: readonly string[];
  /** What an id looks like, so that a name is not taken for one. */
  readonly form: RegExp;
  /** How to find out what to give to `--id`. */
  ask(repository: string | undefined): string;
  /** The lines beside issuer and ids. */
  lines(subject: Subject): readonly Line[];
  /** What a token of the right job has, where it is more than its lines say. */
  readonly claims: Readonly<Record<string, string>>;
  /** Those that only this system knows; another owner's job and another branch are told by the lines alone. */
  strangers(subject: Subject): readonly Stranger[];
  /** The claim that has the branch, and how it is written there. */
  readonly branch: { readonly claim: string; written(branch: string): string } | undefined;
  /** What no line can keep out. */
  readonly warning: string | undefined;
}

const nothing = { claims: {}, strangers: () => [], branch: undefined, warning: undefined, lines: () => [] } as const;

const asRef = (claim: string) => ({
  claim,
  written: (branch: string) => (branch.startsWith("refs/") ? branch : `refs/heads/${branch}`),
});
const asName = (claim: string) => ({ claim, written: (branch: string) => branch });

const number = /^[0-9]+$/;
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const named = (repository: string | undefined) => repository ?? "OWNER/NAME";

const protectedOnly: Line = {
  claim: "trust",
  value: "protected",
  because: "a protected branch or tag; never a pull request, and so never a fork's",
};

const pullRequests = (claim: string, ordinary: string, target: string | undefined): readonly Stranger[] => [
  { it: "denies a pull request, and so a fork's", claims: { [claim]: ordinary }, failsAt: { claim: "trust" } },
  ...(target === undefined
    ? []
    : [{ it: "denies what somebody else's pull request starts", claims: { [claim]: target }, failsAt: { claim: "trust" } }]),
];

const unprotected: Stranger = {
  it: "denies a branch that is not protected",
  claims: { ref_protected: "false" },
  failsAt: { claim: "trust" },
};

const actions: SystemFacts = {
  ...nothing,
  ids: ["repository_id"],
  form: number,
  ask: (repository) => `gh api repos/${named(repository)} --jq .id`,
  lines: () => [protectedOnly],
  claims: { event_name: "push", ref_protected: "true" },
  strangers: () => [...pullRequests("event_name", "pull_request", "pull_request_target"), unprotected],
  branch: asRef("ref"),
};

const anyBranch = "nothing in its tokens says whether a branch is protected or a pull request's: keep forks from being built";

/** By the name of the preset. */
export const systemFacts: Readonly<Record<PresetName, SystemFacts>> = {
  github: actions,
  forgejo: { ...actions, ask: (repository) => `curl https://HOST/api/v1/repos/${named(repository)} | jq .id` },
  gitlab: {
    ...nothing,
    ids: ["project_id"],
    form: number,
    ask: (repository) =>
      `the page of the project (${repository ?? "its name"}) shows it as «Project ID»; or: glab api projects/:id | jq .id`,
    lines: () => [protectedOnly],
    claims: { pipeline_source: "push", ref_protected: "true" },
    strangers: ({ ids }) => [
      ...pullRequests("pipeline_source", "merge_request_event", undefined),
      {
        it: "denies a fork whose merge request runs here",
        claims: { job_project_id: ids["project_id"] ?? "", project_id: "1" },
        failsAt: { claim: "project_id" },
      },
      unprotected,
    ],
    branch: asRef("ref_path"),
  },
  buildkite: {
    ...nothing,
    ids: ["pipeline_id"],
    form: uuid,
    ask: () =>
      'the pipeline\'s settings show it; or: curl -H "Authorization: Bearer $TOKEN" https://api.buildkite.com/v2/organizations/ORG/pipelines/PIPELINE | jq -r .id',
    claims: { build_source: "webhook" },
    branch: asName("build_branch"),
    warning: anyBranch,
  },
  circleci: {
    ...nothing,
    ids: ["oidc.circleci.com/project-id"],
    form: uuid,
    ask: () => "the project's settings show it as «Project ID»",
    lines: ({ origin }) => {
      const because = "a fork that is passed secrets has its own";
      return origin === undefined ? [] : [{ claim: "oidc.circleci.com/vcs-origin", value: origin, because }];
    },
    strangers: ({ origin }) => [
      ...(origin === undefined
        ? []
        : [
            {
              it: "denies a fork",
              claims: { "oidc.circleci.com/vcs-origin": `${origin}-fork` },
              failsAt: { claim: "oidc.circleci.com/vcs-origin" },
            },
          ]),
      { it: "denies a rerun with SSH", claims: { "oidc.circleci.com/ssh-rerun": true }, failsAt: { code: "token-claim" } },
    ],
    branch: asRef("oidc.circleci.com/vcs-ref"),
    warning: "nothing in its tokens says whether a branch is protected",
  },
  jenkins: {
    ...nothing,
    ids: ["sub"],
    form: /^https:\/\//,
    ask: () => "the URL of the job, as Jenkins shows it: https://JENKINS/job/FOLDER/job/NAME/",
    warning:
      "whoever may write a Jenkinsfile of the folder chooses `sub`: the issuer says which folder, and this line keeps honest jobs apart",
  },
  bitbucket: {
    ...nothing,
    ids: ["repositoryUuid"],
    form: /^\{[0-9a-f-]{36}\}$/,
    ask: (repository) => `with its braces: curl https://api.bitbucket.org/2.0/repositories/${named(repository)} | jq -r .uuid`,
    branch: asName("branchName"),
    warning: anyBranch,
  },
  "azure-devops": {
    ...nothing,
    ids: ["prj_id"],
    form: uuid,
    ask: (repository) =>
      `az devops project show --project ${
        repository
          ?.split("/")
          .filter((part) => part !== "_git")
          .at(-2) ?? "PROJECT"
      } --query id -o tsv`,
    strangers: () => [{ it: "denies a pull request", claims: { rpo_ref: "refs/pull/7/merge" }, failsAt: { claim: "rpo_ref" } }],
    branch: asRef("rpo_ref"),
    warning: "nothing in its tokens says whether a branch is protected",
  },
  "azure-devops-entra": {
    ...nothing,
    ids: ["sub"],
    form: /^\/eid1\/c\//,
    ask: () => "the `sub` of the service connection's token: hand over such a token with --token-file",
    warning:
      "it names a service connection and nothing of the run: every pipeline that may use the connection is the same workload",
  },
  google: {
    ...nothing,
    ids: ["sub"],
    form: number,
    ask: () => "gcloud iam service-accounts describe EMAIL --format 'value(uniqueId)'",
    warning: "it names a service account and a machine, and nothing of the build that runs there",
  },
  kubernetes: {
    ...nothing,
    ids: ["kubernetes.io/serviceaccount/uid"],
    form: uuid,
    ask: () => "kubectl get serviceaccount NAME -n NAMESPACE -o jsonpath={.metadata.uid}",
    warning: "it names a service account, and nothing of what its pods run",
  },
  spiffe: {
    ...nothing,
    ids: ["sub"],
    form: /^spiffe:\/\/[^/]+\/./,
    ask: () => "the SPIFFE ID, such as spiffe://example.org/ci/shop",
    warning: "who gets this SPIFFE ID is decided by registration entries",
  },
  "hcp-terraform": {
    ...nothing,
    ids: ["terraform_workspace_id"],
    form: /^ws-\w+$/,
    ask: () => "the workspace's settings show it: ws-…",
    lines: () => [
      { claim: "terraform_run_phase", value: "apply", because: "a plan may be a speculative one, of anybody's pull request" },
    ],
    strangers: () => [
      { it: "denies a plan", claims: { terraform_run_phase: "plan" }, failsAt: { claim: "terraform_run_phase" } },
    ],
    warning: "it does not say who confirmed an apply, or of which branch it is",
  },
  nomad: {
    ...nothing,
    ids: ["nomad_namespace", "nomad_job_id"],
    form: /^[^/]+\/.+$/,
    ask: () => "NAMESPACE/JOB, such as ci/shop",
    warning: "whoever may submit to the namespace decides what the job runs",
  },
  generic: {
    ...nothing,
    ids: [],
    form: /./,
    ask: () => "what the claims of the issuer's `workload` in mayfly.yaml are for this repository, divided by '/'",
  },
};
