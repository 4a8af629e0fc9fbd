import { Command } from "commander";
import { BrokerError } from "../errors.ts";
import type { Io } from "./io.ts";
import { fail } from "./output.ts";

const examples = `
Examples:
  $ sudo mayfly demo

It starts an issuer, a broker and a server of its own on this host, runs one job, and removes all of it again.`;

export function demoCommand(io: Io, main: string): Command {
  return new Command("demo")
    .summary("see one job's credentials from the identity token to the ledger")
    .description(
      "Runs the main job on throw-away parts and tells each step; takes about ten seconds, needs root, and leaves nothing behind.",
    )
    .addHelpText("after", examples)
    .action(async () => {
      try {
        if (io.uid !== 0)
          throw new BrokerError("environment-unfit", "the demo makes sandboxes, which takes root", {
            hint: "sudo mayfly demo",
          });
        const { tell } = await import("../demo/story.ts");
        await tell(io, main);
      } catch (error) {
        fail(io, error);
      }
    });
}
