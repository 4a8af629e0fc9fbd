import { chmodSync, chownSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { slotNames } from "../../providers/plugin/fields.ts";
import { plugin } from "../../providers/plugin.ts";
import { ManifestSchema } from "../../src/api/gen/mayfly/provider/v1/provider_pb.ts";
import { bind } from "../../src/lease/bind.ts";
import type { ProofKind, Provider } from "../../src/lease/provider.ts";
import { fill, slotKinds } from "../../src/policy/slots.ts";
import { systemClock } from "../../src/time.ts";
import { lodge, type TestLodging } from "./lodging.ts";
import { authority, isAlive, type Json, manifest, puppetBinary, until } from "./puppet.ts";

/** What is known of a plug-in before it serves, and what is refused then. Nothing here starts one. */
let home: TestLodging;
let binary: string;
beforeEach(() => {
  home = lodge("puppet");
  binary = home.install(puppetBinary);
});
afterEach(() => home[Symbol.asyncDispose]());

/** As `mayfly check` does it: there is no lodging, so nothing could be started. */
function configure(about: Json, entry: Json = {}, as: ProofKind = "host"): Provider<unknown> {
  writeFileSync(join(home.folder, "script.json"), JSON.stringify({ describe: about }));
  return bind(plugin).configure({ command: [binary, home.folder], ...entry }, { clock: systemClock, authority, as });
}

const refused = (why: RegExp): unknown =>
  expect.objectContaining({ code: "config-invalid", message: expect.stringMatching(why) });

/** All of the language, each word of it once. */
const whole = {
  ...manifest,
  proves: ["broker", "host", "job"],
  config: {
    address: { type: "text", form: "url", about: "Where" },
    key_file: { type: "text", form: "file", about: "A key" },
    region: { type: "text", form: "name", longest: 20, optional: true, about: "A region" },
    hosts: { type: "list", each: { type: "text", form: "host" }, least: 1, most: 2, about: "Hosts" },
  },
  options: {
    path: { type: "text", slot: "path-segment", longest: 40, about: "A path" },
    mount: { type: "text", form: "path", about: "A mount" },
    kind: { type: "choice", of: ["kv", "dynamic"], about: "A kind" },
    count: { type: "integer", least: 1, most: 10, optional: true, about: "How many" },
    loud: { type: "flag", optional: true, about: "Whether loud" },
    groups: { type: "list", each: { type: "text", slot: "name" }, most: 2, optional: true, about: "Groups" },
    tags: { type: "map", each: { type: "text", slot: "tag", longest: 8 }, most: 2, optional: true, about: "Tags" },
    note: { type: "text", optional: true, about: "A note" },
  },
  cases: [
    { when: { kind: "kv" }, gives: "fields", ends: "static" },
    { gives: "username-password", ends: "revoke", renew: true },
  ],
  rotates: ["root"],
};
const config = { address: "https://up.example.com", key_file: "/etc/key", hosts: ["db.example.com:5432"] };
const least = { path: "ci/{repository_id}", mount: "secret", kind: "kv" };

describe("a manifest", () => {
  it("becomes the provider's schema, kinds, endings, and what it can do", () => {
    const provider = configure({ manifest: whole }, { config });
    const give = (part: Json) => fill(provider.options.parse({ ...least, ...part }), { repository_id: "519" });
    const all = { count: 3, loud: true, groups: ["team-{repository_id}"], tags: { repo: "{repository_id}" }, note: "hello" };
    expect(give(all)).toEqual({ ...least, ...all, path: "ci/519", groups: ["team-519"], tags: { repo: "519" } });
    expect(give(give(all) as Json)).toEqual(give(all));
    expect(provider.gives(give({}))).toBe("fields");
    expect(provider.ends(give({}))).toBe("static");
    expect(provider.gives(give({ kind: "dynamic" }))).toBe("username-password");
    expect(provider.ends(give({ kind: "dynamic" }))).toBe("revoke");
    expect(provider.rotation?.names).toEqual(["root"]);
    expect(provider.revocation).toMatchObject({ renew: expect.any(Function) });
  });

  it.each([
    [{ path: "" }, "path"],
    [{ path: "a/../b" }, "path"],
    [{ path: "{a}{b}" }, "path"],
    [{ path: 7 }, "path"],
    [{ mount: "../sys" }, "mount"],
    [{ mount: "{repository_id}" }, "mount"],
    [{ kind: "both" }, "kind"],
    [{ count: 11 }, "count"],
    [{ count: 1.5 }, "count"],
    [{ count: "3" }, "count"],
    [{ loud: "yes" }, "loud"],
    [{ groups: [] }, "groups"],
    [{ groups: ["a", "b", "c"] }, "groups"],
    [{ tags: { "a b": "x" } }, "tags"],
    [{ tags: { a: "x", b: "y", c: "z" } }, "tags"],
    [{ note: "two\nlines" }, "note"],
    [{ note: "\u{202e}desrever" }, "note"],
    [{ note: "x".repeat(1_025) }, "note"],
    [{ nobody: "knows" }, ""],
  ])("takes no such option: %j", (part, key) => {
    const read = configure({ manifest: whole }, { config }).options.safeParse({ ...least, ...part });
    expect(read.error?.issues[0]?.path[0] ?? "").toBe(key);
    expect(read.success).toBe(false);
  });

  it("denies the claim that does not fit its slot, and refuses what a claim made too long", async () => {
    const provider = configure({ manifest: whole }, { config });
    const filled = (claim: string) => fill(provider.options.parse(least), { repository_id: claim });
    expect(() => filled("../x")).toThrow(expect.objectContaining({ code: "slot-unfillable" }));
    const intent = { lease: "l" } as never;
    await expect(
      provider.mint({ intent, options: filled("x".repeat(41)), proof: {} as never, signal: AbortSignal.timeout(1) }),
    ).rejects.toMatchObject({ code: "provider-refused", message: expect.stringContaining("path") });
  });

  it.each([
    [{ address: "http://up.example.com" }, /config\.address: write an https URL/],
    [{ address: "https://root:token@up.example.com" }, /config\.address/],
    [{ key_file: "etc/key" }, /config\.key_file: write an absolute path/],
    [{ region: "eu west" }, /config\.region/],
    [{ hosts: ["UP"] }, /config\.hosts\.0/],
    [{ hosts: undefined }, /config\.hosts/],
    [{ token: "a-secret" }, /config: Unrecognized key: "token"/],
  ])("holds the entry of mayfly.yaml to its own part: %j", (part, why) => {
    expect(() => configure({ manifest: whole }, { config: { ...config, ...part } })).toThrow(refused(why));
    expect(() => configure({ manifest: whole }, { config: { ...config, address: "http://127.0.0.1:8200" } })).not.toThrow();
  });

  it.each<[string, Json, RegExp]>([
    ["another protocol", { protocol: 2 }, /protocol/],
    ["another's name", { name: "vault" }, /calls itself "vault"/],
    ["a word that nobody knows", { network: "host" }, /Unrecognized key: "network"/],
    ["words that would act on a terminal", { "\u001b[2J\u202e": 1 }, /Unrecognized key: "\\u\{1b\}\[2J\\u\{202e\}"/],
    ["no proof", { proves: [] }, /proves/],
    ["a proof that nobody knows", { proves: ["root"] }, /proves\.0/],
    ["no case", { cases: [] }, /cases/],
    ["a last case with a condition", { cases: [manifest.cases[0]] }, /the last case/],
    ["a case that is never reached", { cases: [manifest.cases[3], manifest.cases[3]] }, /the last case/],
    [
      "a condition on what is no choice",
      { cases: [{ when: { constructor: "x" }, gives: "bearer", ends: "revoke" }, manifest.cases[3]] },
      /no choice/,
    ],
    [
      "a condition on no word of it",
      { cases: [{ when: { kind: "root" }, gives: "bearer", ends: "revoke" }, manifest.cases[3]] },
      /no choice/,
    ],
    ["a kind that nobody knows", { cases: [{ gives: "root-password", ends: "revoke" }] }, /cases\.0\.gives/],
    ["an ending that nobody knows", { cases: [{ gives: "bearer", ends: "never" }] }, /cases\.0\.ends/],
    [
      "renewal of what is not revoked",
      { cases: [{ gives: "bearer", ends: "expires", renew: true }] },
      /only what can be revoked/,
    ],
    ["a slot in mayfly.yaml", { config: { address: { type: "text", slot: "name", about: "x" } } }, /config\.address/],
    [
      "a slot in a list in mayfly.yaml",
      { config: { all: { type: "list", each: { type: "text", slot: "name" }, about: "x" } } },
      /config\.all/,
    ],
    ["a key of the broker's", { options: { ttl: { type: "integer", about: "x" } } }, /options\.ttl/],
    ["a key that is none", { options: { "Not A Key": { type: "flag", about: "x" } } }, /options/],
    ["a type that nobody knows", { options: { a: { type: "regex", about: "x" } } }, /options\.a/],
    ["a slot that nobody knows", { options: { a: { type: "text", slot: "anything", about: "x" } } }, /options\.a/],
    ["a slot with a form", { options: { a: { type: "text", slot: "name", form: "line", about: "x" } } }, /a slot or a form/],
    ["a slot in a choice", { options: { a: { type: "choice", of: ["x"], slot: "name", about: "x" } } }, /options\.a/],
    ["a choice of one word twice", { options: { a: { type: "choice", of: ["x", "x"], about: "x" } } }, /twice/],
    ["a choice of none", { options: { a: { type: "choice", of: [], about: "x" } } }, /options\.a/],
    ["bounds upside down", { options: { a: { type: "integer", least: 2, most: 1, about: "x" } } }, /more than/],
    [
      "a list of lists",
      { options: { a: { type: "list", each: { type: "list", each: { type: "flag" } }, about: "x" } } },
      /options\.a/,
    ],
    ["nothing said of an option", { options: { a: { type: "flag" } } }, /options\.a\.about/],
    [
      "65 options",
      { options: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`o${at}`, { type: "flag", about: "x" }])) },
      /64 keys/,
    ],
  ])("does not load: %s", (_, part, why) => {
    expect(() => configure({ manifest: { ...manifest, ...part } })).toThrow(refused(why));
  });

  it.each<[string, Json, RegExp]>([
    ["says nothing", { text: "" }, /the manifest/],
    ["speaks no JSON", { text: "hello" }, /the manifest/],
    ["says two things", { text: JSON.stringify(manifest).repeat(2) }, /the manifest/],
    ["says a list", { text: "[]" }, /the manifest/],
    ["talks without end", { text: JSON.stringify({ ...manifest, about: "x".repeat(300_000) }) }, /more than 256 KiB/],
    ["fails", { manifest, code: 3 }, /ended with 3/],
    ["is killed", { manifest, acts: [{ do: "kill" }] }, /ended with SIGKILL/],
  ])("is not had from a binary that %s", (_, about, why) => {
    expect(() => configure(about)).toThrow(refused(why));
  });

  it("is not waited for for ever, and what was started meanwhile is ended", async () => {
    const before = performance.now();
    expect(() => configure({ manifest, acts: [{ do: "child" }, { do: "sleep", seconds: 60 }] })).toThrow(
      refused(/longer than 5 s/),
    );
    expect(performance.now() - before).toBeLessThan(7_000);
    const child = Number(await readFile(join(home.folder, "child"), "utf8"));
    await until(() => !isAlive(child));
  });

  it("is the one of the reference: provider.proto has every word of it, and every kind of slot", async () => {
    expect(() => fromJson(ManifestSchema, whole)).not.toThrow();
    expect(() => fromJson(ManifestSchema, { ...whole, more: 1 })).toThrow(/more/);
    expect([...slotNames].toSorted()).toEqual(Object.keys(slotKinds).toSorted());
    const reference = await readFile(resolve("proto/mayfly/provider/v1/provider.proto"), "utf8");
    for (const name of slotNames) expect(reference).toContain(`\`${name}\``);
  });
});

