import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import { chmod, chown, lstat, mkdir, readFile, rename, unlink } from "node:fs/promises";
import { createConnection, type Server } from "node:net";
import { basename, dirname, join } from "node:path";
import { BrokerError } from "../errors.ts";

/** A name of /etc/group, or a number that needs no entry there. */
export type Group = string | number;

/** sun_path holds 108 bytes, the last of them a NUL (unix(7)); a longer path is cut short by some and refused by others. */
export const longestPath = 107;

/**
 * Makes the folder of the sockets, 0750 and of the given group, or checks that an existing one is a real folder in which nobody
 * but us and root can put things: who may write there can replace a socket and be given every token.
 */
export async function prepareFolder(folder: string, group: Group): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o750 });
  const found = await lstat(folder);
  if (!found.isDirectory()) throw unfit(`${folder} is not a folder`, "remove it, or name another with MAYFLY_RUN");
  if (found.uid !== process.geteuid?.() && found.uid !== 0)
    throw unfit(`${folder} belongs to another user`, "give it to the user that runs the broker");
  if ((found.mode & 0o022) !== 0) throw unfit(`others may write to ${folder}`, `chmod 0750 ${folder}`);
  if (found.uid !== process.geteuid?.()) return;
  const gid = await groupId(group);
  if (found.gid !== gid) await chown(folder, -1, gid).catch(notAMember(group));
  await chmod(folder, 0o750);
}

/**
 * Listens on `path`, 0660 and of the given group, from the first moment on which it can be connected to: the socket is made under
 * a name that nobody knows and moved to its place, which also replaces what a dead broker left without a gap. A live one is refused.
 */
export async function listenOn(server: Server, path: string, group: Group): Promise<AsyncDisposable> {
  const birth = join(dirname(path), `.${basename(path)}.${randomBytes(3).toString("hex")}`);
  if (Buffer.byteLength(birth) > longestPath) {
    throw unfit(
      `the path of the socket is too long, ${path}`,
      `name a shorter folder with MAYFLY_RUN: the kernel takes ${longestPath} bytes`,
    );
  }
  await refuseLive(path);
  const gid = await groupId(group);
  await bind(server, birth);
  try {
    await chown(birth, -1, gid).catch(notAMember(group));
    await chmod(birth, 0o660);
    await rename(birth, path);
  } catch (error) {
    await unlink(birth).catch(() => undefined);
    server.close();
    throw error;
  }
  const ours = await lstat(path);
  return { [Symbol.asyncDispose]: () => unlinkOurs(path, ours) };
}

async function refuseLive(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket())
    throw unfit(`${path} is in the way: it is not a socket`, "move it, or name another folder with MAYFLY_RUN");
  if (await answers(path)) {
    throw new BrokerError("socket-in-use", `another broker already listens on ${path}`, {
      hint: "stop it, or name another folder with MAYFLY_RUN",
    });
  }
}

/** Only a refused connection proves that nobody listens; a full queue or a missing permission does not. */
async function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (error) => resolve(!("code" in error && (error.code === "ECONNREFUSED" || error.code === "ENOENT"))));
  });
}

async function bind(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** A successor may have put its own in the same place. */
async function unlinkOurs(path: string, ours: Stats): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.ino === ours.ino && found.dev === ours.dev) await unlink(path).catch(() => undefined);
}

/** Node asks no name service; a group that lives elsewhere is written as its number. */
async function groupId(group: Group): Promise<number> {
  if (typeof group === "number") return group;
  const lines = (await readFile("/etc/group", "utf8")).split("\n").map((line) => line.split(":"));
  const id = Number(lines.find(([name]) => name === group)?.[2] ?? Number.NaN);
  if (Number.isInteger(id)) return id;
  throw new BrokerError("config-invalid", `there is no group named ${group} in /etc/group`, {
    hint: `groupadd --system ${group}, or write a number under \`sockets:\` in mayfly.yaml`,
  });
}

function notAMember(group: Group): (cause: unknown) => never {
  return (cause) => {
    throw new BrokerError("environment-unfit", `the broker may not give its socket to the group ${group}`, {
      hint: "make the broker's user a member of that group",
      cause,
    });
  };
}

function unfit(message: string, hint: string): BrokerError {
  return new BrokerError("environment-unfit", message, { hint });
}
