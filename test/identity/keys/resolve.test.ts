import { createSocket, type Socket } from "node:dgram";
import type { LookupAddress } from "node:dns";
import { afterEach, describe, expect, it } from "vitest";
import { askServers, fairly, type Resolve } from "../../../src/identity/keys/resolve.ts";
import { now } from "../issuer.ts";
import { ManualClock } from "../manual-clock.ts";

const from = (address: string): readonly LookupAddress[] => [{ address, family: 4 }];
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Names that hang until they are let go, and a second way that answers at once. */
function twoWays(most: number) {
  const asked: string[] = [];
  const letGo = new Map<string, () => void>();
  const clock = new ManualClock(now);
  const byHost: Resolve = (host) => {
    asked.push(host);
    return new Promise((answer) => letGo.set(host, () => answer(from("10.0.0.1"))));
  };
  const byServers: Resolve = (host) => {
    asked.push(`${host} of the servers`);
    return Promise.resolve(from("10.0.0.2"));
  };
  return { asked, letGo, clock, resolve: fairly({ byHost, byServers, most, clock }) };
}

describe("names", () => {
  it("are asked for two at a time, and each once for all who want it, so that threads are left for verifying", async () => {
    const { asked, letGo, resolve } = twoWays(2);
    const all = ["a", "a", "b", "c", "a"].map((host) => resolve(host));
    expect(asked).toEqual(["a", "b"]);
    letGo.get("a")?.();
    await Promise.all([all[0], all[1], all[4]]);
    await settled();
    expect(asked).toEqual(["a", "b", "c"]);
    letGo.get("b")?.();
    letGo.get("c")?.();
    await Promise.all(all);
    const again = resolve("a");
    letGo.get("a")?.();
    await again;
    expect(asked).toEqual(["a", "b", "c", "a"]);
  });

  it("whose name servers hang keep no other name waiting for longer than a second, and give their places back", async () => {
    const { asked, letGo, clock, resolve } = twoWays(2);
    const hanging = ["a", "b"].map((host) => resolve(host));
    const third = resolve("c");
    clock.advance(999);
    await settled();
    expect(asked).toEqual(["a", "b"]);
    clock.advance(1);
    expect(await third).toEqual(from("10.0.0.2"));
    expect(asked).toEqual(["a", "b", "c of the servers"]);
    for (const host of ["a", "b"]) letGo.get(host)?.();
    await Promise.all(hanging);
    const after = ["c", "d"].map((host) => resolve(host));
    expect(asked.slice(3)).toEqual(["c", "d"]);
    for (const host of ["c", "d"]) letGo.get(host)?.();
    expect(await Promise.all(after)).toEqual([from("10.0.0.1"), from("10.0.0.1")]);
  });

  it("that cannot be resolved do not use up a place", async () => {
    const byHost: Resolve = () => Promise.reject(new Error("no such name"));
    const resolve = fairly({ byHost, byServers: byHost, most: 1, clock: new ManualClock(now) });
    for (const host of ["a", "b", "a"]) await expect(resolve(host)).rejects.toThrow("no such name");
  });
});

describe("the name servers themselves", () => {
  let server: Socket | undefined;
  afterEach(() => new Promise<void>((closed) => (server === undefined ? closed() : server.close(() => closed()))));

  async function started(answer: (question: Buffer) => Buffer | undefined): Promise<string> {
    const socket = createSocket("udp4");
    server = socket;
    socket.on("message", (question, { port, address }) => {
      const reply = answer(question);
      if (reply !== undefined) socket.send(reply, port, address);
    });
    await new Promise<void>((bound) => socket.bind(0, "127.0.0.1", bound));
    return `127.0.0.1:${socket.address().port}`;
  }

  it("are asked for both kinds of address", async () => {
    const at = await started((question) =>
      answered(
        question,
        isIpv6(question) ? Buffer.from([...Array.from({ length: 15 }, () => 0), 1]) : Buffer.from([10, 1, 2, 3]),
      ),
    );
    expect(await askServers("issuer.example", [at])).toEqual([
      { address: "10.1.2.3", family: 4 },
      { address: "::1", family: 6 },
    ]);
  });

  it("may know one kind only", async () => {
    const at = await started((question) => answered(question, isIpv6(question) ? undefined : Buffer.from([10, 1, 2, 3])));
    expect(await askServers("issuer.example", [at])).toEqual([{ address: "10.1.2.3", family: 4 }]);
  });

  it("that hang are given up", async () => {
    const at = await started(() => undefined);
    const begun = performance.now();
    await expect(askServers("issuer.example", [at])).rejects.toThrow("the name servers gave no address");
    expect(performance.now() - begun).toBeLessThan(10_000);
  });
});

/** RFC 1035 section 4.1: the question's type is the second last word of it. */
function isIpv6(question: Buffer): boolean {
  return question.readUInt16BE(endOfName(question)) === 28;
}

function endOfName(question: Buffer): number {
  return question.indexOf(0, 12) + 1;
}

/** The question again, and one address for its name; or that there is no such record. */
function answered(question: Buffer, address: Buffer | undefined): Buffer {
  const end = endOfName(question) + 4;
  const header = Buffer.from(question.subarray(0, 12));
  header.writeUInt16BE(0x8180, 2);
  header.writeUInt16BE(address === undefined ? 0 : 1, 6);
  header.writeUInt32BE(0, 8);
  if (address === undefined) return Buffer.concat([header, question.subarray(12, end)]);
  const record = Buffer.alloc(12);
  record.writeUInt16BE(0xc00c, 0);
  question.copy(record, 2, end - 4, end);
  record.writeUInt32BE(60, 6);
  record.writeUInt16BE(address.length, 10);
  return Buffer.concat([header, question.subarray(12, end), record, address]);
}
