import { acceptIdle, acceptUnknown } from "./accept.ts";
import { claimRules } from "./claim-rules.ts";
import { credentialRules } from "./credential-rules.ts";
import { networkRules } from "./network-rules.ts";
import { policyRules } from "./policy-rules.ts";
import type { Rule } from "./rule.ts";
import { sandboxRules } from "./sandbox-rules.ts";
import { scopeRules } from "./scope-rules.ts";
import { stepRules } from "./step-rules.ts";
import { trustRules } from "./trust-rules.ts";
import { whoseRules } from "./whose-rules.ts";

export interface Theme {
  readonly title: string;
  readonly rules: readonly Rule[];
}

/** Every rule that `mayfly check` knows; docs/lint.md has a section for each. */
export const themes: readonly Theme[] = [
  { title: "Whose jobs they are", rules: whoseRules },
  { title: "Whether the lines say what was meant", rules: claimRules },
  { title: "Whose code it is", rules: trustRules },
  { title: "What is given, and for how long", rules: credentialRules },
  { title: "What a credential may do", rules: scopeRules },
  { title: "Where a run may go", rules: networkRules },
  { title: "What runs beside the credentials", rules: stepRules },
  { title: "What holds the job", rules: sandboxRules },
  { title: "What a template is among the others", rules: [...policyRules, acceptUnknown(() => levels()), acceptIdle] },
];

export const rules: readonly Rule[] = themes.flatMap((theme) => theme.rules);

function levels(): ReadonlyMap<string, Rule["level"]> {
  return new Map(rules.map(({ name, level }) => [name, level]));
}
