import { createServer } from "node:https";
import { type AddressInfo, isIP } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isForbidden, isPrivate } from "../../../src/identity/keys/addresses.ts";
import { type FetchOptions, fetchOver, issuerFetch } from "../../../src/identity/keys/network.ts";
import { startIssuer, type TestIssuer } from "../issuer.ts";
import { selfSigned } from "./certificate.ts";

let issuer: TestIssuer;
beforeAll(async () => {
  issuer = await startIssuer(() => ({ keys: [] }));
});
afterAll(() => issuer[Symbol.asyncDispose]());

const options = (changes: Partial<FetchOptions> = {}): FetchOptions => ({
  signal: AbortSignal.timeout(5_000),
  authority: undefined,
  allowPrivate: false,
  bearer: undefined,
  maxBytes: 1_000,
  ...changes,
});

describe("an issuer at a private address", () => {
  const port = () => new URL(issuer.url).port;

  it.each<[string, () => string, string]>([
    ["by plain http", () => issuer.url, "only https is allowed"],
    ["by its address", () => `https://127.0.0.1:${port()}`, "a private address is not allowed"],
    ["by its IPv6 address", () => `https://[::1]:${port()}`, "a private address is not allowed"],
    ["by its mapped address", () => `https://[::ffff:127.0.0.1]:${port()}`, "a private address is not allowed"],
    ["by its address as one number", () => `https://2130706433:${port()}`, "a private address is not allowed"],
    ["by the name localhost", () => `https://localhost:${port()}`, "a private address is not allowed"],
  ])("is not asked %s", async (_, url, why) => {
    await expect(issuerFetch(`${url()}/jwks`, options())).rejects.toThrow(why);
    expect(issuer.asked.size).toBe(0);
  });

  it.each<[string, readonly string[]]>([
    ["by a name that resolves to it", ["127.0.0.1"]],
    ["by a name that resolves to a public address too", ["93.184.215.14", "127.0.0.1"]],
    ["by a name that resolves to IPv6", ["::1"]],
  ])("is not asked %s", async (_, addresses) => {
    const fetch = fetchOver(() => Promise.resolve(addresses.map((address) => ({ address, family: isIP(address) }))));
    await expect(fetch(`https://issuer.example:${port()}/jwks`, options())).rejects.toThrow("a private address is not allowed");
    expect(issuer.asked.size).toBe(0);
  });

  it("is asked at the address that was checked, whatever the name would say the next time", async () => {
    const answers = ["127.0.0.1", "192.0.2.1"];
    const fetch = fetchOver(() => Promise.resolve([{ address: answers.shift() ?? "", family: 4 }]));
    await fetch(`http://issuer.example:${port()}/jwks`, options({ allowPrivate: true }));
    expect(issuer.asked.get("/jwks")).toBe(1);
    expect(answers).toHaveLength(1);
  });

  it("a name without an address is an error", async () => {
    const fetch = fetchOver(() => Promise.resolve([]));
    await expect(fetch("https://issuer.example/jwks", options())).rejects.toThrow("the name has no address");
  });

  it("is asked where the profile allows it", async () => {
    const body = await issuerFetch(`${issuer.url}/jwks`, options({ allowPrivate: true }));
    expect(Buffer.from(body).toString()).toBe('{"keys":[]}');
  });
});

describe("the metadata service of a cloud", () => {
  it.each([
    "http://169.254.169.254/latest/meta-data/",
    "https://169.254.169.254/",
    "http://[fe80::1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fd20:ce::254]/computeMetadata/v1/",
    "http://[fd00:c1::a9fe:a9fe]/opc/v2/",
    "http://100.100.100.200/latest/meta-data/",
    "http://168.63.129.16/",
  ])("is not asked at %s even where private addresses are allowed", async (url) => {
    await expect(issuerFetch(url, options({ allowPrivate: true }))).rejects.toThrow(
      "a link-local address or a metadata service is not allowed",
    );
  });

  it("is not asked by a name that resolves to it", async () => {
    const fetch = fetchOver(() => Promise.resolve([{ address: "169.254.169.254", family: 4 }]));
    await expect(fetch("http://metadata.example/", options({ allowPrivate: true }))).rejects.toThrow(
      "a link-local address or a metadata service is not allowed",
    );
  });
});

describe("private addresses", () => {
  it.each([
    "127.0.0.1",
    "10.1.2.3",
    "172.31.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.100.100.200",
    "0.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
  ])("%s is one", (host) => {
    expect(isPrivate(host)).toBe(true);
  });
  it.each([
    "fe80::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001::1",
    "fec0::1",
    "a.localhost",
  ])("%s is one too", (host) => {
    expect(isPrivate(host)).toBe(true);
  });
  it.each([
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "239.1.1.1",
    "240.0.0.1",
    "100::1",
    "100:0:0:1::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "3fff:fff::1",
    "5f00::1",
    "64:ff9b:1::1",
    "64:ff9b::10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:192.0.2.1",
    "::ffff:0:10.0.0.1",
    "::10.0.0.1",
  ])("%s is what IANA keeps for a special purpose", (host) => {
    expect(isPrivate(host)).toBe(true);
  });
  it.each(["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "100.64.0.1", "100.100.100.201", "fd20:ce::253"])(
    "%s may be allowed",
    (host) => {
      expect([isPrivate(host), isForbidden(host)]).toEqual([true, false]);
    },
  );
  it.each([
    "8.8.8.8",
    "172.32.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2001:200::1",
    "2e00::1",
    "198.51.101.1",
    "example.com",
    "127.0.0.1.example.com",
  ])("%s is none", (host) => {
    expect(isPrivate(host)).toBe(false);
  });
});

describe("a private issuer's own authority", () => {
  it("is what its certificate is checked against, and nothing else is", async () => {
    const certificate = await selfSigned();
    const server = createServer(certificate, (_, response) => response.end("{}"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    try {
      const trusted = options({ allowPrivate: true, authority: certificate.cert });
      expect(Buffer.from(await issuerFetch(url, trusted)).toString()).toBe("{}");
      await expect(issuerFetch(url, options({ allowPrivate: true }))).rejects.toThrow(/self-signed/);
      await expect(issuerFetch(url, options({ allowPrivate: true, authority: (await selfSigned()).cert }))).rejects.toThrow(
        /self-signed|signature/,
      );
    } finally {
      server.close();
    }
  });
});
