import { randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import type { Proofs } from "../../src/lease/authority.ts";
import { expiryOf } from "../../src/lease/lease.ts";
import type { Handle, Intent, Minted, Proof, Provider, Recovered, Revocation } from "../../src/lease/provider.ts";
import { type Material, secretsOf } from "../../src/material.ts";
import { fill } from "../../src/policy/slots.ts";
import type { Duration } from "../../src/time.ts";
import type { Fault, FaultProxy, Matching } from "../servers/fault-proxy.ts";

/** One provider with something real behind it, and that thing's own word on what is alive. */
export interface Bench extends AsyncDisposable {
  readonly provider: Provider<unknown>;
  readonly proofs: Proofs;
  /** As a grant holds them: parsed by the provider's schema, every slot filled. */
  readonly options: unknown;
  readonly ttl: Duration;
  /** Uses the credential as a job would. Rejects or gives false when it is not accepted. */
  works(material: Material): Promise<boolean>;
  /** Everything that the upstream knows to be alive on behalf of a lease. */
  alive(lease: string): Promise<readonly string[]>;
  /** Where the provider has an upstream at all. */
  readonly upstream?: Upstream;
}

/** What stands between a provider and its upstream, whatever protocol they speak. */
export type Faults = Pick<FaultProxy, "next" | "always" | "heal" | "refuse" | "accept" | "struck" | "secrets">;

export interface Upstream {
  readonly proxy: Faults;
  /** Each request of `mint` that changes something upstream, by what it asks for. */
  readonly effects: readonly Matching[];
  /** Options that the upstream certainly refuses. */
  readonly refused: unknown;
  /** Options whose credential lives longer than `ttl`. */
  readonly tooLong?: unknown;
  /** A handle of this provider's shape, of something that never existed. */
  readonly never: Handle;
  /**
   * It keeps no list of what lives, so nobody can ask it: then `recover` takes everything for found, and ending that is what counts. Where
   * nothing but the credential itself ends it, what a lost answer left is waited out instead.
   */
  readonly blind?: true | "until-it-expires";
}

const certain: ReadonlySet<string> = new Set(["provider-refused", "provider-unavailable"]);

/** Every sentence of the contract in `src/lease/provider.ts`, asked of one provider; `missing` says why it cannot be asked here. */
export function provesProvider(name: string, open: () => Promise<Bench>, missing?: string): void {
  describe(`the provider ${name}`, () => {
    let bench: Bench;
    const errors: unknown[] = [];
    const canaries = new Set<string>();
    const printed: string[] = [];
    let unhook = (): void => undefined;

    beforeAll(async () => {
      unhook = listen(printed);
      if (missing === undefined) bench = await open();
    });
    beforeEach(({ skip }) => void (missing !== undefined && skip(missing)));
    afterAll(async () => {
      unhook();
      if (missing === undefined) await bench[Symbol.asyncDispose]();
    });

    const never = new AbortController().signal;
    const watched = (proof: Proof): Proof => ({
      token: async (audience, claims) => {
        const token = await proof.token(audience, claims);
        token.use((bytes) => canaries.add(bytes.toString("utf8")));
        return token;
      },
    });
    const mint = async (intent: Intent, options: unknown = bench.options, signal = never): Promise<Minted> => {
      const minted = await bench.provider.mint({ intent, options, signal, proof: watched(bench.proofs.mint(intent)) });
      for (const secret of secretsOf(minted.material)) secret.use((bytes) => canaries.add(bytes.toString("utf8")));
      return minted;
    };
    const ending = (intent: Intent, signal = never): { proof: Proof; signal: AbortSignal } => ({
      proof: watched(bench.proofs.end(intent.lease)),
      signal,
    });
    const caught = async (work: Promise<unknown>): Promise<unknown> => {
      const error = await work.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (error !== undefined) errors.push(error);
      return error;
    };
    const isCertain = (error: unknown): boolean => error instanceof BrokerError && certain.has(error.code);

    it("takes its own options again, also after a trip through JSON", () => {
      const again = fill(bench.provider.options.parse(JSON.parse(JSON.stringify(bench.options))), {});
      expect(bench.provider.gives(again)).toBe(bench.provider.gives(bench.options));
      expect(bench.provider.ends(again)).toBe(bench.provider.ends(bench.options));
    });

    it("gives what it says, which works and lives no longer than asked", async () => {
      const intent = intentOf(bench);
      const minted = await mint(intent);
      expect(minted.material.kind).toBe(bench.provider.gives(bench.options));
      expect(minted.ending.kind).toBe(bench.provider.ends(bench.options));
      expect(await bench.works(minted.material)).toBe(true);
      const expiry = expiryOf(minted.ending);
      if (expiry !== undefined) expect(expiry).toBeLessThanOrEqual(Date.now() + bench.ttl);
    });

    it("mints side by side, each its own", async () => {
      const minted = await Promise.all(Array.from({ length: 8 }, () => mint(intentOf(bench))));
      expect(await Promise.all(minted.map(({ material }) => bench.works(material)))).toEqual(minted.map(() => true));
      if (minted[0]?.ending.kind === "static") return;
      const texts = minted.flatMap(({ material }) =>
        secretsOf(material).map((secret) => secret.use((bytes) => bytes.toString("hex"))),
      );
      expect(new Set(texts).size).toBe(texts.length);
    });

    it("gives up at once when it is told to before it began", async () => {
      const error = await caught(mint(intentOf(bench), bench.options, AbortSignal.abort(new Error("told to stop"))));
      expect(error).toBeInstanceOf(Error);
    });

    describe("that can revoke", () => {
      const revocation = (): Revocation<unknown> | undefined =>
        bench.provider.revocation === "none" ? undefined : bench.provider.revocation;

      it("ends a credential for good, and ending it twice is success", async () => {
        const intent = intentOf(bench);
        const { material, ending: how } = await mint(intent);
        const room = revocation();
        if (how.kind !== "revoke") {
          // A stored value, or one that expires by itself: then nothing may be left that could have been revoked.
          return room === undefined ? undefined : expect(await bench.alive(intent.lease)).toEqual([]);
        }
        expect(room).toBeDefined();
        expect(await bench.alive(intent.lease)).not.toEqual([]);
        await room?.revoke(how.handle, ending(intent));
        expect(await bench.alive(intent.lease)).toEqual([]);
        expect(await bench.works(material).catch(() => false)).toBe(false);
        await room?.revoke(how.handle, ending(intent));
      });

      it("says so only if it can: else its credentials end by themselves", async () => {
        if (revocation() !== undefined) return;
        const { ending: how } = await mint(intentOf(bench));
        expect(how.kind).not.toBe("revoke");
      });

      it("finds nothing of a lease that never was, and ends what never was", async () => {
        const room = revocation();
        if (room === undefined || bench.upstream === undefined) return;
        const intent = intentOf(bench);
        const found = await room.recover(intent, bench.options, ending(intent));
        expect(found).toMatchObject({ kind: bench.upstream.blind !== undefined ? "found" : "never-happened" });
        if (found.kind === "found" && found.ending.kind === "revoke") await room.revoke(found.ending.handle, ending(intent));
        await room.revoke(bench.upstream.never, ending(intent));
      });

      it("finds by its name alone what a dead broker left, and ends it", async () => {
        const room = revocation();
        const intent = intentOf(bench);
        const { material, ending: how } = await mint(intent);
        if (room === undefined || how.kind !== "revoke") return;
        const found = await room.recover(intent, bench.options, ending(intent));
        if (bench.upstream?.blind === "until-it-expires") return expect(found).toEqual(waitedOut(intent));
        expect(found.kind).toBe("found");
        if (found.kind === "found" && found.ending.kind === "revoke") await room.revoke(found.ending.handle, ending(intent));
        expect(await bench.alive(intent.lease)).toEqual([]);
        expect(await bench.works(material).catch(() => false)).toBe(false);
      });
    });

    describe("whose upstream fails", () => {
      const upstream = (): Upstream => {
        if (bench.upstream === undefined) throw new Error("it has no upstream");
        return bench.upstream;
      };
      const has = (): boolean => bench.upstream !== undefined;

      it("says refused only when nothing is left", async () => {
        if (!has()) return;
        const intent = intentOf(bench);
        const error = await caught(mint(intent, upstream().refused));
        expect(error).toMatchObject({ code: "provider-refused" });
        expect(await bench.alive(intent.lease)).toEqual([]);
      });

      it("says unavailable when nobody listens, and works again afterwards", async () => {
        if (!has()) return;
        const intent = intentOf(bench);
        await upstream().proxy.refuse();
        const error = await caught(mint(intent));
        await upstream().proxy.accept();
        expect(error).toMatchObject({ code: "provider-unavailable" });
        expect(await bench.alive(intent.lease)).toEqual([]);
        expect(await bench.works((await mint(intentOf(bench))).material)).toBe(true);
      });

      const answers: readonly (readonly [string, Fault, string])[] = [
        ["is sealed", { kind: "answer", status: 503, body: '{"errors":["Vault is sealed"]}' }, "provider-unavailable"],
        ["is overrun", { kind: "answer", status: 429, body: '{"errors":[]}' }, "provider-unavailable"],
        [
          "sends elsewhere",
          { kind: "answer", status: 307, body: "", headers: { location: "http://127.0.0.1:1/" } },
          "provider-unavailable",
        ],
        ["says no", { kind: "answer", status: 403, body: '{"errors":["permission denied"]}' }, "provider-refused"],
      ];
      it.each(answers)("knows that nothing happened when the first request %s", async (_, fault, code) => {
        if (!has()) return;
        upstream().proxy.next(fault);
        expect(await caught(mint(intentOf(bench)))).toMatchObject({ code });
      });

      const lost: readonly (readonly [string, Fault])[] = [
        ["never got there", { kind: "reset" }],
        ["was done, its answer lost", { kind: "drop-answer" }],
        ["was done, half of its answer lost", { kind: "garble" }],
        ["was answered with a page of HTML", { kind: "answer", status: 200, body: "<html>hello</html>" }],
        ["was answered with nothing", { kind: "answer", status: 200, body: "" }],
        [
          "was answered with the wrong types",
          { kind: "answer", status: 200, body: '{"auth":{"client_token":7},"data":"x","lease_duration":"soon"}' },
        ],
        ["was answered with 500", { kind: "answer", status: 500, body: '{"errors":["boom"]}' }],
        [
          "was answered with a megabyte and more",
          { kind: "answer", status: 200, body: JSON.stringify({ data: { big: "x".repeat(2_000_000) } }) },
        ],
      ];
      it.each(lost)("calls it unknown when an effect %s, and `recover` finds what there is", async (_, fault) => {
        if (!has()) return;
        for (const effect of upstream().effects) {
          const intent = intentOf(bench);
          upstream().proxy.next(fault, effect);
          const struck = upstream().proxy.struck;
          const error = await caught(mint(intent));
          expect(upstream().proxy.struck, `${effect.path} was met by the fault`).toBe(struck + 1);
          expect(error, `${effect.path}`).toBeInstanceOf(Error);
          expect(isCertain(error), `${effect.path}: ${String(error)}`).toBe(false);
          await expectEnded(intent);
        }
      });

      it("gives up on a black hole when it is told to, in each of its methods", async () => {
        const room = bench.provider.revocation;
        if (!has() || room === "none") return;
        upstream().proxy.always({ kind: "black-hole" });
        const intent = intentOf(bench);
        const tries = [
          (signal: AbortSignal) => mint(intent, bench.options, signal),
          (signal: AbortSignal) => room.revoke(upstream().never, ending(intent, signal)),
          ...(upstream().blind !== undefined
            ? []
            : [(signal: AbortSignal) => room.recover(intent, bench.options, ending(intent, signal))]),
        ];
        for (const work of tries) {
          const before = performance.now();
          expect(await caught(work(AbortSignal.timeout(100)))).toBeInstanceOf(Error);
          expect(performance.now() - before).toBeLessThan(1_500);
        }
        upstream().proxy.heal();
      });

      it("does not take longer than was asked for an answer", async () => {
        if (!has() || upstream().tooLong === undefined) return;
        const intent = intentOf(bench);
        const error = await caught(mint(intent, upstream().tooLong));
        expect(error).toMatchObject({ code: "provider-broken-promise" });
        expect(isCertain(error)).toBe(false);
        await expectEnded(intent, upstream().tooLong);
      });

      async function expectEnded(intent: Intent, options: unknown = bench.options): Promise<void> {
        const room = bench.provider.revocation;
        if (room === "none") return;
        const left = await bench.alive(intent.lease);
        const found = await room.recover(intent, options, ending(intent));
        if (upstream().blind === "until-it-expires") return expect(found).toEqual(waitedOut(intent));
        expect(found.kind).toBe(left.length === 0 && upstream().blind === undefined ? "never-happened" : "found");
        if (found.kind === "found" && found.ending.kind === "revoke") await room.revoke(found.ending.handle, ending(intent));
        expect(await bench.alive(intent.lease)).toEqual([]);
      }
    });

    it("never logs", () => {
      expect(printed).toEqual([]);
    });

    it("puts no secret into any error, however it is looked at", () => {
      for (const secret of bench.upstream?.proxy.secrets() ?? []) canaries.add(secret);
      const text = errors.map(everything).join("\n");
      for (const canary of canaries) expect(text.includes(canary), "a secret is in an error").toBe(false);
      expect(canaries.size).toBeGreaterThan(4);
      // The control: this would have been found.
      expect(everything(new Error("outer", { cause: { config: { headers: { token: "canary-1" } } } }))).toContain("canary-1");
    });
  });
}

/** The most that can be said of what nobody can find and nobody can end. */
function waitedOut({ latestExpiry: at }: Intent): Recovered {
  return { kind: "found", ending: { kind: "expires", at } };
}

export function intentOf({ ttl }: { readonly ttl: Duration }, parts: Partial<Intent> = {}): Intent {
  return {
    lease: `lse-${randomBytes(12).toString("hex")}`,
    credential: "db",
    provider: "main",
    template: "deploy/production",
    workload: "github:519283746",
    session: `ses-${randomBytes(6).toString("hex")}`,
    ttl,
    latestExpiry: Date.now() + ttl + 60_000,
    ...parts,
  };
}

/** What a careless logger could print of an error: every property, own or hidden, of it and of its causes. */
function everything(error: unknown): string {
  const parts = [inspect(error, { depth: 20, showHidden: true, maxStringLength: null, maxArrayLength: null })];
  if (error instanceof Error)
    parts.push(error.message, error.stack ?? "", JSON.stringify(error, Object.getOwnPropertyNames(error)));
  if (error instanceof Error && error.cause !== undefined) parts.push(everything(error.cause));
  return parts.join("\n");
}

/** What is printed past the test runner: a provider has no business with the console or our streams. */
function listen(printed: string[]): () => void {
  const methods = ["log", "info", "warn", "error", "debug"] as const;
  const before = methods.map((method) => console[method]);
  for (const method of methods) console[method] = (...words: unknown[]) => void printed.push(words.map(String).join(" "));
  return () => {
    for (const [index, method] of methods.entries()) console[method] = before[index] ?? console[method];
  };
}
