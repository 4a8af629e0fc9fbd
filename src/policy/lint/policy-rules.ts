import { day } from "../../time.ts";
import type { Overlaps } from "./overlap.ts";
import type { Finding, Linted, Rule } from "./rule.ts";
import { gives } from "./run-view.ts";

/** What a template is among the others, and for how long. */
export const policyRules: readonly Rule[] = [
  {
    name: "no-owner",
    level: "advice",
    says: "Nobody is named whom a reviewer or a responder could ask about the template.",
    fix: "add `owner:`, a team or a person",
    check: ({ template }) =>
      template.owner === undefined && template.who.length > 0 ? [{ path: [], message: "no owner" }] : [],
  },
  {
    name: "schema-line",
    level: "advice",
    says: "The file does not name its JSON Schema, so that no editor completes it or shows a slip while it is typed.",
    fix: "make its first line `# yaml-language-server: $schema=`, with the path to template.schema.json",
    check: ({ text }) =>
      /^#[ \t]*yaml-language-server:[ \t]*\$schema=\S/m.test(text) ? [] : [{ path: [], message: "no schema is named" }],
  },
  {
    name: "idle-base",
    level: "advice",
    says: "The template has no `who` and nobody extends it: it gives nothing to anybody.",
    fix: "extend it, or take it out",
    check: ({ template, policy }) =>
      template.who.length === 0 && !policy.extended.has(template.name)
        ? [{ path: ["template"], message: "nobody extends it" }]
        : [],
  },
  {
    name: "overlap",
    level: "advice",
    says: "One job can match two templates: unless it names one, it is denied as ambiguous.",
    fix: "make them differ in a claim, such as environment; or have the runner name the template",
    check: (linted) => overlapFindings(linted, "beyond"),
  },
  {
    name: "each-alike",
    level: "risk",
    says: "Entries of `for_each` differ in what they give and not in whom they give it to: a job of the one may ask for the other.",
    fix: 'put a variable of the entries into who: `environment: "{each.environment}"`',
    check: (linted) => (gives(linted) ? overlapFindings(linted, "within") : []),
  },
  {
    name: "observe-past",
    level: "advice",
    says: "What was to be only observed until a date is enforced again since: the line says something that is no longer so.",
    fix: "take 'observe' out",
    check: ({ template, rooms }) =>
      template.observe !== undefined && rooms.now !== undefined && template.observe.until <= rooms.now
        ? [{ path: ["observe", "until"], message: "the date has passed" }]
        : [],
  },
  {
    name: "observe-long",
    level: "advice",
    says: "Something is only observed for more than thirty days from now: a roll-out that nobody ends is a protection that nobody has.",
    fix: "choose a date within thirty days; it can be moved",
    check: ({ template, rooms }) =>
      template.observe !== undefined && rooms.now !== undefined && template.observe.until > rooms.now + 31 * day
        ? [{ path: ["observe", "until"], message: "more than thirty days from now" }]
        : [],
  },
  {
    name: "observed-network",
    level: "advice",
    says: "A run with credentials may go anywhere for as long as its network is only observed.",
    fix: "observe it in steps without credentials first",
    check: (linted) =>
      linted.template.observe?.parts.includes("network") === true && gives(linted)
        ? [{ path: ["observe"], message: "credentials are given, and the network is open" }]
        : [],
  },
];

/** Within one file the entries of its `for_each`, else the other templates. Where there was too much to compare, that is said instead. */
function overlapFindings({ template: { name }, policy }: Linted, which: keyof Overlaps): readonly Finding[] {
  const { others, ended } = policy.overlaps[which];
  const path = [which === "within" ? "for_each" : "who"];
  const met = others.get(name) ?? [];
  const message = `${name} and ${met.join(", ")} can match the same job`;
  const unknown = `from ${name} on it is not known which can match the same job: there is too much to compare`;
  const fix = "write fewer alternatives under 'any', or ask for different values of one claim in each";
  return [...(met.length === 0 ? [] : [{ path, message }]), ...(ended.has(name) ? [{ path, message: unknown, fix }] : [])];
}
