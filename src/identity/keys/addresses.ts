import { BlockList, isIP } from "node:net";

type Subnet = readonly [network: string, prefix: number];

/** IANA's special-purpose registries, and multicast: where no public issuer can be. */
const privateIpv4: readonly Subnet[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

const privateIpv6: readonly Subnet[] = [
  ["::", 96],
  ["::ffff:0:0:0", 96],
  ["64:ff9b:1::", 48],
  ["100::", 64],
  ["100:0:0:1::", 64],
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
  ["5f00::", 16],
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8],
];

/** Link-local, and where clouds have their metadata services beside it: Alibaba's, Azure's; AWS's (whole block), Google's, Oracle's. */
const forbiddenIpv4: readonly Subnet[] = [
  ["169.254.0.0", 16],
  ["100.100.100.200", 32],
  ["168.63.129.16", 32],
];

const forbiddenIpv6: readonly Subnet[] = [
  ["fe80::", 10],
  ["fd00:ec2::", 32],
  ["fd20:ce::254", 128],
  ["fd00:c1::a9fe:a9fe", 128],
];

/** NAT64 (RFC 6052), which IPv6-only networks reach every public host by, IPv4-compatible, and IPv4-translated (RFC 2765). */
const carriers = ["64:ff9b::", "::", "::ffff:0:"];

const privateAddresses = listOf(privateIpv4, privateIpv6);
const forbiddenAddresses = listOf(forbiddenIpv4, forbiddenIpv6);

/** IPv4-mapped addresses (`::ffff:0:0/96`) are judged by the IPv4 one, by Node itself; those that only carry one, by what they carry. */
function listOf(ipv4: readonly Subnet[], ipv6: readonly Subnet[]): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of ipv6) list.addSubnet(network, prefix, "ipv6");
  for (const [network, prefix] of ipv4) {
    list.addSubnet(network, prefix, "ipv4");
    for (const carrier of carriers) list.addSubnet(`${carrier}${network}`, 96 + prefix, "ipv6");
    list.addSubnet(sixToFour(network), 16 + prefix, "ipv6");
  }
  return list;
}

/** RFC 3056 section 2. */
function sixToFour(network: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = network.split(".").map(Number);
  return `2002:${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}::`;
}

/** `localhost` counts; any other name is judged by what it resolves to. */
export function isPrivate(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || holds(privateAddresses, host);
}

/** What is asked nowhere and never, wherever a private address is allowed: whoever asks there may be handed the host's own credentials. */
export function isForbidden(host: string): boolean {
  return holds(forbiddenAddresses, host);
}

function holds(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 6 ? "ipv6" : "ipv4");
}
