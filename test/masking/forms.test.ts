import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { formsOf } from "../../src/masking/forms.ts";
import { createMaskSet } from "../../src/masking/mask-set.ts";
import { Secret } from "../../src/secret.ts";

/** Every character that some encoder treats differently, and one beyond U+FFFF. */
const value = `it's "50%" <&> $x\\y/é🔑 +~`;

function masked(text: string, ...secrets: string[]): string {
  const set = createMaskSet();
  set.add(secrets.map((secret) => Secret.of(secret)));
  const masker = set.masker();
  return Buffer.concat([masker.write(Buffer.from(text)), masker.end()]).toString();
}

describe("what real tools print of a secret is hidden", () => {
  // The left column is the command, with V in its environment or on its stdin; the middle one is what it printed.
  test.each([
    ["echo", value, "***"],
    ["base64 -w0", "aXQncyAiNTAlIiA8Jj4gJHhceS/DqfCflJEgK34=", "***"],
    // The last character is the line's end alone.
    ["echo V | base64 -w0", "aXQncyAiNTAlIiA8Jj4gJHhceS/DqfCflJEgK34K", "***K"],
    ["printf x:V | base64 -w0", "eDppdCdzICI1MCUiIDwmPiAkeFx5L8Op8J+UkSArfg==", "eD***"],
    ["printf xyz:V | base64 -w0", "eHl6Oml0J3MgIjUwJSIgPCY+ICR4XHkvw6nwn5SRICt+", "eHl6O***"],
    ["printf '>V' | basenc --base64url", "Pml0J3MgIjUwJSIgPCY-ICR4XHkvw6nwn5SRICt-", "P***"],
    ["iconv -t utf-16le | base64", "aQB0ACcAcwAgACIANQAwACUAIgAgADwAJgA+ACAAJAB4AFwAeQAvAOkAPdgR3SAAKwB+AA==", "***"],
    ["xxd -p", "69742773202235302522203c263e2024785c792fc3a9f09f9491202b7e", "***"],
    ["xxd -p -u", "69742773202235302522203C263E2024785C792FC3A9F09F9491202B7E", "***"],
    ["od -An -tx1", "69 74 27 73 20 22 35 30 25 22 20 3c 26 3e 20 24 78 5c 79 2f c3 a9 f0 9f 94 91 20 2b 7e", "***"],
    ["python quote", "it%27s%20%2250%25%22%20%3C%26%3E%20%24x%5Cy/%C3%A9%F0%9F%94%91%20%2B~", "***"],
    ["python quote_plus, go QueryEscape", "it%27s+%2250%25%22+%3C%26%3E+%24x%5Cy%2F%C3%A9%F0%9F%94%91+%2B~", "***"],
    ["jq @uri", "it's%20%2250%25%22%20%3C%26%3E%20%24x%5Cy%2F%C3%A9%F0%9F%94%91%20%2B~", "***"],
    ["go PathEscape", "it%27s%20%2250%25%22%20%3C&%3E%20$x%5Cy%2F%C3%A9%F0%9F%94%91%20+~", "***"],
    ["lower case escapes", "it%27s%20%2250%25%22%20%3c%26%3e%20%24x%5cy%2f%c3%a9%f0%9f%94%91%20%2b~", "***"],
    ["python json.dumps", String.raw`"it's \"50%\" <&> $x\\y/\u00e9\ud83d\udd11 +~"`, '"***"'],
    ["jq", String.raw`"it's \"50%\" <&> $x\\y/é🔑 +~"`, '"***"'],
    ["go json.Marshal", String.raw`"it's \"50%\" \u003c\u0026\u003e $x\\y/é🔑 +~"`, '"***"'],
    ["json with escaped slashes", String.raw`"it's \"50%\" <&> $x\\y\/é🔑 +~"`, '"***"'],
    ["python quoteattr", String.raw`"it's &quot;50%&quot; &lt;&amp;&gt; $x\y/é🔑 +~"`, '"***"'],
    ["python html.escape", String.raw`it&#x27;s &quot;50%&quot; &lt;&amp;&gt; $x\y/é🔑 +~`, "***"],
    ["go html.EscapeString", String.raw`it&#39;s &#34;50%&#34; &lt;&amp;&gt; $x\y/é🔑 +~`, "***"],
    ["python shlex.quote", String.raw`'it'"'"'s "50%" <&> $x\y/é🔑 +~'`, "'***'"],
    ["bash -x", String.raw`+ true 'it'\''s "50%" <&> $x\y/é🔑 +~'`, "+ true '***'"],
    ["bash printf %q", String.raw`it\'s\ \"50%\"\ \<\&\>\ \$x\\y/é🔑\ +~`, "***"],
  ])("%s", (_, printed, expected) => {
    expect(masked(`<${printed}>\n`, value)).toBe(`<${expected}>\n`);
  });
});

