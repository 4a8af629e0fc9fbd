import { describe, expect, test } from "vitest";
import { BrokerError } from "../../../src/errors.ts";
import { Turns } from "../../../src/policy/opa/turns.ts";

const ever = new AbortController().signal;

/** Work that goes on until it is told to end, and the order in which it began. */
function stage() {
  const turns = new Turns();
  const began: string[] = [];
  const held = Promise.withResolvers<void>();
  const ask = (name: string, signal = ever) =>
    turns.take(name.charAt(0), signal, async () => {
      began.push(name);
      if (name === "a0") await held.promise;
      return name;
    });
  return { ask, began, goOn: () => held.resolve() };
}

describe("turns", () => {
  test("are by line: who asked a hundred times before waits behind whoever asks once", async () => {
    const { ask, began, goOn } = stage();
    const all = ["a0", "a1", "a2", "a3", "b1", "c1", "b2"].map((name) => ask(name));
    goOn();
    expect(await Promise.all(all)).toEqual(["a0", "a1", "a2", "a3", "b1", "c1", "b2"]);
    expect(began).toEqual(["a0", "a1", "b1", "c1", "a2", "b2", "a3"]);
  });

  test("are one at a time, and go on after one that failed", async () => {
    const turns = new Turns();
    const [count, most] = [{ now: 0 }, { now: 0 }];
    const work = async (): Promise<void> => {
      count.now += 1;
      most.now = Math.max(most.now, count.now);
      await Promise.resolve();
      count.now -= 1;
      throw new Error("it failed");
    };
    const all = await Promise.allSettled(["a", "a", "b", "c"].map((line) => turns.take(line, ever, work)));
    expect([all.map(({ status }) => status), most.now]).toEqual([Array.from({ length: 4 }, () => "rejected"), 1]);
    expect(await turns.take("a", ever, async () => "well")).toBe("well");
  });

  test("are refused where too many of one line wait, and another line still has one; and where too many wait in all", async () => {
    const { ask, goOn } = stage();
    const all = [ask("a0"), ...Array.from({ length: 16 }, (_, index) => ask(`a${index + 1}`))];
    await expect(ask("a17")).rejects.toMatchObject({ code: "busy", message: "too many wait for the site's last word" });
    for (const line of "bcdefgh") for (let index = 0; index < 16; index += 1) all.push(ask(`${line}${index}`));
    await expect(ask("z1")).rejects.toMatchObject({ code: "busy" });
    goOn();
    await Promise.all(all);
    expect(await ask("z1")).toBe("z1");
  });

  test("are given up by who has gone", async () => {
    const { ask, began, goOn } = stage();
    const gone = new AbortController();
    const first = ask("a0");
    const [left, right] = [ask("a1", gone.signal), ask("b1")];
    gone.abort(new BrokerError("cancelled"));
    await expect(left).rejects.toMatchObject({ code: "cancelled" });
    goOn();
    await Promise.all([first, right]);
    expect(began).toEqual(["a0", "b1"]);
  });
});
