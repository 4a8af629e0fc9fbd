import { z } from "zod";
import { type Compiled, compileTemplates } from "../../src/policy/language/compile.ts";
import type { Policy } from "../../src/policy/policy.ts";
import { type Problem, problemText } from "../../src/policy/problem.ts";
import type { Excess, IsolationBounds, IsolationRoom, IssuerRoom, ProviderRoom, Rooms } from "../../src/policy/rooms.ts";
import { slot } from "../../src/policy/slots.ts";

export { identityWith } from "./identities.ts";

/** Small rooms, so that what a test says is all that matters: one provider with slots, one without, a delivery, an isolation. */
const vault = z.strictObject({
  path: slot("path-segment"),
  fields: z.array(z.string()).optional(),
  note: z.string().optional(),
  tag: slot("tag").optional(),
});
const local = z.strictObject({ commonName: slot("name").optional(), kind: z.enum(["x509", "jwt"]).default("x509") });
const delivery = z.strictObject({ files: z.record(z.string(), z.string()) }).optional();
const isolation = z
  .strictObject({
    memory: z
      .string()
      .regex(/^[0-9]+GiB$/, "write a size, such as 2GiB")
      .default("1GiB"),
    timeout: z.string().default("30m"),
    env: z.strictObject({ pass: z.array(z.string()) }).prefault({ pass: ["CI"] }),
    image: z.string().optional(),
    runtimes: z.array(z.string()).min(1).optional(),
    tolerate: z.partialRecord(z.enum(["no-swap", "pids-limit"]), z.string()).default({}),
  })
  .prefault({});

const isolationBounds = z
  .strictObject({
    memory: z.string().optional(),
    env: z.strictObject({ pass: z.array(z.string()) }).optional(),
    images: z.array(z.string()).optional(),
    runtimes: z.array(z.string()).optional(),
    tolerate: z.array(z.enum(["no-swap", "pids-limit"])).optional(),
  })
  .prefault({});

export type Delivery = z.output<typeof delivery>;
export type Isolation = z.output<typeof isolation>;

const gib = (size: string) => Number.parseInt(size, 10);

function beyond(
  isolation: Isolation,
  bounds: {
    readonly memory?: string | undefined;
    readonly pass?: readonly string[] | undefined;
    readonly images?: readonly (string | undefined)[] | undefined;
    readonly runtimes?: readonly string[] | undefined;
    readonly tolerate?: readonly string[] | undefined;
  },
): readonly Excess[] {
  const { memory, pass, images, runtimes, tolerate } = bounds;
  const passed = pass === undefined ? [] : isolation.env.pass.filter((name) => !pass.includes(name));
  const tolerated = tolerate === undefined ? [] : Object.keys(isolation.tolerate).filter((name) => !tolerate.includes(name));
  return [
    ...(memory !== undefined && gib(isolation.memory) > gib(memory) ? [{ key: "memory", message: `more than ${memory}` }] : []),
    ...passed.map((name) => ({ key: "env.pass", message: `${name} is not among ${(pass ?? []).join(", ")}` })),
    ...(images !== undefined && !images.includes(isolation.image) ? [{ key: "image", message: "another image" }] : []),
    ...(runtimes !== undefined && isolation.runtimes?.every((name) => runtimes.includes(name)) !== true
      ? [{ key: "runtimes", message: `not ${runtimes.join(" or ")}` }]
      : []),
    ...tolerated.map((name) => ({ key: `tolerate.${name}`, message: `${name} cannot be tolerated here` })),
  ];
}

const isolationRoom: IsolationRoom<Isolation> = {
  schema: isolation,
  bounds: isolationBounds.transform(
    ({ memory, env, images, runtimes, tolerate }): IsolationBounds<Isolation> => ({
      beyond: (inner: Isolation) =>
        beyond(inner, {
          memory,
          pass: env?.pass,
          images: images?.map((name) => (name === "host" ? undefined : name)),
          runtimes,
          tolerate,
        }),
      usual: runtimes === undefined ? {} : { runtimes },
    }),
  ),
  exceeds: (inner, outer) =>
    beyond(inner, {
      memory: outer.memory,
      pass: outer.env.pass,
      images: [outer.image],
      runtimes: outer.runtimes,
      tolerate: Object.keys(outer.tolerate),
    }),
  unlimited: (inner) => ({ ...inner, memory: "1024GiB", timeout: "24h" }),
  written: ({ tolerate: _, ...rest }) => rest,
  facts: ({ image, env, tolerate }) => ({
    timeout: 1_800_000,
    image,
    passes: env.pass,
    tolerates: Object.keys(tolerate),
    dropped: [],
  }),
  lacks: {},
};

