import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Confession, confess, printEverything } from "./confession.ts";
import { searchFolder, searchHost, sightingsInText } from "./haystack.ts";
import { traces } from "./host-traces.ts";
import { Needles } from "./needles.ts";
import { Host, heard, type Spoken, startUpstreams, type Upstreams, until } from "./world.ts";

/*
 * No byte of a job's credentials outside its memory files, the provider's connection and our own processes' memory. The job tells
 * the test its credentials, so that no part of Mayfly has a say in what is looked for.
 */

const template = `version: 1
template: canary
who:
  issuer: ci
  repository_id: "519283746"
  trust: protected
credentials:
  api: { provider: local, kind: x509, ttl: 10m }
  report: { provider: local, kind: jwt, audience: https://reports.test, ttl: 5m }
  db: { provider: bao, path: database/creds/shop-migrate, ttl: 10m }
sandbox: { memory: 256MiB, timeout: 2m }
`;

const began = Date.now();
/** Of every job that ran so far: what was leaked once may turn up later. */
const needles = new Needles();
let upstreams: Upstreams;
let host: Host;

beforeAll(async () => {
  upstreams = await startUpstreams();
  host = await Host.create(upstreams, { canary: template });
}, 120_000);

afterAll(async () => {
  await host?.[Symbol.asyncDispose]();
  await upstreams?.[Symbol.asyncDispose]();
});

interface Confessing extends AsyncDisposable {
  readonly workspace: string;
  readonly confession: Confession;
  readonly client: ChildProcess;
  readonly secrets: Promise<readonly Buffer[]>;
  readonly ended: Promise<Spoken>;
}

/** A job that tells its credentials, waits, and then does something. */
async function confessing(script: string): Promise<Confessing> {
  const workspace = host.workspace();
  const confession = await Confession.in(workspace);
  const token = host.give(await host.token());
  const client = host.spawnRunner(
    ["run", "--token", token, "--result", "result.json", "--", "sh", "-c", `${confess}\n${script}`],
    { cwd: workspace, env: { CI: "true" } },
  );
  const ended = heard(client);
  const refused = ended.then(({ code, stderr }) =>
    Promise.reject(new Error(`the job told nothing and ended with ${code}: ${stderr}`)),
  );
  refused.catch(() => undefined);
  return {
    workspace,
    confession,
    client,
    secrets: Promise.race([confession.all(), refused]),
    ended,
    [Symbol.asyncDispose]: () => confession[Symbol.asyncDispose](),
  };
}

/** Waits for the job's confession and looks for it everywhere from then on. */
async function learn(job: Confessing): Promise<void> {
  const secrets = await job.secrets;
  expect(secrets.map(({ length }) => length)).toEqual([32, 43, 86, 20]);
  needles.add(secrets);
}

function expectNothingOnHost(): void {
  const { sightings, files, processes } = searchHost(needles, began);
  expect(sightings).toEqual([]);
  expect(files).toBeGreaterThan(20);
  expect(processes).toBeGreaterThan(20);
}

/** The bundles and credentials of sandboxd's jobs, which the host sees by this path only. */
function memoryMount(): string {
  const run = `/proc/${host.broker.sandboxdPid()}/root/run`;
  const home = readdirSync(run).find((name) => name.startsWith("mayfly-sandboxd.") && existsSync(`${run}/${name}/jobs`));
  return `${run}/${home}/jobs`;
}

function sightingsInWords({ stdout, stderr }: Spoken): readonly string[] {
  return [...sightingsInText("stdout", stdout, needles), ...sightingsInText("stderr", stderr, needles)];
}

