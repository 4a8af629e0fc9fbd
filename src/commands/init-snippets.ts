import { stringify } from "yaml";
import type { PresetName } from "../identity/presets/presets.ts";

/** What goes into the pipeline's own definition so that a job runs with the template. */
export interface Snippet {
  /** Where it goes. */
  readonly place: string;
  readonly text: string;
}

interface Wanted {
  readonly template: string;
  /** Whom a token is made for, where the CI system must be told; elsewhere the broker says it itself. */
  readonly audience: string;
  readonly branch: string;
  /** Of the deployment, where the template asks for one. */
  readonly environment: string | undefined;
}

/** `1.0` and `on` are no texts without quotes. */
const branchIn = ({ branch }: Wanted) => stringify(branch).trim();
/** A line of the job's own, in its indentation. */
const environmentIn = ({ environment }: Wanted, indent: string) =>
  environment === undefined ? "" : `\n${indent}environment: ${stringify(environment).trim()}`;
const audienceIn = ({ audience }: Wanted) => JSON.stringify(audience);

const command = ({ template }: Wanted) => `mayfly run --template ${template} -- ./deploy.sh`;

/** By preset. Each asks for the job's token and nothing more, and runs one command through the broker on its own host. */
export const snippets: Readonly<Record<PresetName, (wanted: Wanted) => Snippet>> = {
  github: (wanted) => ({
    place: ".github/workflows/deploy.yml",
    text: `on: { push: { branches: [${branchIn(wanted)}] } }
permissions: {}
jobs:
  deploy:
    runs-on: self-hosted # a host that has the broker${environmentIn(wanted, "    ")}
    permissions:
      id-token: write # the job may ask for its identity token
      contents: read
    steps:
      - uses: actions/checkout@v5
      - run: ${command(wanted)}`,
  }),
  forgejo: (wanted) => ({
    place: ".forgejo/workflows/deploy.yml",
    text: `on: { push: { branches: [${branchIn(wanted)}] } }
enable-openid-connect: true # the job may ask for its identity token
jobs:
  deploy:
    runs-on: self-hosted # a host that has the broker
    steps:
      - uses: actions/checkout@v5
      - run: ${command(wanted)}`,
  }),
  gitlab: (wanted) => ({
    place: ".gitlab-ci.yml",
    text: `deploy:
  tags: [mayfly] # a runner on a host that has the broker${environmentIn(wanted, "  ")}
  rules:
    - if: $CI_COMMIT_BRANCH == "${wanted.branch}"
  id_tokens:
    MAYFLY_ID_TOKEN:
      aud: ${audienceIn(wanted)} # as mayfly.yaml has it
  script:
    - ${command(wanted)}`,
  }),
  buildkite: (wanted) => ({
    place: ".buildkite/pipeline.yml",
    text: `steps:
  - label: deploy
    branches: ${branchIn(wanted)}
    agents: { queue: mayfly } # a host that has the broker; its agent is asked for the token
    command: ${command(wanted)}`,
  }),
  circleci: (wanted) => ({
    place: ".circleci/config.yml",
    text: `version: 2.1
jobs:
  deploy:
    machine: true
    resource_class: acme/mayfly # a runner on a host that has the broker
    steps:
      - checkout
      - run: ${command(wanted)}
workflows:
  deploy:
    jobs:
      - deploy: { context: [deploy], filters: { branches: { only: ${branchIn(wanted)} } } } # a token needs a context`,
  }),
  jenkins: (wanted) => ({
    place: "Jenkinsfile",
    text: `// a credential of the kind «OpenID Connect id token» in this job's folder: id mayfly, audience ${wanted.audience}
node('mayfly') { // a host that has the broker
  checkout scm
  withCredentials([string(credentialsId: 'mayfly', variable: 'MAYFLY_ID_TOKEN')]) {
    sh '${command(wanted)}'
  }
}`,
  }),
  bitbucket: (wanted) => ({
    place: "bitbucket-pipelines.yml",
    text: `pipelines:
  branches:
    ${branchIn(wanted)}:
      - step:
          name: deploy
          runs-on: [self.hosted, mayfly] # a host that has the broker
          oidc:
            audiences: [${audienceIn(wanted)}] # as mayfly.yaml has it, and no other
          script:
            - ${command(wanted)}`,
  }),
  "azure-devops": (wanted) => ({
    place: "azure-pipelines.yml",
    text: `trigger: [${branchIn(wanted)}]
pool: mayfly # hosts that have the broker
steps:
  - checkout: self
  - script: ${command(wanted)}
    env:
      SYSTEM_ACCESSTOKEN: $(System.AccessToken) # the job may ask for its identity token`,
  }),
  "azure-devops-entra": (wanted) => ({
    place: "azure-pipelines.yml",
    text: `trigger: [${branchIn(wanted)}]
pool: mayfly # hosts that have the broker
steps:
  - checkout: self
  - script: ${command(wanted)}
    env:
      SYSTEM_ACCESSTOKEN: $(System.AccessToken) # the job may ask for its identity token
      MAYFLY_SERVICE_CONNECTION: 00000000-0000-0000-0000-000000000000 # the connection's resourceId`,
  }),
  google: (wanted) => ({
    place: "the build's script, on a machine of Google Cloud that has the broker",
    text: `${command(wanted).replace("run ", "run --token google ")}`,
  }),
  kubernetes: (wanted) => ({
    place: "the runner's pod, on a node that has the broker",
    text: `spec:
  serviceAccountName: ci
  containers:
    - name: job
      command: [sh, -c, "${command(wanted)}"]
      volumeMounts:
        - { name: mayfly-token, mountPath: /var/run/secrets/mayfly, readOnly: true }
        - { name: mayfly, mountPath: /run/mayfly }
  volumes:
    - name: mayfly
      hostPath: { path: /run/mayfly, type: Directory }
    - name: mayfly-token
      projected:
        sources:
          - serviceAccountToken: { path: token, audience: ${audienceIn(wanted)}, expirationSeconds: 600 }`,
  }),
  spiffe: (wanted) => ({
    place: "the job's script, with spire-agent on its PATH",
    text: `SPIFFE_ENDPOINT_SOCKET=unix:///run/spire/sockets/agent.sock ${command(wanted)}`,
  }),
  "hcp-terraform": (wanted) => ({
    place: "the workspace's variables and its agent's hook, on a host that has the broker",
    text: `# environment variable of the workspace
TFC_WORKLOAD_IDENTITY_AUDIENCE_MAYFLY = ${wanted.audience}
# the agent's hook
${command(wanted)}`,
  }),
  nomad: (wanted) => ({
    place: "the job's specification",
    text: `task "deploy" {
  identity {
    name = "mayfly"
    aud  = [${audienceIn(wanted)}]
    file = true
    ttl  = "10m"
  }
  config {
    command = "mayfly"
    args    = ["run", "--template", "${wanted.template}", "--", "./deploy.sh"]
  }
}`,
  }),
  generic: (wanted) => ({
    place: "the job's script",
    text: `# token.jwt: an identity token of the job, for ${wanted.audience}
${command(wanted).replace("run ", "run --token token.jwt ")}`,
  }),
};
