import { BlockList } from "node:net";

/**
 * What no job may reach by any name: the host itself, and the services that hand the host's own credentials to whoever asks. An address that
 * wraps an IPv4 address (mapped, compatible, NAT64, 6to4) is refused as a whole, since it would be a second spelling of any of these.
 */
// A list of each family: in one list, ::ffff:0:0/96 would be every IPv4 address.
const reserved = { ipv4: new BlockList(), ipv6: new BlockList() };
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["127.0.0.0", 8],
  // Link-local: the metadata services of AWS, GCP, Azure and others, and those of ECS and EKS.
  ["169.254.0.0", 16],
  ["100.100.100.200", 32], // Alibaba Cloud
  ["168.63.129.16", 32], // Azure's wire server
  ["192.0.0.192", 32], // Oracle Cloud
  ["224.0.0.0", 3],
] as const)
  reserved.ipv4.addSubnet(network, prefix, "ipv4");
for (const [network, prefix] of [
  ["::", 96],
  ["::ffff:0:0", 96],
  ["64:ff9b::", 96],
  ["64:ff9b:1::", 48],
  ["2002::", 16],
  ["fd00:ec2::", 32], // AWS
  ["fd20:ce::", 32], // GCP
  ["fd00:c1::", 32], // Oracle Cloud
  ["fe80::", 10],
  ["ff00::", 8],
] as const)
  reserved.ipv6.addSubnet(network, prefix, "ipv6");

const names: readonly (readonly string[])[] = [
  "ip6-localhost",
  "ip6-loopback",
  "instance-data.ec2.internal",
  "metadata.azure.internal",
  "metadata.goog",
  "metadata.google.internal",
  "metadata.tencentyun.com",
].map((name) => name.split("."));

export function isReservedAddress(address: string, family: "ipv4" | "ipv6"): boolean {
  return reserved[family].check(address, family);
}

/** Also where a `*` would stand for such a name. */
export function isReservedName(labels: readonly string[]): boolean {
  if (["localhost", "localdomain", "localhost6"].includes(labels.at(-1) ?? "")) return true;
  return names.some(
    (name) => name.length === labels.length && name.every((label, index) => labels[index] === "*" || labels[index] === label),
  );
}