describe("the proof", () => {
  it.each<[ProofKind, Json, Json, RegExp]>([
    ["job", { proves: ["host"] }, {}, /cannot prove itself as job/],
    ["broker", { proves: ["broker"] }, {}, /needs an audience/],
    ["host", { proves: ["host"] }, { audience: "https://up.example.com" }, /has no audience/],
  ])("as %s must be of %j, with %j", (as, part, entry, why) => {
    expect(() => configure({ manifest: { ...manifest, ...part } }, entry, as)).toThrow(refused(why));
  });
});

describe("the binary", () => {
  const put = (...way: string[]) => {
    const path = join(home.folder, ...way);
    mkdirSync(join(path, ".."), { recursive: true, mode: 0o755 });
    copyFileSync(puppetBinary, path);
    chmodSync(path, 0o755);
    return path;
  };
  const from = (path: string) => configure({ manifest }, { command: [path, home.folder] });

  it("is used where only root or we can write it", () => {
    expect(() => from(put("lib", "mayfly-provider-puppet"))).not.toThrow();
  });

  it.each<[string, (path: string) => void, RegExp]>([
    ["its group can write it", (path) => chmodSync(path, 0o775), /can be written by others/],
    ["anybody can write it", (path) => chmodSync(path, 0o757), /can be written by others/],
    ["another user owns it", (path) => chownSync(path, 61_404, 0), /belongs to user 61404/],
    ["nobody may execute it", (path) => chmodSync(path, 0o644), /may not execute it/],
    ["anybody can write its folder", (path) => chmodSync(join(path, ".."), 0o777), /the folder .* can be written by others/],
    ["another user owns its folder", (path) => chownSync(join(path, ".."), 61_404, 0), /the folder .* belongs to user 61404/],
    [
      "anybody can write a folder further up",
      (path) => chmodSync(join(path, "../.."), 0o777),
      /the folder .* can be written by others/,
    ],
  ])("is not used when %s", (_, spoil, why) => {
    const path = put("deep", "lib", "mayfly-provider-puppet");
    spoil(path);
    expect(() => from(path)).toThrow(refused(why));
  });

  it("is not used through a link, nor through a folder that a link leads out of", () => {
    const real = put("open", "lib", "mayfly-provider-puppet");
    const link = join(home.folder, "mayfly-provider-puppet");
    symlinkSync(real, link);
    expect(() => from(link)).toThrow(refused(/symbolic link/));
    symlinkSync(join(home.folder, "open", "lib"), join(home.folder, "short"));
    expect(() => from(join(home.folder, "short", "mayfly-provider-puppet"))).not.toThrow();
    chmodSync(join(home.folder, "open"), 0o777);
    expect(() => from(join(home.folder, "short", "mayfly-provider-puppet"))).toThrow(
      refused(/the folder .*open can be written/),
    );
  });

  it.each([
    ["/nonexistent/mayfly-provider-puppet", /there is no such file/],
    ["mayfly-provider-puppet", /absolute path/],
    ["/usr/bin/python3", /absolute path/],
    ["/bin/sh", /absolute path/],
    ["/usr/lib/../lib/mayfly-provider-UP", /absolute path/],
  ])("is not %s", (path, why) => {
    expect(() => from(path)).toThrow(refused(why));
  });
});
