import { expect, test } from "vitest";
import { z } from "zod";
import { noAuthority } from "../src/commands/templates.ts";
import { type Config, configSchema } from "../src/config.ts";
import { bind } from "../src/lease/bind.ts";
import type { ProviderType, Rotation } from "../src/lease/provider.ts";
import { type Catalogue, configureProviders, roomsOf } from "../src/rooms.ts";
import { systemClock } from "../src/time.ts";
import { lying } from "./lease/stage.ts";

/** Has something to replace where its entry says so. */
const type: ProviderType<{ readonly keeps?: boolean | undefined }, unknown> = {
  type: "some",
  proves: ["host", "job"],
  config: z.strictObject({ keeps: z.boolean().optional() }),
  create: ({ keeps }) => ({
    ...lying(() => Promise.reject(new Error("nothing is minted here"))),
    ...(keeps === true ? { rotation: { names: ["root"], rotate: () => Promise.resolve() } satisfies Rotation } : {}),
  }),
};
const catalogue: Catalogue = {
  types: ["some"],
  load: (name) => Promise.resolve(name === "some" ? bind(type) : undefined),
};

const configOf = (entry: object): Config => ({
  ...configSchema.parse({
    version: 1,
    issuers: { ci: { preset: "github", audience: "mayfly" } },
    providers: { main: entry },
    sandbox: {},
  }),
  digest: "0",
});
const configured = (entry: object) =>
  configureProviders(configOf(entry), catalogue, { clock: systemClock, authority: noAuthority });

test("a provider proves itself as its type usually does, and otherwise where mayfly.yaml says so; templates are told", async () => {
  expect((await configured({ type: "some" })).get("main")?.as).toBe("host");
  const asJob = { type: "some", as: "job" };
  const providers = await configured(asJob);
  expect(providers.get("main")?.as).toBe("job");
  expect(roomsOf(configOf(asJob), providers).providers.get("main")?.as).toBe("job");
});

test.each<[string, object, string]>([
  ["as whom its type cannot prove itself", { type: "some", as: "broker" }, "cannot prove itself as broker"],
  ["of a type that there is not", { type: "other" }, "there is no provider of type other"],
  [
    "that is to replace regularly what it has not",
    { type: "some", rotate_every: "30d" },
    "rotate_every, and the provider can replace nothing",
  ],
])("a provider %s does not load", async (_, entry, message) => {
  await expect(configured(entry)).rejects.toMatchObject({ code: "config-invalid", message: expect.stringContaining(message) });
});

test("one that can replace something may do so regularly: the control", async () => {
  expect((await configured({ type: "some", keeps: true, rotate_every: "30d" })).get("main")?.rotation?.names).toEqual(["root"]);
});
