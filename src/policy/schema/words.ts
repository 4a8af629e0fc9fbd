import type { Words } from "./node.ts";

/*
 * What an editor shows beside each key. By its place: `*` is any name, `[]` any item. What stands in `who` is said in who.ts, what
 * a provider's own options are, by the provider.
 */

const life = "A whole number and a unit: 90s, 15m, 12h. A credential lives 24h at most.";

const network =
  "What a run may reach, and nothing else: `db.example.com:5432`, `git.example.com` (port 443), `*.mirror.example.com` (exactly one label), `set:NAME` (a NAME.set.yaml), `credentials` (the endpoints of the credentials' providers).";

const when = "When a run may begin; one that goes on is not ended by it. Needs a zone, and days or hours.";

export const hoursWords: Words = {
  days: { says: "`mon-fri`, one day, or a list of those; left out, every day.", examples: ["mon-fri", ["mon", "wed"]] },
  hours: {
    says: "From and to, the last minute not included; `22:00-06:00` goes on past midnight. Left out, all day.",
    examples: ["07:00-19:00"],
  },
  zone: { says: "A time zone by its IANA name: summer time moves with it.", examples: ["Europe/Berlin", "UTC"] },
};

const limits = {
  image: "The image that the job runs in, by digest; left out, it sees the host's toolchain, read-only.",
  env: "Variables of the runner that the job sees.",
  "env.pass": {
    says: "Names; one that ends in `*` stands for all that begin so. Some names never pass, whatever stands here.",
    examples: [["CI", "GITHUB_RUN_*"]],
  },
  memory: { says: "The most memory that the job may use.", examples: ["2GiB"] },
  cpus: "The most processors that the job may use at once.",
  pids: "The most processes and threads that the job may have.",
  timeout: "After this long the job is ended.",
  runtimes: "The runtimes that may run the job; left out, the one that the host has chosen.",
  network: "What a run may reach where the trust of its job says otherwise.",
} as const;

const limitWords = (at: string): Words =>
  Object.fromEntries(Object.entries(limits).map(([key, word]) => [`${at}.${key}`, word]));

export const templateWords: Words = {
  "": "A Mayfly template: who may have what, delivered how, run how. `mayfly check` says what is wrong with one, `mayfly explain NAME --expand` what becomes of it.",
  version: "The version of the language: 1.",
  template: { says: "Its name; in a folder `shop/` it begins with `shop/`.", examples: ["deploy", "shop/release"] },
  extends: "A template that this one narrows, by its name. It takes all of it, and can only take away.",
  owner: "Who answers for it: a team, for people to ask.",
  who: "Whose jobs may use it, by the claims of their identity token: every line must hold. Left out, the template gives nothing to anybody and is there to be extended.",
  for_each:
    "One template for each entry, called TEMPLATE/ENTRY, with its values put in for `{each.NAME}`. A value that is used nowhere does not load.",
  "for_each.*": "The values of one entry.",
  "for_each.*.*": "Plain text, without `*`, `{` and `}`.",
  when,
  max_ttl: { says: `No credential of this template lives longer. ${life}`, examples: ["15m"] },
  credentials: "What a run may have, by name. With steps, each step says which of them it gets.",
  "credentials.*": "One credential: what is not listed here is its provider's own.",
  "credentials.*.provider": "An entry of mayfly.yaml's `providers`.",
  "credentials.*.ttl": {
    says: `How long it lives. ${life} Left out: 10m, or \`max_ttl\` where that is less.`,
    examples: ["10m"],
  },
  "credentials.*.wait": {
    says: "How long a run waits for a provider that is down, 10m at most, before it is denied or goes on without. Left out: not at all.",
    examples: ["30s"],
  },
  "credentials.*.optional": "Whether the run goes on without it where its provider is down.",
  "credentials.*.deliver": "How it lands in the job; left out, every part is a file under its own name.",
  "credentials.*.deliver.files": {
    says: "Files under /run/mayfly/credentials/NAME, and which part each holds.",
    examples: [{ user: "username", password: "password" }],
  },
  "credentials.*.deliver.files.*": "A part of what the provider gives, such as token, username or password.",
  steps: "Parts of a job, each run in a sandbox of its own and with its own credentials. A runner names one.",
  "steps.*": "One step: it gets what it lists here and nothing else.",
  "steps.*.run": {
    says: "The command, pinned: a runner may ask for exactly this one or for none.",
    examples: [["npm", "run", "migrate"]],
  },
  "steps.*.credentials": "Which of the template's credentials it gets. Left out: none.",
  "steps.*.network": { says: `${network} Left out: nothing.`, examples: [["credentials"]] },
  "steps.*.workspace": "How it sees the checkout: `read-only`, `overlay` (its changes are thrown away) or `rw`.",
  network: `${network} For a template without steps; with steps, each says so itself.`,
  sandbox: "What the job may use of the host.",
  ...limitWords("sandbox"),
  "sandbox.by_trust": "What differs for a job of that trust.",
  ...limitWords("sandbox.by_trust.*"),
  observe: "What is only watched until a date, and recorded: never `who`, and never a scope.",
  "observe.parts": "`network`: what it may reach. `limits`: memory, cpus, pids, timeout.",
  "observe.until": { says: "The last day (UTC); from then on all is enforced again.", examples: ["2027-01-31"] },
  tolerate: "What the host may lack, each with the reason. Everything is required where nothing stands here.",
  "tolerate.*": "Why, in at least eight characters.",
  accept:
    "Risks that `mayfly check` names and this template takes, by the rule's name, each with the reason that an auditor will read.",
  "accept.*": "Why, in at least eight characters.",
};

