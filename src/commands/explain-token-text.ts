import { codes } from "../errors.ts";
import { claimText } from "./explain-claim.ts";
import { givenLines } from "./explain-given.ts";
import { type About, type Account, accountOf, type Believed, type CheckAccount } from "./explain-token-account.ts";

/** For a person. */
export function accountLines(about: About): readonly string[] {
  const { verdict, code, message, checks, identity, leftOut } = accountOf(about);
  const proviso = provisos[verdict];
  return [
    verdict === "accepted" ? "accepted: the token is good" : `NOT ACCEPTED: ${message ?? "the signature was not checked"}`,
    ...(code === null ? [] : [`  code  ${code}`]),
    "checks:",
    ...checks.map(checkLine),
    ...(identity === null ? ["nothing of it is believed"] : identityLines(identity, proviso)),
    ...leftOut.map(({ claim, why }) => `  left out  ${claim}: ${why}`),
    ...(about.given === undefined ? [] : [`what its job ${proviso.given}:`, ...givenLines(about.given)]),
    ...(about.untried === undefined ? [] : [`no template was tried: ${about.untried}`]),
  ];
}

const provisos = {
  accepted: { believed: "is believed", given: "would be given" },
  refused: { believed: "would be believed, were it accepted", given: "would be given, were it accepted" },
  "not verified": { believed: "is believed, if the signature is good", given: "would be given, if the signature is good" },
} as const satisfies Readonly<Record<Account["verdict"], object>>;

type Proviso = (typeof provisos)[Account["verdict"]];

const states = { held: "held     ", failed: "FAILED   ", unchecked: "unchecked" } as const;

function checkLine({ check, state, code, why, about }: CheckAccount): string {
  const reason = code === undefined ? [] : [why === undefined ? codes[code] : `${codes[code]}: ${why}`];
  return `  ${states[state]}  ${check.padEnd(9)}  ${[about, ...reason].filter((text) => text !== "").join("; ")}`;
}

function identityLines(identity: Believed, { believed }: Proviso): readonly string[] {
  const { subject, workload, job, trust, replayKey, claims } = identity;
  const from = (names: readonly string[]) => (names.length === 0 ? "no claim at all" : names.join(", "));
  return [
    `what ${believed}:`,
    `  subject   ${subject}`,
    `  workload  ${workload.id}  from ${from(workload.from)}`,
    `  job       ${job.id}  from ${from(job.from)}`,
    `  trust     ${trust.is}  from ${from(trust.from)}`,
    `  replay    ${replayKey ?? "cannot be told"}${replayKey === null ? "" : "  (whether it is spent already, the broker knows)"}`,
    ...claims.map(({ claim, value, use }) => `  ${use.padEnd(8)}  ${claimText(claim, value)}`),
  ];
}
