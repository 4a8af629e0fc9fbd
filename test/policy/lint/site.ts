import { globSync, readFileSync } from "node:fs";
import { z } from "zod";
import { catalogue } from "../../../providers/catalogue.ts";
import { noAuthority } from "../../../src/commands/templates.ts";
import { loadConfig, settings } from "../../../src/config.ts";
import { bind } from "../../../src/lease/bind.ts";
import { type ProviderType, slot } from "../../../src/lease/provider.ts";
import { compileTemplates } from "../../../src/policy/language/compile.ts";
import type { Problem } from "../../../src/policy/problem.ts";
import { type Catalogue, configureProviders, roomsOf } from "../../../src/rooms.ts";
import { systemClock } from "../../../src/time.ts";

const folder = import.meta.dirname;
const unused = (): Promise<never> => Promise.reject(new Error("nothing is issued here"));

/** What a cloud's provider looks like to a template: a role and a policy. */
const options = z.looseObject({
  role: slot("arn-part"),
  policy: z.unknown().optional(),
});

const awsLike: ProviderType<unknown, z.output<typeof options>> = {
  type: "aws-like",
  proves: ["broker", "host", "job"],
  config: z.unknown(),
  create: () => ({
    options,
    gives: () => "aws-session",
    ends: () => "revoke",
    mint: unused,
    revocation: { revoke: unused, recover: unused },
  }),
};

/** As a broker with that mayfly.yaml has them. */
const config = loadConfig(`${folder}/mayfly.yaml`, settings({}));
const types: Catalogue = {
  types: [...catalogue.types, awsLike.type],
  load: (type) => (type === awsLike.type ? Promise.resolve(bind(awsLike)) : catalogue.load(type)),
};
const providers = await configureProviders(config, types, { clock: systemClock, authority: noAuthority });
const ownRooms = roomsOf(config, providers);
/** The good templates are for the day on which jobs have a network; what today's sandbox lacks is told by its images. */
const { image = "" } = ownRooms.isolation.lacks;
export const rooms = {
  ...ownRooms,
  isolation: { ...ownRooms.isolation, lacks: { image } },
  now: Date.parse("2026-11-20T00:00:00Z"),
};

/** Everything that is said of these files together, and of the site's network set. */
export function checked(files: readonly string[]): readonly Problem[] {
  const sources = files.map((file) => ({ file: file.slice(file.lastIndexOf("/") + 1), text: readFileSync(file, "utf8") }));
  const set = { file: "node.set.yaml", text: readFileSync(`${folder}/node.set.yaml`, "utf8") };
  const compiled = compileTemplates([...sources, set], rooms);
  return compiled.kind === "policy" ? compiled.findings : compiled.problems;
}

/** `bad.yaml` or `good.yaml` of a rule, with the templates that stand beside both, or beside that one. */
export function example(rule: string, which: "bad" | "good"): readonly string[] {
  return [`${folder}/examples/${rule}/${which}.yaml`, ...globSync(`${folder}/examples/${rule}/{with,${which}}-*.yaml`)];
}

export const goodTemplates = globSync(`${folder}/good/*.yaml`).toSorted();
