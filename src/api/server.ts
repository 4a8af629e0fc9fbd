import { join } from "node:path";
import type { Broker } from "../contract.ts";
import { BrokerError } from "../errors.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { type Clock, type Duration, within } from "../time.ts";
import type { Access } from "./access.ts";
import { Calls } from "./calls.ts";
import type { SocketName } from "./connection.ts";
import { Entrance } from "./entrance.ts";
import type { DoorLog } from "./log.ts";
import { speak } from "./protocols.ts";
import { type Group, prepareFolder } from "./socket-file.ts";
import { Tarpit } from "./tarpit.ts";

/** Who asks for a change, and why; recorded with it. */
export interface Reason {
  readonly who: string;
  readonly why: string;
}

export interface DoorParts {
  readonly broker: Broker;
  readonly ledger: Ledger;
  /** Reads the templates again, or rejects with `policy-invalid` and keeps the old ones. */
  readonly reload: (reason: Reason) => Promise<{ readonly digest: string; readonly templates: readonly string[] }>;
  /** Starts the shutdown; resolves at once. */
  readonly drain: (reason: Reason) => Promise<void>;
  readonly log: DoorLog;
  readonly sockets: Sockets;
  readonly clock: Clock;
}

/** `broker.sock`, `audit.sock` and `control.sock` in one folder; each is for some users, and the folder has a group that may enter it. */
export interface Sockets extends Readonly<Record<SocketName, Access>> {
  readonly folder: string;
  readonly group: Group;
}

/** Open until it is closed; leaving its scope closes it without grace. */
export interface Door extends AsyncDisposable {
  readonly paths: Readonly<Record<SocketName, string>>;
  /**
   * Takes nothing new, gives the calls that run until `grace` to end, then ends them. `broker.sock` and `audit.sock` are gone from the first
   * moment; `control.sock` goes last, so that what still runs can be contained. Resolves when no call is left.
   */
  close(grace: Duration): Promise<void>;
}

const names: readonly SocketName[] = ["broker", "audit", "control"];

/** How long calls that were told to end may take: the local end of a job takes 2 s at most. */
const endingTime = 5_000;

/** Opens the three sockets. Rejects with `socket-in-use`, `environment-unfit` or `config-invalid`, and then none is open. */
export async function createDoor(parts: DoorParts): Promise<Door> {
  const calls = new Calls();
  const { clock, log, sockets } = parts;
  const tarpit = new Tarpit(clock);
  const { protocols, stop } = await speak({ ...parts, calls, tarpit });
  const entrances = names.map((door) => new Entrance({ door, allow: sockets[door].allow, protocols, clock, log, tarpit }));
  await takePlaces(sockets, entrances);
  let closing: Promise<void> | undefined;
  const close = async (grace: Duration): Promise<void> => {
    calls.refuse(new BrokerError("draining"));
    await Promise.all(entrances.filter(({ door }) => door !== "control").map((entrance) => entrance.leave()));
    await within(parts.clock, grace, calls.over(), () => undefined);
    calls.end(new BrokerError("draining", "the broker is shutting down, so the job was ended"));
    await within(parts.clock, endingTime, calls.over(), () =>
      parts.log.error({ calls: calls.count }, "calls did not end in time"),
    );
    await Promise.all(entrances.map((entrance) => entrance.leave()));
    for (const entrance of entrances) entrance.closeAll();
    await stop();
  };
  return {
    paths: pathsIn(parts.sockets.folder),
    close: (grace) => (closing ??= close(grace)),
    [Symbol.asyncDispose]: () => (closing ??= close(0)),
  };
}

function pathsIn(folder: string): Readonly<Record<SocketName, string>> {
  return { broker: join(folder, "broker.sock"), audit: join(folder, "audit.sock"), control: join(folder, "control.sock") };
}

/** All three or none. */
async function takePlaces(sockets: Sockets, entrances: readonly Entrance[]): Promise<void> {
  await prepareFolder(sockets.folder, sockets.group);
  const paths = pathsIn(sockets.folder);
  await using taken = new AsyncDisposableStack();
  for (const entrance of entrances) {
    taken.defer(() => entrance.leave());
    await entrance.open(paths[entrance.door], sockets[entrance.door].group);
  }
  taken.move();
}
