import { describe, expect, it } from "vitest";
import { covers, type Endpoint, endpointText, readEndpoint } from "../../src/policy/network.ts";
import { policyOfTree, problemsOfTree, template, trusted } from "./rooms.ts";

const set = (name: string, hosts: string, more = "") =>
  `version: 1\nset: ${name}\nrevision: "2026-11-20"\nhosts: ${hosts}\n${more}`;
const step = (network: string, credentials = "[]") =>
  template(
    `${trusted}\ncredentials:\n  db: { provider: vault-main, path: database/creds/shop }\n  cert: { provider: local }\nsteps:\n  s: { network: ${network}, credentials: ${credentials} }`,
  );
const files = (network: string, credentials = "[]") => ({
  "t.yaml": step(network, credentials),
  "sets/node.set.yaml": set("node", '["*.mirror.example.com", "git.example.com:8443"]'),
});
const networkOf = (network: string, credentials = "[]") =>
  policyOfTree(files(network, credentials)).templates.get("deploy")?.steps.get("s")?.network;

function endpoint(text: string): Endpoint {
  const read = readEndpoint(text);
  if (read.kind === "flaw") throw new Error(read.message);
  return read.endpoint;
}

describe("a host with a port", () => {
  it.each<[string, string]>([
    ["db.example.com:5432", "db.example.com:5432"],
    ["db.example.com", "db.example.com:443"],
    ["*.example.com", "*.example.com:443"],
    ["a.*.example.com:8443", "a.*.example.com:8443"],
    ["xn--bcher-kva.example.com", "xn--bcher-kva.example.com:443"],
    ["192.0.2.7:22", "192.0.2.7:22"],
    ["[2001:db8::7]:22", "[2001:db8::7]:22"],
    ["[2001:DB8:0:0::7]", "[2001:db8::7]:443"],
    ["metadata.google.internal.example.com", "metadata.google.internal.example.com:443"],
    ["localhost.example.com", "localhost.example.com:443"],
    ["xmetadata.google.internal", "xmetadata.google.internal:443"],
    ["9.example.com:65535", "9.example.com:65535"],
    ["170.254.169.254", "170.254.169.254:443"],
    ["[fd00:ec3::254]", "[fd00:ec3::254]:443"],
  ])("%s is read", (text, expected) => {
    expect(endpointText(endpoint(text))).toBe(expected);
  });

  const reserved = "the host itself, or a service that hands out the host's own credentials: no job may reach it";
  it.each<[string, string, string?]>([
    ["*", "not a whole host name: which host it is would depend on where it is asked", "write all of its labels"],
    [
      "*.com",
      "'*' cannot stand in the last two labels: everybody can have a name there",
      "name the domain, such as *.example.com",
    ],
    [
      "example.*",
      "'*' cannot stand in the last two labels: everybody can have a name there",
      "name the domain, such as *.example.com",
    ],
    [
      "a.*.com",
      "'*' cannot stand in the last two labels: everybody can have a name there",
      "name the domain, such as *.example.com",
    ],
    [
      "*.*",
      "'*' cannot stand in the last two labels: everybody can have a name there",
      "name the domain, such as *.example.com",
    ],
    ["**.example.com", "'*' stands for exactly one whole label", "write *.example.com, or name the hosts"],
    ["db*.example.com", "'*' stands for exactly one whole label", "write *.example.com, or name the hosts"],
    ["db", "not a whole host name: which host it is would depend on where it is asked", "write all of its labels"],
    ["DB.example.com", "host names are in lower case", "write db.example.com"],
    ["db.example.com.", "a host name without the dot at its end", "write db.example.com"],
    ["db..example.com", "not a host name; other alphabets are written as xn--…"],
    [".example.com", "not a host name; other alphabets are written as xn--…"],
    ["-db.example.com", "not a host name; other alphabets are written as xn--…"],
    ["d_b.example.com", "not a host name; other alphabets are written as xn--…"],
    ["dɓ.example.com", "not a host name; other alphabets are written as xn--…"],
    ["db.example.com．evil.example", "not a host name; other alphabets are written as xn--…"],
    [`${"a.".repeat(130)}example.com`, "not a host name; other alphabets are written as xn--…"],
    ["db.example.com:0", "a port is a number from 1 to 65535"],
    ["db.example.com:65536", "a port is a number from 1 to 65535"],
    ["db.example.com:0443", "a port is a number from 1 to 65535"],
    ["db.example.com:", "a port is a number from 1 to 65535"],
    ["db.example.com:*", "a port is a number from 1 to 65535"],
    ["db.example.com:https", "a port is a number from 1 to 65535"],
    ["https://db.example.com", "a URL; a job reaches hosts and ports", "write its host and port alone"],
    ["db.example.com/x", "not a host with a port", "write it as db.example.com:5432"],
    ["user@db.example.com", "not a host with a port", "write it as db.example.com:5432"],
    ["10.0.0.0/8", "a range of addresses", "name each host"],
    ["2001:db8::7", "not a host with a port", "write the address in brackets: [2001:db8::7]:443"],
    ["[db.example.com]", "brackets hold an IPv6 address, without a zone"],
    ["[fe80::1%eth0]", "brackets hold an IPv6 address, without a zone"],
    ["10.1", "not an address", "write all four numbers, such as 192.0.2.7"],
    ["127.1", "not an address", "write all four numbers, such as 192.0.2.7"],
    ["a.2130706433", "not an address", "write all four numbers, such as 192.0.2.7"],
    ["0x7f.1", "not an address", "write all four numbers, such as 192.0.2.7"],
    ["example.0x7f000001", "not an address", "write all four numbers, such as 192.0.2.7"],
    ["0177.0.0.1", "not an address", "write all four numbers, such as 192.0.2.7"],
    ["*.0.0.1", "not an address", "write all four numbers, such as 192.0.2.7"],
    ["192.0.2.256", "not an address", "write all four numbers, such as 192.0.2.7"],
    ...[
      ["localhost", "db.localhost", "*.db.localhost", "localhost.localdomain", "ip6-localhost", "metadata.google.internal"],
      ["*.google.internal", "metadata.goog", "instance-data.ec2.internal", "*.ec2.internal", "metadata.azure.internal"],
      [
        "metadata.tencentyun.com",
        "*.tencentyun.com",
        "127.0.0.1",
        "127.255.0.9:80",
        "0.0.0.0",
        "169.254.169.254:80",
        "169.254.170.2",
      ],
      [
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]:80",
        "[0:0:0:0:0:0:0:1]",
      ],
      ["[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::169.254.169.254]", "[2002:7f00:1::]", "[fe80::1]", "[ff02::1]"],
      ["[fd00:ec2::254]", "[fd20:ce::254]", "[fd00:c1::a9fe:a9fe]"],
    ].flatMap((list) => list.map((text): [string, string] => [text, reserved])),
  ])("%s is refused", (text, message, fix) => {
    expect(readEndpoint(text)).toEqual({ kind: "flaw", message, fix });
  });

  it.each<[string, string, boolean]>([
    ["db.example.com", "db.example.com", true],
    ["*.example.com", "db.example.com", true],
    ["*.example.com", "*.example.com", true],
    ["*.*.example.com", "a.*.example.com", true],
    ["[2001:db8::7]", "[2001:db8:0::7]", true],
    ["*.example.com", "example.com", false],
    ["*.example.com", "a.b.example.com", false],
    ["*.example.com", "db.example.com:5432", false],
    ["*.example.com", "db.example.com.evil.example", false],
    ["*.example.com", "db-example.com", false],
    ["*.example.com", "dbxexample.com", false],
    ["a.*.example.com", "*.a.example.com", false],
    ["a.example.com", "*.example.com", false],
    ["192.0.2.7", "192.0.2.70", false],
    ["[2001:db8::7]", "[2001:db8::70]", false],
  ])("what %s lets reach covers %s: %s", (outer, inner, expected) => {
    expect(covers(endpoint(outer), endpoint(inner))).toBe(expected);
  });
});

