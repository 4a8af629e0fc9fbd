import { join } from "node:path";
import { templates } from "../../flow/templates.ts";
import { Host, startUpstreams, type Upstreams, users } from "../../flow/world.ts";
import { cgroupTrees } from "../../host-cgroup.ts";

/** Two real brokers on one PostgreSQL, each with its own ledger and its own socket, and the issuer that both believe. */
export interface Brokers extends AsyncDisposable {
  readonly upstreams: Upstreams;
  readonly one: Host;
  readonly other: Host;
}

export async function startBrokers(): Promise<Brokers> {
  await using stack = new AsyncDisposableStack();
  const upstreams = stack.use(await startUpstreams());
  const start = async (name: string): Promise<Host> =>
    stack.use(await Host.unknown(upstreams, { local: templates.local }, sharing(upstreams, name)));
  const [one, other] = [await start("one"), await start("other")];
  const kept = stack.move();
  return { upstreams, one, other, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const sharing =
  ({ postgres }: Upstreams, name: string) =>
  (host: Host) => {
    const { host: address, port, database, superuser, password } = postgres;
    const file = host.give(password, users.broker);
    return {
      origin: `broker.test/${name}`,
      ...(cgroupTrees.length > 0 && { boundTo: "runner" as const }),
      more: `shared: { postgres: { host: ${address}, port: ${port}, database: ${database}, user: ${superuser}, password_file: ${file}, tls: "off" } }`,
    };
  };

export function socketOf(host: Host): string {
  return join(host.run, "broker.sock");
}

export interface Entry {
  readonly kind: string;
  readonly event: Readonly<Record<string, unknown>>;
}

/** The ledger's entries of a kind. */
export async function entriesOf(host: Host, kind: string): Promise<readonly Entry[]> {
  return (
    await host.audit<{ readonly entries: readonly Entry[] }>(["audit", "list", "--kind", kind, "--limit", "1000", "--newest"])
  ).entries;
}

export async function sizeOf(host: Host): Promise<number> {
  const { ledger } = await host.audit<{ readonly ledger: { readonly size: string } }>(["status", "--full"]);
  return Number(ledger.size);
}
