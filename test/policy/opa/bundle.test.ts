import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mostBundleBytes, readBundle } from "../../../src/policy/opa/bundle.ts";
import { hostFunctions, regoInBundle } from "../../../src/policy/opa/wasm.ts";
import { systemClock as clock } from "../../../src/time.ts";
import { buildBundle } from "../../servers/opa.ts";
import { opaMissing } from "../../servers/opa-binary.ts";
import { must } from "../../servers/process.ts";
import { grantTo, heard, wordInBundle, wordOf } from "./bench.ts";

const missing = opaMissing();
const all = { aws: 600, db: 600 };
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mayfly-opa-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function build(rules: string, data: object = {}): Promise<string> {
  return buildBundle(folder, `package mayfly\n\n${rules}\n`, data);
}

/** The members of a real bundle, as `tar` itself would show them. */
async function members(path: string): Promise<ReadonlyMap<string, Buffer>> {
  const names = (await must("tar", ["--list", "--absolute-names", "--file", path])).trim().split("\n");
  await must("tar", ["--extract", "--file", path, "--directory", folder]);
  return new Map(names.map((name) => [name, readFileSync(join(folder, name))]));
}

/** A tar archive of one block for each header, as POSIX says. */
function tar(files: readonly (readonly [name: string, content: Buffer | string, kind?: string])[]): Buffer {
  const blocks = files.flatMap(([name, content, kind = "0"]) => {
    const bytes = Buffer.from(content);
    const header = Buffer.alloc(512);
    header.write(name);
    header.write("0000644\0", 100);
    header.write(`${bytes.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("        ", 148);
    header.write(kind, 156);
    header.write("ustar\x0000", 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1_024)]);
}

describe("a bundle", () => {
  test("of the real `opa build` is read as the real `tar` reads it", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const path = await build("decision := data.verdict", { verdict: { allow: true } });
    const unpacked = await members(path);
    const { wasm, data, digest } = readBundle(readFileSync(path));
    expect(wasm.equals(unpacked.get("/policy.wasm") ?? Buffer.alloc(0))).toBe(true);
    expect(JSON.parse(String(data))).toEqual(JSON.parse(String(unpacked.get("/data.json"))));
    expect(`${digest}  ${path}\n`).toBe(await must("sha256sum", [path]));
    const packed = gunzipSync(readFileSync(path));
    expect(tar([...unpacked]).includes(wasm)).toBe(true);
    expect(readBundle(gzipSync(tar([...unpacked]))).data).toEqual(readBundle(gzipSync(packed)).data);
  });

  test("may be the bare policy.wasm, which has no data of its own", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const rules = "default decision := false\ndecision if input.identity.claims.ref == data.ref";
    const path = await build(rules, { ref: "main" });
    const bare = (await members(path)).get("/policy.wasm") ?? Buffer.alloc(0);
    const word = wordOf(await regoInBundle(readBundle(bare), "mayfly/decision", { clock }));
    expect(await heard(await wordInBundle(path), grantTo({ ref: "main" }))).toEqual(all);
    expect(await heard(word, grantTo({ ref: "main" }))).toEqual({ overruled: "it denies" });
  });

  const wasm = "\0asm\x01\0\0\0";
  const cut = tar([["policy.wasm", wasm]]);
  test.each<readonly [string, Buffer, string]>([
    ["is empty", Buffer.alloc(0), "is neither a bundle.tar.gz nor a policy.wasm, or is too large once it is unpacked"],
    [
      "is a text",
      Buffer.from("package mayfly"),
      "is neither a bundle.tar.gz nor a policy.wasm, or is too large once it is unpacked",
    ],
    [
      "grows beyond all measure",
      gzipSync(Buffer.alloc(11 * mostBundleBytes)),
      "is neither a bundle.tar.gz nor a policy.wasm, or is too large once it is unpacked",
    ],
    [
      "is cut off before it is unpacked",
      gzipSync(cut).subarray(0, 40),
      "is neither a bundle.tar.gz nor a policy.wasm, or is too large once it is unpacked",
    ],
    ["is no archive", gzipSync(Buffer.from("x".repeat(2_000))), "not a tar archive"],
    ["has a header that was changed", gzipSync(Buffer.concat([Buffer.from("q"), cut.subarray(1)])), "not a tar archive"],
    ["is cut off in a header", gzipSync(cut.subarray(0, 1_200)), "the archive is cut off"],
    ["is cut off in a file", gzipSync(cut.subarray(0, 515)), "the archive is cut off"],
    ["has no policy", gzipSync(tar([["/data.json", "{}"]])), "has no policy.wasm: build it with opa build -t wasm -e RULE"],
    [
      "has a link in the policy's place",
      gzipSync(tar([["/policy.wasm", "", "2"]])),
      "has no policy.wasm: build it with opa build -t wasm -e RULE",
    ],
    [
      "has a text in the policy's place",
      gzipSync(tar([["/policy.wasm", "package"]])),
      "has no policy.wasm: build it with opa build -t wasm -e RULE",
    ],
    [
      "has two policies",
      gzipSync(
        tar([
          ["/policy.wasm", wasm],
          ["./policy.wasm", wasm],
        ]),
      ),
      "the archive has two files named policy.wasm",
    ],
    [
      "has data that is no JSON",
      gzipSync(
        tar([
          ["policy.wasm", wasm],
          ["data.json", "{"],
        ]),
      ),
      "its data.json is no JSON object",
    ],
    [
      "has data that is a list",
      gzipSync(
        tar([
          ["policy.wasm", wasm],
          ["data.json", "[]"],
        ]),
      ),
      "its data.json is no JSON object",
    ],
  ])("that %s is refused", (_, bytes, message) => {
    expect(() => readBundle(bytes)).toThrow(message);
  });

  test("such as the table's, but whole, is taken", () => {
    expect(
      readBundle(
        gzipSync(
          tar([
            ["policy.wasm", wasm],
            ["data.json", `{"a":1}`],
          ]),
        ),
      ).data,
    ).toEqual(Buffer.from(`{"a":1}`));
  });
});

function fails(condition: string): string {
  return `decision if { input.identity.claims.case == "fails"; ${condition} }`;
}

describe("a policy in a bundle", () => {
  test.for<readonly [string, string, string]>([
    ["has another rule", "verdict := true\ndecision := true", "has no entrypoint mayfly/verdict; it has mayfly/decision"],
    [
      "asks the network",
      `decision if http.send({"method": "get", "url": input.time}).status_code == 200`,
      "calls http.send, which a bundle cannot",
    ],
    ["asks the clock", "decision if time.now_ns() > 0", "calls time.now_ns, which a bundle cannot"],
  ])("does not load where it %s", async ([, rules, message], { skip }) => {
    if (missing !== undefined) skip(missing);
    const rule = message.includes("entrypoint") ? "mayfly/verdict" : "mayfly/decision";
    await expect(wordInBundle(await build(rules), rule)).rejects.toThrow(message);
  });

  test("does not load where it is no policy of OPA", async () => {
    const bundle = { digest: "", data: Buffer.from("{}"), wasm: Buffer.from("\0asm\x01\0\0\0") };
    await expect(regoInBundle(bundle, "mayfly/decision", { clock })).rejects.toThrow("was not compiled by OPA");
  });

  test("may call each function that the library brings, and no other is listed", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const calls: Readonly<Record<string, string>> = {
      "json.is_valid": `json.is_valid("{}")`,
      "regex.split": `regex.split("-", "a-b") == ["a", "b"]`,
      sprintf: `sprintf("%s/%d", ["a", 1]) == "a/1"`,
      "yaml.is_valid": `yaml.is_valid("a: 1")`,
      "yaml.marshal": `contains(yaml.marshal({"a": 1}), "a: 1")`,
      "yaml.unmarshal": `yaml.unmarshal("a: 1").a == 1`,
    };
    expect(Object.keys(calls)).toEqual(hostFunctions);
    const rules = ["default decision := false", `decision if {\n${Object.values(calls).join("\n")}\n}`].join("\n");
    expect(await heard(await wordInBundle(await build(rules)))).toEqual(all);
  });

  const hit = "hit if { some i in r; some j in r; some k in r; i == j; j != k; k == -1 }";
  const torn = [
    `decision := {"allow": false} if input.identity.claims.case == "fails"`,
    `decision := {"allow": true} if input.identity.claims.case == "fails"`,
  ];
  test.for<readonly [string, number | undefined, readonly string[], RegExp]>([
    ["takes too long", undefined, ["r := numbers.range(1, 3000)", hit, fails("hit")], /the policy takes longer than 250 ms$/],
    [
      "wants too much memory",
      60_000,
      [fails(`count(concat("", [x | some i in numbers.range(1, 5000); x := "${"x".repeat(60_000)}"])) > 9`)],
      /opa_malloc: failed$/,
    ],
    ["contradicts itself", 60_000, torn, /conflict$/],
    [
      "meets an expression that never ends",
      undefined,
      [fails(`count(regex.split("^(a+)+$", "${"a".repeat(60)}!")) > 0`)],
      /the policy takes longer than 250 ms$/,
    ],
  ])("that %s is no answer, and the next run is decided afresh", async ([, longest, rules, detail], { skip }) => {
    if (missing !== undefined) skip(missing);
    const fine = `decision if input.identity.claims.case == "good"`;
    const path = await build([fine, ...rules].join("\n"));
    const word = wordOf(
      await regoInBundle(
        readBundle(readFileSync(path)),
        "mayfly/decision",
        longest === undefined ? { clock } : { clock, longest },
      ),
    );
    for (const says of ["good", "fails", "good", "fails", "good"]) {
      const comes = says === "good" ? all : expect.stringMatching(detail);
      expect(await heard(word, grantTo({ case: says }))).toEqual(comes);
    }
  });

  test("that takes too long holds up neither the broker nor, by more than one evaluation, the jobs that ask beside it", async ({
    skip,
  }) => {
    if (missing !== undefined) skip(missing);
    const rules = [`decision if input.identity.claims.case == "good"`, "r := numbers.range(1, 3000)", hit, fails("hit")];
    const word = wordOf(
      await regoInBundle(readBundle(readFileSync(await build(rules.join("\n")))), "mayfly/decision", { clock }),
    );
    const jobs = grantTo({ case: "good" });
    const bad = grantTo({ case: "fails" });
    const began = performance.now();
    const delays = monitorEventLoopDelay({ resolution: 5 });
    delays.enable();
    const flood = Array.from({ length: 17 }, () => heard(word, bad));
    const waits: number[] = [];
    for (let neighbour = 0; neighbour < 5; neighbour += 1) {
      const before = performance.now();
      expect(await heard(word, { ...jobs, identity: { ...jobs.identity, job: `ci:519283746:${neighbour}` } })).toEqual(all);
      waits.push(performance.now() - before);
    }
    delays.disable();
    expect(new Set(await Promise.all(flood))).toEqual(new Set(["last-word-unavailable: the policy takes longer than 250 ms"]));
    // Behind all of them it would be nearly as long as they took together; evaluated by the broker itself, each would delay it by its 250 ms.
    expect(Math.max(...waits)).toBeLessThan((performance.now() - began) / 3);
    expect(delays.percentile(90) / 1e6).toBeLessThan(125);
  }, 30_000);

  test("is not asked about a command that is too long to be asked about, and the caller hears why", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const word = await wordInBundle(await build("decision := true"));
    const of = (command: readonly string[]) => heard(word, { ...grantTo({}), command });
    expect(await of(Array.from({ length: 256 }, () => "x"))).toEqual(all);
    expect(await of(["x".repeat(16_384)])).toEqual(all);
    expect(await of(Array.from({ length: 257 }, () => "x"))).toBe(
      "last-word-unavailable: a command of 257 words and 257 bytes",
    );
    expect(await of(["x".repeat(16_384), "x"])).toBe("last-word-unavailable: a command of 2 words and 16385 bytes");
  });

  test("answers at most as much as a server may", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const word = await wordInBundle(await build(`decision := {"allow": true, "more": numbers.range(1, 20000)}`));
    expect(await heard(word)).toMatch(/the policy's answer is longer than 65536 characters$/);
  });

  test("does not load where its module never comes to an end by itself, and the broker goes on", async () => {
    // A custom section with OPA's name in it, and a start function that is a loop.
    const name = Buffer.from("opa_wasm_abi_minor_version");
    const head = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 0, 1 + name.length, name.length];
    const loop = [1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 8, 1, 0, 10, 9, 1, 7, 0, 3, 0x40, 0x0c, 0, 0x0b, 0x0b];
    const wasm = Buffer.concat([Buffer.from(head), name, Buffer.from(loop)]);
    const bundle = { digest: "", data: Buffer.from("{}"), wasm };
    await expect(regoInBundle(bundle, "mayfly/decision", { clock })).rejects.toThrow(
      "does not load: the policy takes longer than 5000 ms",
    );
  }, 20_000);

  test("keeps nothing of one run for the next: each of a thousand is told what itself had", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const rules = [
      "text := input.identity.claims.text",
      `decision := {"allow": true} if regex.match(data.pattern, text)`,
      `else := {"allow": false, "reason": sprintf("%s of %d", [text, count(split(text, "-"))])}`,
    ];
    const word = await wordInBundle(await build(rules.join("\n"), { pattern: "^(a|b|-)+$" }));
    for (let index = 0; index < 1_000; index += 1) {
      const times = 1 + ((index * 7_919) % 150);
      const text = (index % 3 === 0 ? "a-b" : "a-c").repeat(times);
      const comes = index % 3 === 0 ? all : { overruled: `${text} of ${times + 1}` };
      expect(await heard(word, grantTo({ text }))).toEqual(comes);
    }
  });
});