describe("no byte of a job's credentials is on the host", () => {
  test("while the job runs, though the same search finds them in its memory mount; nor in anything it prints, nor after it failed", async () => {
    await using job = await confessing(`${printEverything}\nexit 7`);
    await learn(job);
    expectNothingOnHost();
    const found = searchFolder(needles, memoryMount()).map((sighting) => /credentials\/\w+/.exec(sighting)?.[0] ?? sighting);
    expect(found.toSorted()).toEqual(["credentials/api", "credentials/db", "credentials/report"]);
    job.confession.goOn();
    const spoken = await job.ended;
    expect(spoken.code).toBe(7);
    expect(sightingsInWords(spoken)).toEqual([]);
    expect(spoken.stdout.split("***").length).toBeGreaterThan(3 * 12);
    expect(spoken.stderr).toContain("***");
    expect(readdirSync(job.workspace).toSorted()).toEqual(["canary.sock", "result.json"]);
    expectNothingOnHost();
  }, 60_000);

  test("when the runner is killed while the job prints them", async () => {
    await using job = await confessing("while :; do cat */password */token */key.pem; done");
    await learn(job);
    job.confession.goOn();
    await new Promise((resolve) => job.client.stdout?.once("data", resolve));
    job.client.kill("SIGKILL");
    const spoken = await job.ended;
    expect(spoken.stdout).toContain("***");
    expect(sightingsInWords(spoken)).toEqual([]);
    await until(() => traces(host.broker).processes === 0, 10_000);
    expectNothingOnHost();
  }, 60_000);

  test.each(["SIGKILL", "SIGSEGV"] as const)(
    "when serve dies of %s while a job holds them, nor once it is back, nor in any line it logged",
    async (signal) => {
      await using job = await confessing(printEverything);
      await learn(job);
      const { broker } = host;
      const nest = broker.nest();
      process.kill(broker.pid, signal);
      expect(sightingsInWords(await job.ended)).toEqual([]);
      await until(() => !readdirSync("/proc").includes(String(nest)), 10_000);
      expectNothingOnHost();
      expect(sightingsInText("log", await broker.stop(), needles)).toEqual([]);
      await host.start();
      await until(async () => (await upstreams.bao.leases("database/creds/shop-migrate")).length === 0, 30_000);
      expectNothingOnHost();
    },
    90_000,
  );

  test("in all that the broker logged, every entry of its ledger, and what its verbs print", async () => {
    const verbs = [["status"], ["audit", "list"], ["lease", "list"]];
    const spoken = await Promise.all(verbs.map(async (verb) => host.asRoot([...verb, "--json"])));
    expect(spoken.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(spoken.flatMap(sightingsInWords)).toEqual([]);
    const log = await host.broker.stop();
    expect(log.length).toBeGreaterThan(100);
    expect(sightingsInText("log", log, needles)).toEqual([]);
    expectNothingOnHost();
  }, 60_000);
});

describe("the search finds", () => {
  const secret = crypto.getRandomValues(Buffer.alloc(40)).toString("base64url");
  const part = Buffer.from(secret.slice(11, 19));
  const planted = new Needles();
  planted.add([Buffer.from(secret)]);

  const printed: Readonly<Record<string, string>> = {
    plain: part.toString(),
    hex: part.toString("hex"),
    "hex, upper case": part.toString("hex").toUpperCase(),
    "hex, colons": `${part.toString("hex").match(/../g)?.join(":")}:`,
    "hex, blanks": `${part.toString("hex").match(/../g)?.join(" ")} `,
    "base64, at the first place": Buffer.from(`abc${secret}`)
      .toString("base64")
      .slice(4 + 16, 4 + 25),
    "base64, at the second place": Buffer.from(`abcd${secret}`).toString("base64").slice(21, 30),
    "base64, at the third place": Buffer.from(`abcde${secret}`).toString("base64").slice(22, 31),
  };

  test.each(Object.entries(printed))("eight bytes of a secret, %s", (_, text) => {
    expect(sightingsInText("text", `before ${text} after`, planted)).toHaveLength(1);
    expect(sightingsInText("text", `before ${text.slice(1)} after`, planted)).toEqual([]);
  });

  test("what a URL or a JSON text makes of it", () => {
    const key = new Needles();
    key.add([Buffer.from("a/b+c=d\ne/f+g")]);
    const texts = [
      encodeURIComponent("b+c=d\ne/f"),
      encodeURIComponent("b+c=d\ne/f").toLowerCase(),
      JSON.stringify("b+c=d\ne/f"),
    ];
    expect(texts.map((text) => key.in(Buffer.from(text)))).toEqual([["URL"], ["URL, lower case"], ["JSON"]]);
  });

  test("a file, an argument and a variable that hold eight bytes of it, wherever on the host", async () => {
    const path = join(host.folder, "builds", "planted");
    writeFileSync(path, Buffer.concat([Buffer.alloc(70_000, 1), part, Buffer.alloc(70_000, 2)]));
    const ended = new AbortController();
    const argument = spawn("sleep", ["60", `0.${"0"}`], { signal: ended.signal, argv0: part.toString(), stdio: "ignore" });
    const variable = spawn("sleep", ["60"], {
      signal: ended.signal,
      env: { PATH: "/usr/bin:/bin", PLANTED: part.toString("hex") },
      stdio: "ignore",
    });
    for (const child of [argument, variable]) child.on("error", () => undefined);
    try {
      const found = () => searchHost(planted, began).sightings;
      await until(() => found().length >= 3, 5_000);
      expect(found().toSorted()).toEqual(
        [`/proc/${argument.pid}/cmdline: plain`, `/proc/${variable.pid}/environ: hex`, `${path}: plain`].toSorted(),
      );
    } finally {
      ended.abort();
      rmSync(path);
    }
  }, 60_000);
});
