import { isIPv4, isIPv6 } from "node:net";
import { isReservedAddress, isReservedName } from "./reserved.ts";

/** A host and a port that a run may reach. */
export interface Endpoint {
  /** A name in lower case, in which a `*` stands for exactly one whole label, or an address. */
  readonly host: string;
  readonly port: number;
  /** What it was expanded from: `set:node`, `credentials`; undefined where the template names it itself. */
  readonly from: string | undefined;
}

export type EndpointRead =
  | { readonly kind: "endpoint"; readonly endpoint: Endpoint }
  | { readonly kind: "flaw"; readonly message: string; readonly fix: string | undefined };

const httpsPort = 443;

/** `db.example.com:5432`, `db.example.com`, `*.example.com`, `192.0.2.7:22`, `[2001:db8::7]:22`. */
export function readEndpoint(text: string, from?: string): EndpointRead {
  if (/[/?#@\s]/.test(text)) return notAHost(text);
  const [, address, name, written] = /^(?:\[([^[\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text) ?? [];
  const read = address === undefined ? name : readAddress(address);
  if (read === undefined)
    return flaw("not a host with a port", isIPv6(text) ? `write the address in brackets: [${text}]:443` : undefined);
  const port = readPort(written);
  if (port === undefined) return flaw("a port is a number from 1 to 65535");
  const host = address === undefined ? readName(name ?? "") : read;
  return typeof host === "string" ? { kind: "endpoint", endpoint: { host, port, from } } : host;
}

function readPort(written: string | undefined): number | undefined {
  if (written === undefined) return httpsPort;
  return /^[1-9][0-9]{0,4}$/.test(written) && Number(written) <= 65_535 ? Number(written) : undefined;
}

function flaw(message: string, fix?: string): EndpointRead & { readonly kind: "flaw" } {
  return { kind: "flaw", message, fix };
}

type Flaw = ReturnType<typeof flaw>;

function notAHost(text: string): Flaw {
  if (/^[a-z]+:\/\//i.test(text)) return flaw("a URL; a job reaches hosts and ports", "write its host and port alone");
  if (/^[0-9a-f.:]+\/[0-9]+$/i.test(text)) return flaw("a range of addresses", "name each host");
  return flaw("not a host with a port", "write it as db.example.com:5432");
}

function readAddress(text: string): string | Flaw {
  if (!isIPv6(text) || text.includes("%")) return flaw("brackets hold an IPv6 address, without a zone");
  if (isReservedAddress(text, "ipv6")) return reserved;
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}

const reserved = flaw("the host itself, or a service that hands out the host's own credentials: no job may reach it");

function readName(text: string): string | Flaw {
  if (text !== text.toLowerCase()) return flaw("host names are in lower case", `write ${text.toLowerCase()}`);
  if (text.endsWith(".")) return flaw("a host name without the dot at its end", `write ${text.slice(0, -1)}`);
  if (isIPv4(text)) return isReservedAddress(text, "ipv4") ? reserved : text;
  const labels = text.split(".");
  // Programs read 0x7f.1, 2130706433 and 127.1 as addresses too (WHATWG URL, "ends in a number").
  if (/^(?:[0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? ""))
    return flaw("not an address", "write all four numbers, such as 192.0.2.7");
  return readLabels(text, labels);
}

/** Of a name that is reserved as it stands nothing else is said. */
function readLabels(text: string, labels: readonly string[]): string | Flaw {
  const isReserved = isReservedName(labels);
  if (isReserved && !labels.includes("*")) return reserved;
  return labelsFlaw(text, labels) ?? (isReserved ? reserved : text);
}

/** A name of one label is left out: which host it is depends on where it is asked. */
function labelsFlaw(text: string, labels: readonly string[]): Flaw | undefined {
  if (labels.length < 2)
    return flaw("not a whole host name: which host it is would depend on where it is asked", "write all of its labels");
  if (labels.slice(-2).some((label) => label.includes("*")))
    return flaw(
      "'*' cannot stand in the last two labels: everybody can have a name there",
      "name the domain, such as *.example.com",
    );
  if (labels.some((label) => label.includes("*") && label !== "*"))
    return flaw("'*' stands for exactly one whole label", "write *.example.com, or name the hosts");
  const odd = labels.some((label) => label !== "*" && !/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(label));
  if (odd || text.length > 253) return flaw("not a host name; other alphabets are written as xn--…");
  return undefined;
}

/** As a template writes it. */
export function endpointText({ host, port }: Endpoint): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether all that it stands for is within one of these: as quick for thousands as for one, since names are looked up by their ends. */
export function coveredBy(outer: readonly Endpoint[]): (inner: Endpoint) => boolean {
  const exact = new Set(outer.map(endpointText));
  const patterns = Map.groupBy(
    outer.filter(({ host }) => host.includes("*")),
    endOf,
  );
  return (inner) => exact.has(endpointText(inner)) || (patterns.get(endOf(inner)) ?? []).some((one) => covers(one, inner));
}

/** No `*` stands in the last two labels. */
function endOf({ host, port }: Endpoint): string {
  const labels = host.split(".");
  return `${labels.length} ${labels.slice(-2).join(".")}:${port}`;
}

/** Whether all that `inner` stands for is within `outer`. */
export function covers(outer: Endpoint, inner: Endpoint): boolean {
  if (outer.port !== inner.port) return false;
  if (outer.host === inner.host) return true;
  if (!outer.host.includes("*")) return false;
  const labels = inner.host.split(".");
  const pattern = outer.host.split(".");
  return pattern.length === labels.length && pattern.every((label, index) => label === "*" || label === labels[index]);
}
