import { lodge } from "./lodging.ts";
import { pull } from "./puppet.ts";

/*
 * A broker of its own, for tests that kill it: it starts a plug-in that does not care about the end of its input, prints that one's
 * process id and then that of its child, and stays.
 */
const home = lodge("puppet");
const puppet = pull(home, { script: { serve: { stubborn: true } } });
await puppet.mint();
process.stdout.write(`${JSON.stringify({ pid: puppet.wrote("starts").at(-1)?.["pid"], folder: home.folder })}\n`);
setInterval(() => undefined, 1_000);