describe("what the tools of this very host print is hidden", () => {
  const live: readonly (readonly [string, string])[] = [
    ["base64 -w0", 'printf %s "$V" | base64 -w0'],
    ["base64 of a line before it", "printf 'user:%s' \"$V\" | base64 -w0"],
    ["od", 'printf %s "$V" | od -An -v -tx1 -w999'],
    ["bash -x", "bash -xc 'true \"$V\"' 2>&1"],
    ["printf %q", "bash -c 'printf %q \"$V\"'"],
    ["encodeURIComponent", "node -p 'encodeURIComponent(process.env.V)'"],
    ["URLSearchParams", "node -p 'new URLSearchParams({ v: process.env.V }).toString()'"],
    ["JSON.stringify", "node -p 'JSON.stringify(process.env)'"],
  ];
  test.each(live)("%s", (_, command) => {
    const env = { PATH: `${process.cwd()}/node_modules/.bin:${process.env["PATH"]}`, V: value };
    const printed = execFileSync("sh", ["-c", command], { env, encoding: "utf8" });
    expect(masked(printed, value)).toContain("***");
    expect(masked(printed, value)).not.toMatch(/50|NTA|35 ?30/);
  });
});

describe("a long value, whose encodings the tools break into lines, is hidden", () => {
  const long = Array.from({ length: 40 }, (_, at) => `part${at * 7919}/`).join("");

  test.each([
    ["base64", "base64", (text: string) => Buffer.from(text).toString("base64")],
    ["openssl base64", "openssl base64", (text: string) => Buffer.from(text).toString("base64")],
    ["xxd -p", "xxd -p", (text: string) => Buffer.from(text).toString("hex")],
  ])("%s", (_, command, encoded) => {
    const printed = execFileSync("sh", ["-c", command], { input: long, encoding: "utf8" });
    expect(printed.trim().split("\n").length).toBeGreaterThan(3);
    const shown = masked(printed, long);
    expect(shown).toContain("***");
    const windows = Array.from({ length: encoded(long).length - 8 }, (_, at) => encoded(long).slice(at, at + 8));
    expect(windows.filter((window) => shown.includes(window))).toEqual([]);
  });
});

describe("values of many lines", () => {
  const key = [
    "-----BEGIN PRIVATE KEY-----",
    "MC4CAQAwBQYDK2VwBCIEIJ5tqvBpyOQq0WmB1H8mXwZ0o0ZkS0l1dV6e8sHnFvQ2",
    "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789+/aBcDeFgHiJkLmNoPqRsTuVwXyZ",
    "QUJDREVG",
    "-----END PRIVATE KEY-----",
  ];
  const pem = `${key.join("\n")}\n`;

  test.each([
    ["as it is", pem, "***\n"],
    ["with the terminal's line ends", pem.replaceAll("\n", "\r\n"), "***\r\n"],
    ["each line indented", key.map((line) => `  ${line}\n`).join(""), `  ${key[0]}\n  ***\n  ***\n  ***\n  ${key[4]}\n`],
    ["one line alone", `grep: ${key[2]}`, "grep: ***"],
    ["in a JSON string", JSON.stringify({ key: pem }), '{"key":"***\\n"}'],
    ["in base64", Buffer.from(pem).toString("base64"), "***Cg=="],
    ["an armour line alone stays", `${key[0]}\n`, `${key[0]}\n`],
  ])("%s", (_, printed, expected) => {
    expect(masked(printed, pem)).toBe(expected);
  });
});

describe("what is not a form stays", () => {
  test.each([
    ["another value", "sk-live-Zr8Qw1", "sk-live-Zr8Qw2"],
    ["part of the value", "sk-live-Zr8Qw1", "sk-live-Zr8"],
    ["braces of a JSON secret", '{\n  "private_key_id": "9f86d081"\n}', '{ "type": 1 }'],
  ])("%s", (_, secret, text) => {
    expect(masked(`${text}.`, secret)).toBe(`${text}.`);
  });

  test("a value that is no UTF-8 has the forms of bytes only, and they are hidden", () => {
    const bytes = Buffer.from("ff00fe01fd02fc03fb04", "hex");
    const set = createMaskSet();
    set.add([Secret.of(bytes)]);
    const masker = set.masker();
    expect(masker.write(Buffer.concat([Buffer.from("a"), bytes, Buffer.from(`b${bytes.toString("hex")}.`)])).toString()).toBe(
      "a***b***.",
    );
  });

  test("every form is listed once and none is shorter than eight bytes", () => {
    const forms = formsOf(Buffer.from(value)).map(({ bytes }) => bytes.toString("hex"));
    expect(new Set(forms).size).toBe(forms.length);
    expect(Math.min(...forms.map((form) => form.length / 2))).toBeGreaterThanOrEqual(8);
  });
});