export const boundsWords: Words = {
  "": "What the templates of this folder and those beneath it may use at most. A key that is left out bounds nothing; the root's bounds.yaml is the floor of the whole site.",
  version: "The version of the language: 1.",
  owner: "Who answers for the templates that name nobody.",
  who: "Lines that are added to the `who` of each template.",
  when,
  max_ttl: { says: `No credential lives longer. ${life}`, examples: ["1h"] },
  unrevocable: "Credentials that nobody can end before they expire.",
  "unrevocable.max_ttl": { says: `The longest that such a credential lives. ${life}`, examples: ["15m"] },
  credentials: "Each credential must fit one of these.",
  "credentials.[]": "A provider, and what may be asked of it.",
  "credentials.[].provider": "An entry of mayfly.yaml's `providers`.",
  "credentials.[].options": {
    says: "For each option of the provider that is bound, what it may be: text, in which `*` stays within one segment and a last `**` crosses, or a list of such.",
    examples: [{ path: "database/creds/shop*" }],
  },
  "credentials.[].options.*": "Text or a list of text; `*` stays within one segment.",
  "credentials.[].max_ttl": { says: `The longest that it lives. ${life}`, examples: ["15m"] },
  "credentials.[].commands": {
    says: "`pinned`: each step that gets it pins its command. A list: to one of these.",
    examples: ["pinned", [["npm", "run", "migrate"]]],
  },
  network: "What a template's network lists may name.",
  sandbox: "The most that a template's `sandbox` may ask for.",
  ...limitWords("sandbox"),
  "sandbox.images": {
    says: "Images that may be named, always with a digest; `host` is the host's toolchain.",
    examples: [["host", "registry.example.com/ci/*"]],
  },
  tolerate: "What a template may tolerate, by name; an empty list: nothing.",
};

export const setWords: Words = {
  "": "A network set: hosts under one name, for `set:NAME` in a template's network lists.",
  version: "The version of the language: 1.",
  set: { says: "Its name, as the file has it.", examples: ["node"] },
  revision: { says: "What an auditor finds this version of the list by, such as a date.", examples: ["2026-11-20"] },
  hosts: {
    says: "`host`, `host:port` (443 where left out), `*.host` (exactly one label).",
    examples: [["*.mirror.example.com", "git.example.com:22"]],
  },
};

export const testWords: Words = {
  "": "Policy tests: what should be granted and what denied. `mayfly check --test` runs them; the broker never reads them.",
  version: "The version of the format: 1.",
  issuer: "The CI system that signed the token, as mayfly.yaml calls it. A test may name another.",
  claims:
    "Claims that the tokens of all tests have. What the CI system always sends and a test leaves out is `unspecified`, which is no branch, event or id.",
  template: "The template that the tests ask for, where they name no other.",
  tests: "The tests, each one a request and what should come of it.",
  "tests.[]": "One request, and what should come of it.",
  "tests.[].it": { says: "What should be so, in a sentence that begins after «it».", examples: ["denies another repository"] },
  "tests.[].issuer": "Where it is another than the file's.",
  "tests.[].claims": {
    says: "Claims of this test, beside or instead of the shared ones; null takes one away.",
    examples: [{ event_name: "pull_request" }],
  },
  "tests.[].at": { says: "When it is asked. A test of a template with hours must say so.", examples: ["2026-11-23T10:00:00Z"] },
  "tests.[].template": "The template that is asked for; left out, the one that is meant for this identity.",
  "tests.[].step": "The step that is asked for; left out, each of the template's steps, and what they give together.",
  "tests.[].command": "The command that would be run; left out, the pinned one, or any.",
  "tests.[].expect": "Either `granted` or `denied`.",
  "tests.[].expect.granted": "The template that grants it, such as deploy or deploy/staging.",
  "tests.[].expect.credentials": { says: "Exactly these credentials, by name.", examples: [["db"], []] },
  "tests.[].expect.ttl": { says: "How long a credential lives, by its name.", examples: [{ db: "10m" }] },
  "tests.[].expect.ttl.*": "A whole number and a unit: 90s, 15m, 12h.",
  "tests.[].expect.network": {
    says: "Exactly these endpoints, after every set is expanded.",
    examples: [["db.example.com:5432"]],
  },
  "tests.[].expect.workspace": "How the step sees the checkout.",
  "tests.[].expect.denied": "The code that the denial has.",
  "tests.[].expect.claim": {
    says: "The line of `who` that failed first, by its claim.",
    examples: ["trust", "repository_id", "not event_name"],
  },
  "tests.[].expect.template": "Whose line that is, where no template is asked for.",
};
