import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { noAuthority } from "../../src/commands/templates.ts";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { Intent, Minted, Provider } from "../../src/lease/provider.ts";
import { fill } from "../../src/policy/slots.ts";
import { systemClock } from "../../src/time.ts";
import { type Bench, intentOf, provesProvider } from "../conformance/provider.ts";
import { must, type Outcome } from "../servers/process.ts";
import { type Sshd, sshdMissing, startSshd } from "../servers/sshd.ts";
import { configured } from "./configured.ts";

const reason = sshdMissing();
const ttl = 600_000;
const deploy = { principals: ["ci-519283746"], command: "echo deployed by the shop" };

interface SshBench extends AsyncDisposable {
  readonly authority: BrokerAuthority;
  readonly provider: Provider<unknown>;
  readonly sshd: Sshd;
}

async function openBench(): Promise<SshBench> {
  const stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  const sshd = stack.use(await startSshd({ authority: authority.publicKeys().ssh, principals: ["ci-519283746", "other"] }));
  const provider = await configured("ssh", {}, { authority });
  return { authority, provider, sshd, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function mint(
  { provider, authority }: Omit<SshBench, "sshd">,
  options: object,
  parts: Partial<Intent> = {},
): Promise<Minted & { readonly intent: Intent }> {
  const intent = intentOf({ ttl }, parts);
  const parsed = fill(provider.options.parse(options), {});
  const signal = new AbortController().signal;
  return { intent, ...(await provider.mint({ intent, options: parsed, proof: authority.proofs.mint(intent), signal })) };
}

function enter(
  sshd: Sshd,
  { material }: Pick<Minted, "material">,
  command: string,
  ...flags: readonly string[]
): Promise<Outcome> {
  if (material.kind !== "ssh-certificate") throw new Error("no certificate");
  const { certificate, privateKey } = material;
  return sshd.login({ certificate, privateKey: privateKey.use((bytes) => Buffer.from(bytes)), flags }, command);
}

provesProvider(
  "ssh",
  async (): Promise<Bench> => {
    const bench = await openBench();
    return {
      provider: bench.provider,
      proofs: bench.authority.proofs,
      options: fill(bench.provider.options.parse(deploy), {}),
      ttl,
      works: async (material) => (await enter(bench.sshd, { material }, "true")).stdout === "deployed by the shop\n",
      alive: () => Promise.resolve([]),
      [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
    };
  },
  reason,
);

describe("an SSH certificate, by the word of a real sshd,", () => {
  let bench: SshBench;
  beforeAll(async () => {
    if (reason === undefined) bench = await openBench();
  });
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
  afterAll(() => bench?.[Symbol.asyncDispose]());

  const free = { principals: ["ci-519283746"], any_command: true };

  it("runs its one command, whatever the client asks for", async () => {
    const minted = await mint(bench, deploy);
    expect(await enter(bench.sshd, minted, "id -u")).toMatchObject({ code: 0, stdout: "deployed by the shop\n" });
    // The control.
    expect(await enter(bench.sshd, await mint(bench, free), "echo $((6 * 7))")).toMatchObject({ code: 0, stdout: "42\n" });
  });

  it("names its lease in the server's log, and can be withdrawn there by that", async () => {
    const minted = await mint(bench, deploy);
    expect(await enter(bench.sshd, minted, "true")).toMatchObject({ code: 0 });
    const id = `${minted.intent.lease} github:519283746 deploy/production`;
    expect(bench.sshd.log()).toContain(`ID ${id} (serial `);
    await bench.sshd.withdraw(`id: ${id}`);
    expect(await enter(bench.sshd, minted, "true")).toMatchObject({ code: 255 });
    expect(await enter(bench.sshd, await mint(bench, deploy), "true")).toMatchObject({ code: 0 });
  });

  const refused: readonly (readonly [string, object, Partial<Intent>])[] = [
    ["of a principal that the account does not take", { ...deploy, principals: ["ci-519283747"] }, {}],
    ["of a principal that only begins the same", { ...deploy, principals: ["ci-51928374"] }, {}],
    ["that calls from elsewhere", { ...deploy, source_addresses: ["192.0.2.0/24"] }, {}],
  ];
  it.each(refused)("is refused %s", async (_, options, parts) => {
    expect(await enter(bench.sshd, await mint(bench, options, parts), "true")).toMatchObject({ code: 255, stdout: "" });
  });

  it("is taken from the addresses that it names", async () => {
    const options = { ...deploy, source_addresses: ["192.0.2.0/24", "127.0.0.0/8"] };
    expect(await enter(bench.sshd, await mint(bench, options), "true")).toMatchObject({ code: 0 });
  });

  it("is refused once its time is over", async () => {
    const minted = await mint(bench, deploy, { ttl: 3_000 });
    expect(await enter(bench.sshd, minted, "true")).toMatchObject({ code: 0 });
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    expect(await enter(bench.sshd, minted, "true")).toMatchObject({ code: 255 });
  });

  it("of another broker's CA is refused", async () => {
    await using other = await openBench();
    expect(await enter(bench.sshd, await mint(other, deploy), "true")).toMatchObject({ code: 255 });
    expect(await enter(other.sshd, await mint(other, deploy), "true")).toMatchObject({ code: 0 });
  });

  it("opens no terminal and no way through, unless it says so", async () => {
    const ways = [
      { flags: ["-tt"], command: "tty", extension: "permit-pty", sign: /^\/dev\/pts\// },
      { flags: ["-R", "0:127.0.0.1:1"], command: "echo open", extension: "permit-port-forwarding", sign: /^open/ },
    ];
    for (const { flags, command, extension, sign } of ways) {
      const without = await enter(bench.sshd, await mint(bench, free), command, ...flags);
      expect(without.stdout, extension).not.toMatch(sign);
      const allowed = await enter(bench.sshd, await mint(bench, { ...free, extensions: [extension] }), command, ...flags);
      expect(allowed.stdout, extension).toMatch(sign);
    }
  });

  it("reads to ssh-keygen as it was asked for", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mayfly-ssh-"));
    const extensions = ["permit-user-rc", "permit-pty"];
    const { material, ending, intent } = await mint(bench, { ...deploy, source_addresses: ["2001:db8::/32"], extensions });
    if (material.kind !== "ssh-certificate" || ending.kind !== "expires") throw new Error("no certificate");
    await writeFile(join(folder, "id-cert.pub"), material.certificate);
    await writeFile(join(folder, "id"), material.privateKey.use(String), { mode: 0o600 });
    const printed = await must("ssh-keygen", ["-L", "-f", join(folder, "id-cert.pub")], { env: { TZ: "UTC" } });
    const lines = printed.split("\n").map((line) => line.trim());
    expect(lines).toContain("Type: ssh-ed25519-cert-v01@openssh.com user certificate");
    expect(lines).toContain(`Key ID: "${intent.lease} github:519283746 deploy/production"`);
    expect(lines).toContain("force-command echo deployed by the shop");
    expect(lines).toContain("source-address 2001:db8::/32");
    expect(printed).toContain(`to ${new Date(ending.at).toISOString().slice(0, 19)}`);
    expect(lines.slice(lines.indexOf("Extensions:") + 1)).toEqual(["permit-pty", "permit-user-rc", ""]);
    // The private key is the certificate's own, and ssh-keygen reads it.
    const own = await must("ssh-keygen", ["-y", "-f", join(folder, "id")]);
    const fingerprint = async (file: string): Promise<string | undefined> =>
      (await must("ssh-keygen", ["-l", "-f", file])).split(" ")[1];
    await writeFile(join(folder, "own.pub"), own);
    expect(await fingerprint(join(folder, "own.pub"))).toBe(await fingerprint(join(folder, "id-cert.pub")));
    await rm(folder, { recursive: true });
  });
});

describe("the options of ssh", () => {
  const known = { source_addresses: ["192.0.2.0/24", "2001:db8::/32"] };
  const parsed = async (options: object) =>
    (await configured("ssh", known, { authority: noAuthority })).options.safeParse(options);

  const taken: readonly (readonly [string, object])[] = [
    ["one command", deploy],
    ["a claim in a principal", { ...deploy, principals: ["ci-{repository_id}"] }],
    ["any command, when it is said", { principals: ["deploy"], any_command: true }],
    ["addresses within those of the provider", { ...deploy, source_addresses: ["192.0.2.7", "2001:db8:1::/48"] }],
  ];
  it.each(taken)("take %s", async (_, options) => {
    expect(await parsed(options)).toMatchObject({ success: true });
  });

  const not: readonly (readonly [string, object, string])[] = [
    ["no principal", { ...deploy, principals: [] }, "expected array to have >=1 items"],
    ["a principal that is all a claim's", { ...deploy, principals: ["{actor}"] }, "write a principal"],
    ["two principals in one", { ...deploy, principals: ["deploy,root"] }, "write a principal"],
    ["neither a command nor any", { principals: ["deploy"] }, "write either the one `command`"],
    ["a command and any", { ...deploy, any_command: true }, "write either the one `command`"],
    ["two lines", { ...deploy, command: "true\nfalse" }, "one line"],
    ["an extension that there is not", { ...deploy, extensions: ["no-touch-required"] }, "Invalid option"],
    ["a host's name as an address", { ...deploy, source_addresses: ["ci.example.com"] }, "write an address or a network"],
    ["a prefix that is too long", { ...deploy, source_addresses: ["192.0.2.0/33"] }, "write an address or a network"],
    ["a wider network than the provider's", { ...deploy, source_addresses: ["192.0.2.0/23"] }, "outside of what"],
    ["a network beside the provider's", { ...deploy, source_addresses: ["192.0.3.0/24"] }, "outside of what"],
    ["all of another family", { ...deploy, source_addresses: ["::/0"] }, "outside of what"],
    ["a key that there is not", { ...deploy, user: "root" }, "Unrecognized key"],
  ];
  it.each(not)("do not take %s", async (_, options, message) => {
    const result = await parsed(options);
    expect(result.error?.issues.map((issue) => issue.message).join("; ")).toContain(message);
  });

  it("end where the certificate would live too long", async () => {
    await using bench = await openBenchWithoutServer({ longest: "5m" });
    await expect(mint(bench, deploy)).rejects.toMatchObject({ code: "provider-refused" });
    await expect(mint(bench, deploy, { ttl: 300_000 })).resolves.toMatchObject({ ending: { kind: "expires" } });
  });
});

async function openBenchWithoutServer(config: object): Promise<Omit<SshBench, "sshd">> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  const authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  const provider = await configured("ssh", config, { authority });
  return { authority, provider, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}
