import { describe, expect, it } from "vitest";
import { Circuits } from "../../src/lease/circuit.ts";
import { systemClock } from "../../src/time.ts";

/** A clock that stands until it is set; every pause is as long as it can be. */
function parts() {
  let at = 0;
  const clock = { ...systemClock, now: () => 1_000_000 + at, monotonic: () => at };
  const circuits = new Circuits({ clock, random: () => Buffer.from([255]) });
  return { circuits, pass: (span: number) => void (at += span) };
}

const refused = expect.objectContaining({ code: "provider-unavailable" });

describe("the circuit of a provider", () => {
  const opened = () => {
    const { circuits, pass } = parts();
    const circuit = circuits.of("main");
    for (let count = 0; count < 5; count += 1) circuit.enter("a")("failed");
    return { circuits, circuit, pass };
  };

  it("is closed until five have failed in a row", () => {
    const circuit = parts().circuits.of("main");
    for (let count = 0; count < 4; count += 1) circuit.enter("a")("failed");
    circuit.enter("a")("answered");
    for (let count = 0; count < 4; count += 1) circuit.enter("a")("failed");
    circuit.enter("a")("left");
    expect(() => circuit.enter("a")("failed")).not.toThrow();
    expect(() => circuit.enter("a")).toThrow(refused);
  });

  it("lets one through after a pause, and others only when that one was answered", () => {
    const { circuits, circuit, pass } = opened();
    expect(circuits.open()).toEqual([{ provider: "main", failures: 5, since: 1_000_000 }]);
    pass(999);
    expect(() => circuit.enter("a")).toThrow(refused);
    pass(1);
    const leave = circuit.enter("a");
    expect(() => circuit.enter("a")).toThrow(refused);
    leave("answered");
    expect(circuits.open()).toEqual([]);
    expect(() => circuit.enter("a")).not.toThrow();
  });

  it("waits twice as long after each that fails, up to ten seconds", () => {
    const { circuit, pass } = opened();
    const pauses: number[] = [];
    for (let probes = 0; probes < 7; probes += 1) {
      let waited = 0;
      for (; ; waited += 250, pass(250)) {
        try {
          circuit.enter("a")("failed");
          break;
        } catch {}
      }
      pauses.push(waited);
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]);
  });

  it("lets another through after one whose asker went away", () => {
    const { circuit, pass } = opened();
    pass(1_000);
    circuit.enter("a")("left");
    expect(() => circuit.enter("a")).not.toThrow();
  });

  it("holds up nobody who has not failed, and is closed by whoever is answered", () => {
    const { circuit } = opened();
    circuit.enter("b")("failed");
    expect(() => circuit.enter("b")).toThrow(refused);
    circuit.enter("c")("answered");
    expect(() => circuit.enter("a")).not.toThrow();
  });

  it("is a provider's own", () => {
    const { circuits } = opened();
    expect(() => circuits.of("other").enter("a")).not.toThrow();
  });
});
