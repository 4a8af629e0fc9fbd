import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { templates } from "./templates.ts";
import { Host, startUpstreams, type Upstreams, until, users } from "./world.ts";

let upstreams: Upstreams;
let one: Host;
let other: Host;

const tokenFailures = 120;

/** A broker of its own name, with the store that both share. */
const sharing = (name: string) => (host: Host) => {
  const { host: address, port, database, superuser, password } = upstreams.postgres;
  const passwordFile = host.give(password, users.broker);
  return {
    origin: `broker.test/${name}`,
    more: `shared: { postgres: { host: ${address}, port: ${port}, database: ${database}, user: ${superuser}, password_file: ${passwordFile}, tls: "off" } }`,
  };
};

beforeAll(async () => {
  upstreams = await startUpstreams();
  one = await Host.unknown(upstreams, templates, sharing("one"));
  other = await Host.unknown(upstreams, templates, sharing("other"));
}, 120_000);

afterAll(async () => {
  for (const part of [one, other, upstreams]) await part?.[Symbol.asyncDispose]();
});

const job = ["--template", "local", "--", "true"];
const present = (host: Host, token: string) => host.runJob(job, { token: host.give(token) });

async function sessions(host: Host): Promise<number> {
  const { entries } = await host.audit<{ readonly entries: readonly unknown[] }>(["audit", "list", "--kind", "session-opened"]);
  return entries.length;
}

async function trouble(host: Host): Promise<string> {
  return (await host.asRoot(["status", "--full"])).stdout;
}

describe("two brokers that share a store", () => {
  test("open one session for a token that is presented to both at once, sixteen times", async () => {
    const before = (await sessions(one)) + (await sessions(other));
    const token = await one.token();
    const start = (host: Host) => host.asRunner(["session", "start", "--token", host.give(token)]);
    const asked = await Promise.all(Array.from({ length: 16 }, (_, n) => start(n % 2 === 0 ? one : other)));
    expect(asked.filter(({ code }) => code === 0)).toHaveLength(1);
    const refused = asked.filter(({ code }) => code !== 0);
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set([tokenFailures]));
    expect(refused.every(({ stderr }) => stderr.includes("the identity token has already opened a session"))).toBe(true);
    expect((await sessions(one)) + (await sessions(other))).toBe(before + 1);
  }, 120_000);

  test("refuse it still when the one that took it was killed, and when it is back", async () => {
    const token = await one.token();
    expect(await present(one, token)).toMatchObject({ code: 0 });
    one.broker.kill("serve");
    await one.broker.ended;
    expect(await present(other, token)).toMatchObject({ code: tokenFailures });
    await one.start();
    for (const host of [one, other]) expect(await present(host, token)).toMatchObject({ code: tokenFailures });
    expect(await present(one, await one.token())).toMatchObject({ code: 0 });
  }, 90_000);

  test.each([
    ["still take a token whose broker was killed before its session was recorded", "reserved", 0],
    ["do not take a token whose broker was killed once its session was recorded", "recorded", tokenFailures],
  ] as const)(
    "%s",
    async (_, point, code) => {
      await one.broker.stop();
      await one.start(point);
      const token = await one.token();
      const cut = present(one, token);
      await one.broker.reached(point);
      one.broker.kill("serve");
      await cut;
      expect(await present(other, token)).toMatchObject({ code });
      await one.start();
      for (const host of [one, other]) expect(await present(host, token)).toMatchObject({ code: tokenFailures });
    },
    90_000,
  );

  test("take no token while the store is away, say so, and are back by themselves", async () => {
    await upstreams.postgres.halt("stopped");
    const since = performance.now();
    const refused = await present(one, await one.token());
    expect(refused.stderr).toContain("the store that brokers share cannot be reached, so no token is accepted");
    expect(refused.code).not.toBe(0);
    expect(performance.now() - since).toBeLessThan(5_000);
    expect(await trouble(one)).toContain("store-unavailable");
    await upstreams.postgres.resume();
    await until(async () => (await present(one, await one.token())).code === 0, 30_000);
    expect(await trouble(one)).not.toContain("store-unavailable");
  }, 90_000);

  test("load nothing after root was given up", async () => {
    for (const host of [one, other]) expect(await host.broker.stop()).not.toContain("LATE LOAD");
  }, 60_000);
});