describe("a network list", () => {
  it("is expanded, each host once, with where it came from", () => {
    expect(networkOf("[db.example.com, set:node, credentials, git.example.com:8443]", "[db]")).toEqual([
      { host: "db.example.com", port: 443, from: undefined },
      { host: "*.mirror.example.com", port: 443, from: "set:node" },
      { host: "git.example.com", port: 8443, from: "set:node" },
      { host: "vault.example.com", port: 8200, from: "credentials" },
    ]);
  });

  it("of a template without steps has the endpoints of all its credentials", () => {
    const text = template(
      `${trusted}\nnetwork: [credentials]\ncredentials: { db: { provider: vault-main, path: database/creds/shop } }`,
    );
    expect(policyOfTree({ "t.yaml": text }).templates.get("deploy")?.network).toEqual([
      { host: "vault.example.com", port: 8200, from: "credentials" },
    ]);
  });

  it.each<[string, string, string, string]>([
    ["a flawed host", '[a.example.com, "*.com"]', "[]", "t.yaml:8: steps.s.network.1: '*' cannot stand in the last two labels"],
    ["a number", "[443]", "[]", 't.yaml:8: steps.s.network.0: is a number where text belongs; write it in quotes: "443"'],
    [
      "a set that there is not",
      "[set:noed]",
      "[]",
      "t.yaml:8: steps.s.network.0: there is no network set noed; did you mean node?",
    ],
    ["a set called as objects inherit", "[set:constructor]", "[]", "there is no network set constructor; there is node"],
    [
      "credentials where the step gets none",
      "[credentials]",
      "[]",
      "t.yaml:8: steps.s.network.0: no credentials are given here, so none have endpoints",
    ],
    [
      "credentials whose provider says nothing of endpoints",
      "[credentials]",
      "[db, cert]",
      "t.yaml:8: steps.s.network.0: mayfly.yaml does not say where local is used; set providers.local.endpoints there, or name the hosts",
    ],
    [
      "more than a list can hold",
      `[${Array.from({ length: 257 }, (_, i) => `h${i}.example.com`).join(", ")}]`,
      "[]",
      "steps.s.network: ",
    ],
  ])("with %s does not load", (_, network, credentials, problem) => {
    expect(problemsOfTree(files(network, credentials)).join("\n")).toContain(problem);
  });
});

