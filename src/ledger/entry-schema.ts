import { z } from "zod";
import { type Code, isCode } from "../errors.ts";
import type { Entry, Event } from "./entry.ts";

/** What a leaf must look like to be an entry: read by verifiers, who trust nothing, so no member may be missing or extra. */
const id = z.string().min(1);
const text = z.string();
const whole = z.int().nonnegative();
const uid = z.int().min(-1);
const code = z.custom<Code>((value) => typeof value === "string" && isCode(value), "not a known code");
const peerSeen = z.strictObject({ uid, pid: whole, cgroup: text.nullable() });
const handle = z.record(z.string(), z.string()).nullable();

const started = z.strictObject({ kind: z.literal("started"), version: text, configuration: text, host: text });
/** A fraction has more than one spelling, so that a claim which is one is recorded as its text. */
const claim = z.union([text, z.int(), z.boolean(), z.array(text)]);
const identity = { issuer: text, subject: text, workload: text, job: text, trust: text, claims: z.record(text, claim) };
const policyChange = z.enum(["start", "change", "signal", "operator"]);

const policy = z.strictObject({
  kind: z.literal("policy"),
  policy: id,
  templates: z.array(text),
  by: policyChange,
  lastWord: text.nullable(),
});
const policyRefused = z.strictObject({ kind: z.literal("policy-refused"), by: policyChange, problems: whole, first: text });
const sessionOpened = z.strictObject({
  kind: z.literal("session-opened"),
  ...identity,
  session: id,
  token: id,
  peer: peerSeen,
  until: whole,
});
const sessionEnded = z.strictObject({
  kind: z.literal("session-ended"),
  session: id,
  why: z.enum(["asked", "stale", "contained", "unspent"]),
});
const runOpened = z.strictObject({
  kind: z.literal("run-opened"),
  run: id,
  session: id,
  peer: peerSeen,
  template: text,
  step: text.nullable(),
  policy: text,
  reason: text,
  asked: text.nullable(),
  tolerated: z.array(text),
  observed: z.array(text),
  lastWord: text.nullable(),
});
const observed = z.strictObject({
  kind: z.literal("observed"),
  ...identity,
  claims: identity.claims.nullable(),
  observation: id,
  peer: peerSeen,
  template: text,
  step: text.nullable(),
  policy: text,
  reason: text,
  asked: text.nullable(),
  lastWord: text.nullable(),
});
const denied = z.strictObject({
  kind: z.literal("denied"),
  denial: id,
  code,
  message: text,
  peer: peerSeen,
  issuer: text.nullable(),
  subject: text.nullable(),
  workload: text.nullable(),
  job: text.nullable(),
  trust: text.nullable(),
  claims: identity.claims.nullable(),
  policy: text.nullable(),
  trace: z.unknown(),
  asked: text.nullable(),
  step: text.nullable(),
  lastWord: text.nullable(),
});
const intent = z.strictObject({
  kind: z.literal("intent"),
  lease: id,
  run: id,
  credential: text,
  provider: text,
  as: z.enum(["broker", "host", "job"]),
  options: z.unknown(),
  optional: z.boolean(),
  latestExpiry: whole,
});
const issued = z.strictObject({
  kind: z.literal("issued"),
  lease: id,
  ending: z.enum(["revoke", "expires", "static"]),
  handle,
  expiresAt: whole.nullable(),
});
const runEnded = z.strictObject({
  kind: z.literal("run-ended"),
  run: id,
  outcome: z.enum(["exited", "timeout", "oom", "cancelled", "killed", "refused", "lost"]),
  exitCode: z.int().nullable(),
  code: code.nullable(),
  peakMemory: whole.nullable(),
});
const egress = z.strictObject({
  kind: z.literal("egress"),
  run: id,
  host: text,
  port: whole,
  connections: whole,
  allowed: z.boolean(),
});
const fenceRaised = z.strictObject({
  kind: z.literal("fence-raised"),
  scope: text,
  fence: whole,
  closed: z.boolean(),
  who: text,
  why: text,
});

const operated = z.strictObject({
  kind: z.literal("operated"),
  verb: z.enum(["revoke-lease", "reload", "drain", "refresh-keys", "accept-key", "rotate-key", "rotate"]),
  about: text,
  who: text,
  why: text,
});

const identityRenewed = z.strictObject({
  kind: z.literal("identity-renewed"),
  session: id,
  run: id.nullable(),
  token: id,
  expiresAt: whole,
});
const issuerKeys = z.strictObject({
  kind: z.literal("issuer-keys"),
  issuer: text,
  change: z.enum(["first", "added", "withdrawn", "replaced", "refused", "unreachable", "reachable"]),
  keys: z.array(z.strictObject({ kid: text, thumbprint: text })),
  why: text.nullable(),
});

const event: z.ZodType<Event> = z.discriminatedUnion("kind", [
  started,
  policy,
  policyRefused,
  sessionOpened,
  sessionEnded,
  runOpened,
  observed,
  denied,
  intent,
  issued,
  z.strictObject({ kind: z.literal("failed"), lease: id, code }),
  z.strictObject({ kind: z.literal("unknown"), lease: id, code }),
  z.strictObject({ kind: z.literal("delivered"), lease: id }),
  z.strictObject({ kind: z.literal("revoked"), lease: id, by: z.enum(["job-end", "sweeper", "responder"]) }),
  z.strictObject({ kind: z.literal("revocation-failed"), lease: id, code, attempt: whole }),
  z.strictObject({ kind: z.literal("expired"), lease: id }),
  z.strictObject({ kind: z.literal("exposed"), lease: id, why: text }),
  runEnded,
  egress,
  fenceRaised,
  operated,
  identityRenewed,
  issuerKeys,
  z.strictObject({ kind: z.literal("rotated"), provider: text, name: text }),
  z.strictObject({ kind: z.literal("rotation-failed"), provider: text, name: text, code }),
  z.strictObject({ kind: z.literal("audit-read"), peer: uid, what: text }),
  z.strictObject({ kind: z.literal("denials-counted"), peer: uid, count: whole, from: whole, to: whole }),
]);

export const entrySchema: z.ZodType<Entry> = z.strictObject({ v: z.literal(1), index: whole, time: whole, event });
