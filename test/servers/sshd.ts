import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, must, type Outcome, run, startProcess } from "./process.ts";

const daemon = "/usr/sbin/sshd";

/** Why the tests that need a real sshd cannot run here; undefined where they can. */
export function sshdMissing(): string | undefined {
  if (!existsSync(daemon)) return "sshd is not installed: run scripts/setup.sh --tests";
  if (process.getuid?.() !== 0) return "sshd changes to its users, so its tests run as root only";
  return undefined;
}

/** OpenSSH's own server, which trusts one CA and nothing else; its only account is `root`, reached by principals of ours. */
export interface Sshd extends AsyncDisposable {
  readonly port: number;
  /** What it logged so far. */
  log(): string;
  /** OpenSSH's own client with this key and certificate. */
  login(client: SshClient, ...command: readonly string[]): Promise<Outcome>;
  /** From now on it refuses these, as `ssh-keygen -k` reads them: `id: KEY-ID`, `serial: N`. */
  withdraw(specification: string): Promise<void>;
}

export interface SshClient {
  readonly certificate: string;
  readonly privateKey: Buffer;
  /** More of `ssh`'s own flags. */
  readonly flags?: readonly string[];
}

export interface SshdOptions {
  /** One line, for `TrustedUserCAKeys`. */
  readonly authority: string;
  /** Who may be `root` there. */
  readonly principals: readonly string[];
}

export async function startSshd({ authority, principals }: SshdOptions): Promise<Sshd> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-sshd-"));
  const at = (name: string): string => join(folder, name);
  const port = await freePort();
  await must("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at("host")]);
  await writeFile(at("authority.pub"), `${authority}\n`);
  await writeFile(at("principals"), `${principals.join("\n")}\n`);
  await writeFile(at("krl"), "");
  await must("ssh-keygen", ["-q", "-k", "-f", at("krl")]);
  await mkdir("/run/sshd", { recursive: true });
  const settings = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${at("host")}`,
    `TrustedUserCAKeys ${at("authority.pub")}`,
    `AuthorizedPrincipalsFile ${at("principals")}`,
    `RevokedKeys ${at("krl")}`,
    `PidFile ${at("pid")}`,
    "AuthorizedKeysFile none",
    "AuthenticationMethods publickey",
    "PermitRootLogin prohibit-password",
    "StrictModes no",
    "UsePAM no",
    "LogLevel VERBOSE",
  ];
  await writeFile(at("config"), `${settings.join("\n")}\n`);
  const server = await startProcess({
    command: daemon,
    args: ["-D", "-e", "-f", at("config")],
    ready: () => answers(port),
  });
  let clients = 0;
  return {
    port,
    log: () => server.output(),
    login: async ({ certificate, privateKey, flags = [] }, ...command) => {
      const own = at(`client-${clients++}`);
      await mkdir(own);
      await writeFile(join(own, "id"), privateKey, { mode: 0o600 });
      await writeFile(join(own, "id-cert.pub"), certificate);
      return run("ssh", [...clientFlags(own, port), ...flags, "root@127.0.0.1", ...command]);
    },
    withdraw: async (specification) => {
      await writeFile(at("withdrawn"), `${specification}\n`);
      await must("ssh-keygen", ["-q", "-k", "-u", "-f", at("krl"), "-s", at("authority.pub"), at("withdrawn")]);
      await chmod(at("krl"), 0o644);
    },
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function clientFlags(folder: string, port: number): readonly string[] {
  const options = [
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "StrictHostKeyChecking=no",
    `UserKnownHostsFile=${join(folder, "known")}`,
    "LogLevel=ERROR",
    "ExitOnForwardFailure=yes",
    "ConnectTimeout=5",
  ];
  return ["-F", "none", "-i", join(folder, "id"), "-p", String(port), ...options.flatMap((option) => ["-o", option])];
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("data", (banner) => {
      socket.destroy();
      resolve(banner.toString().startsWith("SSH-2.0-"));
    });
    socket.once("error", () => resolve(false));
  });
}
