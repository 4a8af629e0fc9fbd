import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { release, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { Command } from "commander";
import { peerOf } from "../api/peer.ts";
import { loadConfig, settings } from "../config.ts";
import { asBrokerError } from "../errors.ts";
import { startSandboxd } from "../sandbox/child.ts";
import { bad, good, hostFindings, lacking } from "../sandbox/findings.ts";
import type { Finding } from "../sandbox/sandbox.ts";
import type { Clock } from "../time.ts";
import type { Io } from "./io.ts";
import { print, printJson, say } from "./output.ts";

const examples = `
Examples:
  $ sudo mayfly doctor
  $ sudo mayfly doctor --json | jq '.[] | select(.state != "good")'

It tries what it reports: a trivial job runs. The exit code is 1 when anything is bad.`;

export function doctorCommand(io: Io): Command {
  return new Command("doctor")
    .summary("say what this host can give, and what to do about the rest")
    .description(
      "Looks at everything that isolation rests on and runs a trivial job to see that it works; loads the last word's bundle, where --config names one.",
    )
    .option("--config <file>", "the mayfly.yaml to try (default: none, every setting at its default)")
    .option("--json", "print the findings as JSON")
    .addHelpText("after", examples)
    .action(async ({ config, json }: { config?: string; json?: boolean }) => {
      const host = await probeHost({ program: thisProgram(), config, clock: io.clock });
      const findings = [...host, ...(config === undefined ? [] : await configuredFindings(io, config))];
      if (json === true) printJson(io, findings);
      else show(io, findings);
      io.exit(findings.some(({ state }) => state === "bad") ? 1 : 0);
    });
}

/** What this mayfly.yaml needs that is on this host, beside its sandboxes. */
async function configuredFindings(io: Io, path: string): Promise<readonly Finding[]> {
  try {
    const config = loadConfig(resolve(io.cwd, path), settings(io.env));
    if (config.last_word === undefined) return [];
    const { lastWordFindings } = await import("./doctor-last-word.ts");
    return await lastWordFindings(config, io.clock);
  } catch (error) {
    const { message, hint } = asBrokerError(error);
    return [bad("mayfly.yaml", message, hint ?? "see the lines above")];
  }
}

export interface Probing {
  /** How this program is called again. */
  readonly program: readonly string[];
  readonly config: string | undefined;
  readonly clock: Clock;
}

/** Starts a sandboxd of its own, asks it what it found, and ends it. Without root it says what can be said without. */
export async function probeHost({ program, config, clock }: Probing): Promise<readonly Finding[]> {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-doctor-"));
  try {
    const runners = callers((await whoCalls(join(folder, "caller.sock"))).cgroup, release());
    return [runners, ...(await sandboxFindings({ program, config, clock }, folder))];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function sandboxFindings({ program, config, clock }: Probing, folder: string): Promise<readonly Finding[]> {
  if (process.getuid?.() !== 0) return [...hostFindings(), bad("sandboxd", "not tried", "run it as root: sudo mayfly doctor")];
  try {
    writeFileSync(`${folder}/none.yaml`, "{}\n");
    const child = await startSandboxd({
      program,
      config: config ?? `${folder}/none.yaml`,
      socket: `${folder}/sandboxd.sock`,
      serveUid: 0,
      clock,
    });
    try {
      return (await child.sandboxes.status()).findings;
    } finally {
      await child.stop();
    }
  } catch (error) {
    const { message, hint, detail } = asBrokerError(error);
    return [...hostFindings(), bad("sandboxd", [message, detail].filter(Boolean).join(": "), hint ?? "see the lines above")];
  }
}

/** This very process, as a broker would see it. */
async function whoCalls(socket: string): Promise<ReturnType<typeof peerOf>> {
  const server = createServer();
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  await once(server.listen(socket), "listening");
  const caller = connect(socket);
  try {
    return peerOf(await accepted);
  } finally {
    caller.destroy();
    server.close();
  }
}

/** Whether runners of one user can be told apart, which is what a session is bound by. SO_PEERPIDFD came with Linux 6.5. */
export function callers(cgroup: string | undefined, kernel: string): Finding {
  if (cgroup !== undefined) return good("callers", `told apart by their control groups; this one is in ${cgroup}`);
  const [major = 0, minor = 0] = kernel.split(".").map(Number);
  const asks = major > 6 || (major === 6 && minor >= 5);
  const otherwise = "until then only `sessions.bound_to: user` in mayfly.yaml lets `mayfly session start` open a session";
  return asks
    ? lacking(
        "callers",
        "this one's control group cannot be read, or says nothing",
        `start runners as systemd services; ${otherwise}`,
      )
    : lacking("callers", `Linux ${kernel} does not say which process calls (SO_PEERPIDFD)`, `Linux 6.5 or newer; ${otherwise}`);
}

function thisProgram(): readonly string[] {
  return [process.execPath, ...process.execArgv, process.argv[1] ?? ""];
}

const marks = { good: "ok     ", lacking: "lacking", bad: "BAD    " } as const;

function show(io: Io, findings: readonly Finding[]): void {
  for (const { name, state, found, remedy } of findings) {
    print(io, `${marks[state]}  ${name}: ${found}`);
    if (remedy !== null) print(io, `         -> ${remedy}`);
  }
  const count = (state: Finding["state"]) => findings.filter((finding) => finding.state === state).length;
  say(io, `${count("good")} good, ${count("lacking")} lacking, ${count("bad")} bad`);
}
