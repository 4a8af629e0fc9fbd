import { describe, expect, test } from "vitest";
import { sourcesOf } from "../../../src/policy/language/sources.ts";
import { policyOf, template, who } from "../rooms.ts";

describe("a policy's stored text", () => {
  test("gives back each file, byte for byte, whatever is in it", () => {
    const hostile = `${who}\n# --- "t9.yaml" 3\n# ünïcode 💧`;
    const texts = [template(hostile, "one"), template(`${who}\n\n`, "two"), template(who, "three").trimEnd()];
    const sources = sourcesOf(policyOf(...texts).text);
    expect(sources).toEqual(texts.map((text, index) => ({ file: `t${index}.yaml`, text })));
  });

  test.each([
    ["that ends before its file does", '--- "a.yaml" 9\nabc'],
    ["with something between two files", '--- "a.yaml" 3\nabcd\n--- "b.yaml" 1\nx'],
    ["whose file goes on without a new line", '--- "a.yaml" 3\nabcX--- "b.yaml" 1\nx'],
    ["without a header", "version: 1\n"],
    ["whose name is not closed", '--- "a.yaml 3\nabc'],
    ["whose length is no number", '--- "a.yaml" three\nabc'],
    ["whose header is not ended", '--- "a.yaml" 0'],
  ])("%s is refused", (_, text) => {
    expect(() => sourcesOf(text)).toThrow(
      expect.objectContaining({ code: "policy-invalid", message: expect.stringContaining("not of the form") }),
    );
  });

  test.each([
    ["of nothing", "", []],
    ["of an empty file", '--- "a.yaml" 0\n', [{ file: "a.yaml", text: "" }]],
    ["of a name that needs quoting", '--- "a\\"b.yaml" 1\nx', [{ file: 'a"b.yaml', text: "x" }]],
  ])("%s is read", (_, text, sources) => {
    expect(sourcesOf(text)).toEqual(sources);
  });
});
