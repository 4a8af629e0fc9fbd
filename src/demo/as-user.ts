import process from "node:process";
import { processIo } from "../commands/process-io.ts";
import { loadProgram } from "../commands/program.ts";
import { become } from "../privileges.ts";

/*
 * `mayfly` as another user of this host: uid, gid and a comma-separated list of groups come first, then the command line. Every
 * module is loaded before the change, since the new user may be unable to read the folder that they are in.
 */
const [uid = "", gid = "", groups = "", ...args] = process.argv.slice(2);
const parts = {
  version: "demo",
  types: () => Promise.resolve({ types: [], load: () => Promise.resolve(undefined) }),
  processes: {},
};
const run = await loadProgram(processIo(), args, parts);
become({ uid: Number(uid), gid: Number(gid) }, groups.split(",").map(Number));
await run();
