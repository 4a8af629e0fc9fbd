import { BrokerError } from "../../errors.ts";
import type { Clock } from "../../time.ts";
import { apply, readAnswer } from "./answer.ts";
import type { LastWord } from "./last-word.ts";
import { type Limits, questionOf } from "./question.ts";
import type { Rego, Said } from "./rego.ts";

export interface LastWordParts<Isolation> {
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
  /** The isolation as the policy sees it. */
  readonly limits: (isolation: Isolation) => Limits;
}

/** Whatever goes wrong between the question and an answer that is understood denies. */
export function lastWordOf<Delivery, Isolation>(
  rego: Rego,
  { clock, random, limits }: LastWordParts<Isolation>,
): LastWord<Delivery, Isolation> {
  return {
    async ask(grant, signal) {
      try {
        signal.throwIfAborted();
        refuseLong(grant.command);
        const said = await rego.ask(questionOf(grant, limits(grant.isolation), clock.now()), signal);
        const answer = readAnswer(said.result);
        return { outcome: apply(grant, answer), decision: idOf(rego, said, answer.id ?? random(8).toString("hex")) };
      } catch (cause) {
        // Ended by containment, a drain or the client itself: that is what the caller hears of.
        signal.throwIfAborted();
        if (cause instanceof BrokerError) throw cause;
        throw new BrokerError("last-word-unavailable", undefined, { detail: wordsOf(cause), cause });
      }
    },
  };
}

/** Words, and bytes of all of them. */
const longestCommand = { words: 256, bytes: 16_384 } as const;

/** The command is the asker's own, and what a rule costs grows with its words, perhaps with their square. */
function refuseLong(command: readonly string[]): void {
  const bytes = command.reduce((sum, word) => sum + Buffer.byteLength(word), 0);
  if (command.length <= longestCommand.words && bytes <= longestCommand.bytes) return;
  throw new BrokerError("last-word-unavailable", "the command is too long for the site's last word", {
    detail: `a command of ${command.length} words and ${bytes} bytes`,
    hint: `it has at most ${longestCommand.words} words and ${longestCommand.bytes / 1_024} KiB: put it into a file, and run that`,
  });
}

/** `opa:SERVERS-OWN-ID`, or `opa:3f2a9c01b2d4:ID` with the digest of the bundle that decided. */
function idOf({ version }: Rego, { id }: Said, otherwise: string): string {
  return ["opa", ...(version === undefined ? [] : [version]), id ?? otherwise].join(":");
}

/** The library throws texts as well as errors. */
function wordsOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).slice(0, 500);
}
