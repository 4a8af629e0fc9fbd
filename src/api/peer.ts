import type { Socket } from "node:net";
import koffi from "koffi";
import type { Peer } from "../contract.ts";
import { BrokerError } from "../errors.ts";

/*
 * Who is at the other end of a Unix socket is known to the kernel alone: SO_PEERCRED gives uid, gid and pid as they were at
 * connect(2), and nothing that the peer sends can change them (unix(7)). Node offers no call for it (libuv issues 2255 and 2268),
 * hence this one native call; koffi's prebuilt library needs no install script. It is loaded with this module, before `serve`
 * gives up its uid and may no longer read its own folder.
 */
const getsockopt: unknown = koffi
  .load(null)
  .func("int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *size)");

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const ucredBytes = 12;

/** Throws `internal` where the kernel does not say: a caller without a name is nobody. */
export function peerOf(socket: Socket): Peer {
  const ucred = Buffer.alloc(ucredBytes);
  const size = [ucredBytes];
  const answer: unknown =
    typeof getsockopt === "function"
      ? Reflect.apply(getsockopt, undefined, [descriptorOf(socket), SOL_SOCKET, SO_PEERCRED, ucred, size])
      : -1;
  if (answer !== 0 || size[0] !== ucredBytes) throw new BrokerError("internal", undefined, { detail: "SO_PEERCRED failed" });
  const words = new Uint32Array(ucred.buffer, ucred.byteOffset, 3);
  const [pid = 0, uid = nobody, gid = nobody] = words;
  if (uid === nobody) throw new BrokerError("internal", undefined, { detail: "SO_PEERCRED knows no uid for this socket" });
  return { uid, gid, pid };
}

/** (uid_t) -1, which the kernel gives for a socket that has no peer. */
const nobody = 0xffff_ffff;

/** Node shows a socket's descriptor on its handle only. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, "_handle");
  const descriptor: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : undefined;
  if (typeof descriptor !== "number" || descriptor < 0)
    throw new BrokerError("internal", undefined, { detail: "the socket has no descriptor" });
  return descriptor;
}
