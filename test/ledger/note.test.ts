import { describe, expect, test } from "vitest";
import { openCheckpoint, signCheckpoint } from "../../src/ledger/checkpoint.ts";
import { emptyRoot } from "../../src/ledger/merkle.ts";
import { noteSigner, openNote, parseVerifierKey, signNote, verifierKey } from "../../src/ledger/note.ts";
import { newKey } from "./fixture.ts";

/** The example of https://c2sp.org/signed-note. */
const specKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const specText = "This is an example message.\n";
const specLine =
  "\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
const specNote = `${specText}\n${specLine}`;
const stranger = "\u2014 example.com/bar AAAAAAAA\n";

describe("the specification's example", () => {
  test.each<[string, string]>([
    ["as it stands", specNote],
    ["with a stranger's signature before it", `${specText}\n${stranger}${specLine}`],
    ["with a stranger's signature of the same name after it", `${specText}\n${specLine}\u2014 example.com/foo AAAAAAAA\n`],
    ["signed twice", `${specText}\n${specLine}${specLine}`],
  ])("opens %s", (_, note) => {
    expect(openNote(note, parseVerifierKey(specKey))).toBe(specText);
  });

  const forged = specLine.replace("Uw2QOkn8", "Uw2QOkn9");
  test.each<[string, string, string]>([
    ["with another text", specNote.replace("example message", "Example message"), "signature does not verify"],
    ["with a changed signature", `${specText}\n${forged}`, "signature does not verify"],
    ["with a changed signature beside the good one", `${specText}\n${specLine}${forged}`, "signature does not verify"],
    ["with a shortened signature", `${specText}\n\u2014 example.com/foo Uw2QOgAA\n`, "signature does not verify"],
    ["without a signature", `${specText}\n`, "does not end in a newline"],
    ["with only a stranger's", `${specText}\n${stranger}`, "no signature by the expected key"],
    ["without its blank line", `${specText}${specLine}`, "malformed"],
    ["without its final newline", specNote.slice(0, -1), "does not end in a newline"],
    ["with a hyphen for the dash", specNote.replace("\u2014", "-"), "malformed signature line"],
    ["with carriage returns", specNote.replaceAll("\n", "\r\n"), "malformed"],
    ["with a control character", specNote.replace("This", "\u0007his"), "malformed"],
    ["with unpadded base64", specNote.replace("aQM=", "aQM"), "malformed signature line"],
    ["with another spelling of the base64", specNote.replace("aQM=", "aQN="), "malformed signature line"],
    [
      "with a plus sign in a signer's name",
      `${specText}\n${stranger.replace("bar", "b+r")}${specLine}`,
      "malformed signature line",
    ],
    ["with a hundred strangers", `${specText}\n${stranger.repeat(100)}${specLine}`, "too many signatures"],
    ["when it is empty", "", "malformed"],
  ])("does not open %s", (_, note, why) => {
    expect(() => openNote(note, parseVerifierKey(specKey))).toThrow(
      expect.objectContaining({ code: "ledger-corrupt", message: expect.stringContaining(why) as string }),
    );
  });
});

describe("a verifier key", () => {
  test("is split at its first two plus signs only, since base64 has them too", () => {
    for (let n = 0; n < 200; n++) {
      const vkey = verifierKey(noteSigner("x", newKey()));
      expect(parseVerifierKey(vkey).id).toBe(vkey.split("+")[1]);
    }
  });

  test.each<[string, string, string]>([
    ["of another name", specKey.replace("foo", "fop"), "not the id of its key"],
    ["with another id", specKey.replace("530d903a", "530d903b"), "not the id of its key"],
    ["with its id in capitals", specKey.replace("530d903a", "530D903A"), "not NAME+ID+BASE64"],
    [
      "of another algorithm",
      `x+00000000+${Buffer.concat([Buffer.of(2), Buffer.alloc(32)]).toString("base64")}`,
      "not an Ed25519 key",
    ],
    [
      "that is too short",
      `x+00000000+${Buffer.concat([Buffer.of(1), Buffer.alloc(31)]).toString("base64")}`,
      "not an Ed25519 key",
    ],
    ["with a space in its name", specKey.replace("foo", "f o"), "must not be empty, nor hold a space"],
    ["with a line after it", `${specKey}\n`, "not NAME+ID+BASE64"],
    ["that is empty", "", "not NAME+ID+BASE64"],
  ])("%s is refused", (_, vkey, why) => {
    expect(() => parseVerifierKey(vkey)).toThrow(
      expect.objectContaining({ code: "usage", message: expect.stringContaining(why) as string }),
    );
  });
});

describe("a checkpoint", () => {
  const signer = noteSigner("ledger.test/a", newKey());
  const verifier = parseVerifierKey(verifierKey(signer));
  const root = Buffer.from(emptyRoot).toString("base64");

  test("is read back as it was signed", () => {
    expect(openCheckpoint(signCheckpoint({ size: 70_000, root: emptyRoot }, signer), verifier)).toEqual({
      origin: "ledger.test/a",
      size: 70_000,
      root: Buffer.from(emptyRoot),
    });
  });

  test("may have extension lines", () => {
    expect(openCheckpoint(signNote(`ledger.test/a\n7\n${root}\nextension\n`, signer), verifier).size).toBe(7);
  });

  test.each<[string, string, string]>([
    ["of another log", `ledger.test/b\n7\n${root}\n`, "another log"],
    ["without an origin", `\n7\n${root}\n`, "names no origin"],
    ["with a leading zero", `ledger.test/a\n07\n${root}\n`, "size is malformed"],
    ["of a negative size", `ledger.test/a\n-7\n${root}\n`, "size is malformed"],
    ["of more than can be counted", `ledger.test/a\n9007199254740992\n${root}\n`, "size is malformed"],
    ["without a root", "ledger.test/a\n7\n", "root is malformed"],
    ["with a short root", "ledger.test/a\n7\nAAAA\n", "root is malformed"],
    ["with an empty extension line", `ledger.test/a\n7\n${root}\n\nx\n`, "empty extension line"],
  ])("%s is refused, however well it is signed", (_, text, why) => {
    expect(() => openCheckpoint(signNote(text, signer), verifier)).toThrow(
      expect.objectContaining({ code: "ledger-corrupt", message: expect.stringContaining(why) as string }),
    );
  });

  test.each(["no newline", "bell\u0007\n", "tab\t\n"])("is never signed over %j", (text) => {
    expect(() => signNote(text, signer)).toThrow(expect.objectContaining({ code: "internal" }));
  });
});
