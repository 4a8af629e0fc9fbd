import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Io } from "../commands/io.ts";
import { BrokerError } from "../errors.ts";
import { asRoot, asRunner, type Spoken, startBroker } from "./cast.ts";
import { startGuardedServer } from "./guarded-server.ts";
import { type DemoIssuer, startIssuer } from "./issuer.ts";
import { leftovers } from "./leftovers.ts";
import { Narrator } from "./narrator.ts";
import { actors, type Stage, setStage } from "./stage.ts";

const careless = `#!/bin/sh
cd /run/mayfly/credentials
curl --silent --show-error --unix-socket /workspace/api.sock --cacert /workspace/api.pem \\
  --cert api/certificate.pem --key api/key.pem https://api.demo.example/
echo "and now the job is careless:"
cat api/key.pem
echo "its token is $(cat report/token)"
echo "in base64 $(base64 -w0 report/token)"
`;

/** The main job, told step by step. Everything in it is real and runs in a folder and in processes of its own. */
export async function tell(io: Io, main: string): Promise<void> {
  const begun = io.clock.monotonic();
  const say = new Narrator(io.stdout, io.stdout.isTTY === true && (io.env["NO_COLOR"] ?? "") === "");
  say.title("Mayfly: the life of a job's credentials, from its identity token to the ledger");
  let folder = "";
  {
    await using issuer = await startIssuer(io.clock);
    using stage = setStage(issuer.url);
    folder = stage.folder;
    await act(io, say, { stage, issuer, main });
  }
  const left = leftovers(folder);
  if (left.length > 0) throw new BrokerError("internal", `the demo left ${left.join(", ")} behind`);
  say.step("All of it is gone: no process, mount, control group or file is left.");
  say.title(`\nThat took ${((io.clock.monotonic() - begun) / 1_000).toFixed(1)} s. README.md goes on from here.`);
}

interface Scene {
  readonly stage: Stage;
  readonly issuer: DemoIssuer;
  readonly main: string;
}

async function act(io: Io, say: Narrator, scene: Scene): Promise<void> {
  const { stage, issuer, main } = scene;
  say.step("A CI system signs an identity token for a job of shop/web, on its protected branch main.");
  const token = stage.give("job.jwt", await issuer.token({}));
  say.printed(claimsOf(token));
  say.step("The security team's template says what such a job may have.");
  say.printed(stage.template);
  say.step("The broker starts: `serve` without any privilege, `sandboxd` with the few that sandboxes need.");
  await using broker = await startBroker(stage, main, io.clock);
  say.printed(processes(broker.pid));
  const root = (args: readonly string[]) => asRoot(stage, main, args);
  await using _server = await guard(io, stage, (await root(["keys", "show", "authority", "--config", stage.config])).stdout);

  say.step("The runner runs the job. It uses its certificate against a TLS server that demands one, then prints its secrets.");
  const run = await typed(say, "mayfly run --token job.jwt --result result.json -- sh deploy.sh", () =>
    asRunner(stage, ["run", "--token", token, "--result", "result.json", "--", "sh", "deploy.sh"]),
  );
  expect(run, 0);
  const { receipt } = z
    .object({ receipt: z.string() })
    .parse(JSON.parse(readFileSync(join(stage.workspace, "result.json"), "utf8")));
  await records(say, { stage, root, receipt });
  await refusals(say, scene, root);
}

/** The server listens inside the workspace: jobs have no network, and a Unix socket needs none. */
async function guard(io: Io, stage: Stage, authority: string): Promise<AsyncDisposable> {
  const server = await startGuardedServer(
    join(stage.workspace, "api.sock"),
    { clientAuthority: authority, owner: actors.runner },
    io.clock,
  );
  writeFileSync(join(stage.workspace, "api.pem"), server.certificate);
  writeFileSync(join(stage.workspace, "deploy.sh"), careless);
  return server;
}

type AsRoot = (args: readonly string[]) => Promise<Spoken>;

async function records(
  say: Narrator,
  { stage, root, receipt }: { readonly stage: Stage; readonly root: AsRoot; readonly receipt: string },
): Promise<void> {
  say.step("Its receipt proves, offline and for ever, that this run is in the ledger.");
  const path = stage.give("result.tlog-proof", receipt);
  const key = (await root(["keys", "show", "ledger", "--config", stage.config])).stdout.trim();
  expect(
    await typed(say, 'mayfly audit verify result.tlog-proof --key "$LEDGER_KEY"', () =>
      root(["audit", "verify", path, "--key", key]),
    ),
    0,
  );
  say.step("The ledger has every step of it, and no secret.");
  expect(await typed(say, "mayfly audit list", () => root(["audit", "list"])), 0);
  say.step("An auditor recomputes the whole ledger and believes nothing but the key.");
  expect(await typed(say, 'mayfly audit verify --key "$LEDGER_KEY"', () => root(["audit", "verify", "--key", key])), 0);
}

async function refusals(say: Narrator, { stage, issuer }: Scene, root: AsRoot): Promise<void> {
  say.step("A pull request asks for the same: it is told which of its claims does not do, and not what would.");
  const token = stage.give(
    "pull-request.jwt",
    await issuer.token({ event_name: "pull_request", ref: "refs/pull/7/merge", ref_protected: "false" }),
  );
  const denied = await typed(say, "mayfly run --token pull-request.jwt --template deploy -- sh deploy.sh", () =>
    asRunner(stage, ["run", "--token", token, "--template", "deploy", "--", "sh", "deploy.sh"]),
  );
  expect(denied, 120);
  say.step("Whoever may read the ledger is told the rest.");
  const id = /den-[0-9a-f]+/.exec(denied.stderr)?.[0] ?? "";
  expect(await typed(say, `mayfly explain ${id}`, () => root(["explain", id, "--config", stage.config])), 0);
}

async function typed(say: Narrator, command: string, run: () => Promise<Spoken>): Promise<Spoken> {
  say.typed(command);
  const spoken = await run();
  say.printed(`${spoken.stdout}${spoken.stderr}`);
  return spoken;
}

function expect({ code, stderr }: Spoken, wanted: number): void {
  if (code !== wanted)
    throw new BrokerError("internal", "the demo did not go as it should", {
      detail: `exit code ${code} instead of ${wanted}: ${stderr}`,
    });
}

function claimsOf(path: string): string {
  const payload = readFileSync(path, "utf8").split(".")[1] ?? "";
  const claims = z.record(z.string(), z.unknown()).parse(JSON.parse(Buffer.from(payload, "base64url").toString()));
  return ["iss", "repository_id", "ref", "event_name"].map((claim) => `${claim}: ${String(claims[claim])}`).join("\n");
}

/** What the kernel says of the two, not what we do. */
function processes(serve: number): string {
  const children = readFileSync(`/proc/${serve}/task/${serve}/children`, "utf8").trim().split(" ");
  const line = (name: string, pid: number | string) => {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return `${name}  uid ${/^Uid:\t(\d+)/m.exec(status)?.[1]}, capabilities ${/^CapEff:\t(\w+)/m.exec(status)?.[1]}`;
  };
  return [line("serve   ", serve), ...children.slice(0, 1).map((pid) => line("sandboxd", pid))].join("\n");
}
