import { describe, expect, it } from "vitest";
import { keyRows } from "./key-rows.ts";

describe("an issuer that misbehaves", () => {
  it.each(keyRows)("$id: $name", async ({ run }) => {
    const { held, figures } = await run();
    expect(figures).not.toHaveProperty("missed");
    expect(held).toBe(true);
  });
});