describe("a network set", () => {
  const problems = (file: string, text: string) => problemsOfTree({ ...files("[a.example.com]"), [file]: text }).join("\n");

  it.each<[string, string, string, string]>([
    [
      "of another name than its file",
      "x.set.yaml",
      set("y", "[a.example.com]"),
      "x.set.yaml:2: set: a set is called as its file is; rename the file to y.set.yaml",
    ],
    [
      "of a name that another has",
      "a/node.set.yaml",
      set("node", "[a.example.com]"),
      "sets/node.set.yaml:2: set: a/node.set.yaml has a set of this name too; give each set its own name",
    ],
    [
      "with a set in it",
      "x.set.yaml",
      set("x", "[set:node]"),
      "x.set.yaml:4: hosts.0: a set has hosts only, and no other set; write the hosts out",
    ],
    [
      "with credentials in it",
      "x.set.yaml",
      set("x", "[credentials]"),
      "x.set.yaml:4: hosts.0: only a template has credentials; write the hosts out",
    ],
    ["without hosts", "x.set.yaml", set("x", "[]"), "x.set.yaml:4: hosts: name at least one host"],
    ["with a flawed host", "x.set.yaml", set("x", "[a.example.com, localhost]"), "x.set.yaml:4: hosts.1: the host itself"],
    ["without a revision", "x.set.yaml", "version: 1\nset: x\nhosts: [a.example.com]\n", "x.set.yaml:1: revision: is missing"],
    [
      "with an unknown key",
      "x.set.yaml",
      set("x", "[a.example.com]", "host: [b.example.com]\n"),
      "x.set.yaml:5: host: no such key; did you mean hosts?",
    ],
    [
      "of another version",
      "x.set.yaml",
      set("x", "[a.example.com]").replace("version: 1", "version: 2"),
      "x.set.yaml:1: version: is not 1; write 1",
    ],
    ["with an alias", "x.set.yaml", "version: 1\nset: &a x\nrevision: *a\nhosts: [a.example.com]\n", "x.set.yaml:2: an anchor"],
  ])("%s does not load", (_, file, text, problem) => {
    expect(problems(file, text)).toContain(problem);
  });

  it("is part of the policy's text, so that a change of it is another policy", () => {
    const one = policyOfTree(files("[set:node]"));
    const other = policyOfTree({ ...files("[set:node]"), "sets/node.set.yaml": set("node", "[a.example.com]") });
    expect(one.text).toContain('--- "sets/node.set.yaml" ');
    expect(one.digest).not.toBe(other.digest);
  });
});
