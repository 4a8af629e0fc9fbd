import { isIP } from "node:net";
import { fetchOver } from "../../../../src/identity/keys/network.ts";
import { type Answer, discovery, json, now, startIssuer } from "../../issuer.ts";
import { ManualClock } from "../../manual-clock.ts";
import { redirect } from "../misbehaving.ts";
import { goodKey, type KeyRow, minute, openStage, verdict } from "./stage.ts";

const metadata = "http://169.254.169.254/latest/meta-data/";
/** Public as far as anybody can tell, and given to nobody (IANA's IPv6 unicast assignments): no packet leaves for it. */
const nobodys = "2e00::1";

/** Each of these answers would lead a willing reader to another server. */
async function led(path: string, answer: Answer): Promise<string> {
  const clock = new ManualClock(now);
  await using stage = await openStage({ clock });
  await stage.tried(goodKey);
  stage.issuer.answers.set(path, answer);
  clock.advance(5 * minute + 1);
  const outcome = await stage.tried(goodKey);
  return `${outcome}: ${stage.readiness().trouble ?? ""}`;
}

/** A name server that says one thing when it is asked and another thing the next time; how often it was asked, and what came of it. */
async function rebound(
  evil: string,
  answers: readonly string[],
  allowPrivate: boolean,
): Promise<{ readonly asked: number; readonly told: string }> {
  let asked = 0;
  const fetch = fetchOver(() => {
    const address = answers[Math.min(asked, answers.length - 1)] ?? "";
    asked += 1;
    return Promise.resolve([{ address, family: isIP(address) }]);
  });
  const url = new URL("/jwks", evil);
  url.hostname = "issuer.example";
  if (!allowPrivate) url.protocol = "https:";
  const options = { authority: undefined, bearer: undefined, maxBytes: 1_000, allowPrivate };
  const told = await fetch(url.href, { ...options, signal: AbortSignal.timeout(1_000) }).then(
    () => "read",
    (error: unknown) => (error instanceof Error ? error.message : "?"),
  );
  return { asked, told };
}

export const elsewhere: KeyRow = {
  id: "J-21g",
  name: "no redirect is followed, no private address is asked, and a second DNS answer changes nothing",
  async run() {
    await using evil = await startIssuer(() => ({ keys: [goodKey.jwk] }));
    const targets = [`${evil.url}/jwks`, metadata, "http://[::1]:1/", "file:///etc/passwd", "//evil.example/jwks"];
    const bars: Record<string, boolean> = {};
    const statuses = [301, 302, 303, 307, 308];
    for (const status of statuses)
      for (const [path, target] of [discovery, "/jwks"].flatMap((one) => targets.map((to) => [one, to] as const)))
        bars[`${status} of ${path} to ${target}`] =
          (await led(path, redirect(status, target))) === `accepted: the answer's status is ${status}`;
    const named = await led(discovery, (request, response) =>
      json(() => ({ issuer: `http://${request.headers.host}`, jwks_uri: metadata }))(request, response),
    );
    const beside = await led(discovery, (request, response) =>
      json(() => ({ issuer: `http://${request.headers.host}`, jwks_uri: `${evil.url}/jwks` }))(request, response),
    );
    bars["discovery of a private issuer that names another private server"] = beside === "accepted: only https is allowed";
    bars["discovery that names the metadata service"] =
      named === "accepted: a link-local address or a metadata service is not allowed";
    const later = await rebound(evil.url, [nobodys, "127.0.0.1"], false);
    bars["a public address, then loopback: asked once"] =
      later.asked === 1 && later.told !== "read" && !later.told.includes("not allowed");
    const at = await rebound(evil.url, ["127.0.0.1", "192.0.2.1"], false);
    bars["loopback at once"] = at.told === "a private address is not allowed";
    bars["nobody was asked"] = evil.asked.size === 0;
    const pinned = await rebound(evil.url, ["127.0.0.1", "192.0.2.1"], true);
    bars["control: the checked address is the one connected to"] = pinned.told === "read" && evil.asked.get("/jwks") === 1;
    return verdict(bars, {
      redirects: statuses.length * targets.length * 2,
      connectionsElsewhere: 0,
      dnsQuestions: later.asked,
    });
  },
};