const vaultRoom: ProviderRoom = {
  type: "vault",
  options: vault,
  gives: () => "username-password",
  maxTtl: 3_600_000,
  ends: () => "revoke",
  endpoints: ["vault.example.com:8200"],
};

const localRoom: ProviderRoom = {
  type: "local",
  options: local,
  gives: (options: unknown) => (local.parse(options).kind === "jwt" ? "bearer" : "x509"),
  ends: () => "expires",
  endpoints: [],
};

const issuer = (preset: string, room: Partial<IssuerRoom> = {}): IssuerRoom => ({
  preset,
  claims: [],
  subjectsBelow: undefined,
  workload: [],
  names: [],
  known: undefined,
  lists: [],
  sent: [],
  trusts: ["protected", "branch", "pull_request", "fork", "unknown"],
  ...room,
});

export const rooms: Rooms<Delivery, Isolation> = {
  providers: new Map([
    ["vault-main", vaultRoom],
    ["local", localRoom],
  ]),
  delivery,
  isolation: isolationRoom,
  deliverable: (wanted, kind) => (wanted !== undefined && kind === "bearer" ? `a ${kind} has no such part` : undefined),
  issuers: new Map([
    [
      "github",
      issuer("github", { workload: ["repository_id"], claims: ["repository_id", "repository", "sub"], names: ["repository"] }),
    ],
    ["gitlab", issuer("gitlab", { workload: ["project_id"], claims: ["project_id", "sub"] })],
    ["mesh", issuer("spiffe", { claims: ["sub"], subjectsBelow: "spiffe://example.org/" })],
    ["folder", issuer("generic")],
    ["hub", issuer("gitea", { claims: ["repository_id"], known: ["repository_id", "event_name", "ref", "sub"] })],
  ]),
};

/** A template as its author writes it, from the lines that a test is about. */
export function template(lines: string, name = "deploy"): string {
  return `version: 1\ntemplate: ${name}\n${lines}\n`;
}

export const who = 'who: { issuer: github, repository_id: "519283746" }';

/** For templates that give something: whose code it runs is asked too. */
export const trusted = 'who: { issuer: github, repository_id: "519283746", trust: protected }';

export function compile(...texts: readonly string[]): Compiled<Delivery, Isolation> {
  return compileTree(Object.fromEntries(texts.map((text, index) => [`t${index}.yaml`, text])));
}

/** A whole tree of files, by their paths. */
export type Tree = Readonly<Record<string, string>>;

export function compileTree(files: Tree): Compiled<Delivery, Isolation> {
  return compileTemplates(
    Object.entries(files).map(([file, text]) => ({ file, text })),
    rooms,
  );
}

export function policyOfTree(files: Tree): Policy<Delivery, Isolation> {
  const compiled = compileTree(files);
  if (compiled.kind === "problems") throw refusal(compiled.problems);
  return compiled.policy;
}

export function problemsOfTree(files: Tree): readonly string[] {
  const compiled = compileTree(files);
  return compiled.kind === "problems" ? compiled.problems.map(problemText) : [];
}

/** Advice alone refuses nothing. */
function refusal(problems: readonly Problem[]): Error {
  return new Error(
    problems
      .filter(({ level }) => level !== "advice")
      .map((problem) => `${problem.rule}: ${problemText(problem)}`)
      .join("\n"),
  );
}

export function policyOf(...texts: readonly string[]): Policy<Delivery, Isolation> {
  const compiled = compile(...texts);
  if (compiled.kind === "problems") throw refusal(compiled.problems);
  return compiled.policy;
}

export function problemsOf(...texts: readonly string[]): readonly string[] {
  const compiled = compile(...texts);
  return compiled.kind === "problems" ? compiled.problems.map(problemText) : [];
}
