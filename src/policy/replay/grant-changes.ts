import { isDeepStrictEqual } from "node:util";
import { durationText } from "../../duration-text.ts";
import type { Instant } from "../../time.ts";
import type { Grant, GrantedCredential, WorkspaceMode } from "../grant.ts";
import { covers, type Endpoint, endpointText } from "../network.ts";
import type { IsolationRoom } from "../rooms.ts";
import { type Change, change } from "./change.ts";

/** What one grant gives more, less or otherwise than another. A scope that merely differs counts as wider: nobody can compare two scopes of a cloud. */
export function grantChanges<D, I>(
  before: Grant<D, I>,
  after: Grant<D, I>,
  exceeds: IsolationRoom<I>["exceeds"],
): readonly Change[] {
  return [
    ...credentialChanges(before, after),
    ...networkChanges(before.network, after.network),
    ...workspaceChanges(before.workspace, after.workspace),
    ...isolationChanges(exceeds(after.isolation, before.isolation), exceeds(before.isolation, after.isolation)),
    ...observeChanges(before, after),
  ];
}

function credentialChanges<D>(before: Grant<D, unknown>, after: Grant<D, unknown>): readonly Change[] {
  const named = (grant: Grant<D, unknown>, name: string) => grant.credentials.find((credential) => credential.name === name);
  return [
    ...after.credentials.flatMap((credential) => {
      const old = named(before, credential.name);
      if (old !== undefined) return oneCredential(old, credential);
      return [change("widened", `credential ${credential.name}`, undefined, `from ${credential.provider}`)];
    }),
    ...before.credentials
      .filter(({ name }) => named(after, name) === undefined)
      .map(({ name, provider }) => change("narrowed", `credential ${name}`, `from ${provider}`)),
  ];
}

function oneCredential<D>(before: GrantedCredential<D>, after: GrantedCredential<D>): readonly Change[] {
  const what = `credential ${after.name}`;
  const differ = (part: "provider" | "options" | "deliver", word: string): readonly Change[] =>
    isDeepStrictEqual(before[part], after[part])
      ? []
      : [change("widened", `${what}, ${word}`, JSON.stringify(before[part]), JSON.stringify(after[part]))];
  const lives = [durationText(before.ttl), durationText(after.ttl)] as const;
  return [
    ...differ("provider", "provider"),
    ...differ("options", "scope"),
    ...differ("deliver", "delivery"),
    ...(after.ttl > before.ttl ? [change("lengthened", `${what}, ttl`, ...lives)] : []),
    ...(after.ttl < before.ttl ? [change("narrowed", `${what}, ttl`, ...lives)] : []),
  ];
}

function networkChanges(before: readonly Endpoint[], after: readonly Endpoint[]): readonly Change[] {
  const beyond = (inner: readonly Endpoint[], outer: readonly Endpoint[]): readonly string[] =>
    inner.filter((one) => !outer.some((other) => covers(other, one))).map(endpointText);
  return [
    ...beyond(after, before).map((host) => change("widened", `network ${host}`)),
    ...beyond(before, after).map((host) => change("narrowed", `network ${host}`)),
  ];
}

const modes: readonly WorkspaceMode[] = ["read-only", "overlay", "rw"];

function workspaceChanges(before: WorkspaceMode, after: WorkspaceMode): readonly Change[] {
  if (before === after) return [];
  return [change(modes.indexOf(after) > modes.indexOf(before) ? "widened" : "narrowed", "workspace", before, after)];
}

type Excesses = ReturnType<IsolationRoom<unknown>["exceeds"]>;

/**
 * What differs without an order, such as two images, is beyond the other both ways: it counts as wider. The message is a part of what changed,
 * so that of two variables that are passed now, or of two figures for two kinds of trust, neither hides the other.
 */
function isolationChanges(more: Excesses, less: Excesses): readonly Change[] {
  const named = ({ key, message }: Excesses[number], then: string): string =>
    key.startsWith("tolerate.") ? key : `sandbox.${key}${then}: ${message}`;
  const imageDiffers = more.some(({ key }) => key === "image");
  return [
    ...more.map((one) => change(one.key === "timeout" ? "lengthened" : "widened", named(one, ""))),
    ...less.filter(({ key }) => key !== "image" || !imageDiffers).map((one) => change("narrowed", named(one, ", as it was"))),
  ];
}

function observeChanges(before: Grant<unknown, unknown>, after: Grant<unknown, unknown>): readonly Change[] {
  const part = (grant: Grant<unknown, unknown>, name: string): Instant | undefined =>
    grant.observe?.parts.some((one) => one === name) === true ? grant.observe.until : undefined;
  return ["network", "limits"].flatMap((name) => {
    const [old, now] = [part(before, name), part(after, name)];
    if (old === now) return [];
    const kind = now === undefined || (old !== undefined && now < old) ? "narrowed" : "widened";
    return [change(kind, `observe ${name}`, untilText(old), untilText(now))];
  });
}

function untilText(until: Instant | undefined): string {
  return until === undefined ? "enforced" : `only watched until ${new Date(until).toISOString()}`;
}
