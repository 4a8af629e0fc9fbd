import { durationText } from "../../duration-text.ts";
import { type Endpoint, endpointText } from "../network.ts";
import type { Template } from "../policy.ts";
import { defined, own, type Plain, plainOf } from "./plain.ts";

/**
 * A template's final form in the template's own words: written as YAML, alone in a folder, it is read to the same template. Bases, variables,
 * sets and what the folders' bounds add are written out, and the lives and limits that were left out are filled in. What is lost is where an endpoint
 * came from, and of `max_ttl` nothing is left to say.
 */
export function expandedOf(
  value: Plain,
  template: Expandable,
  parts: { readonly who: unknown; readonly when: unknown; readonly sandbox: Plain },
): Plain {
  const { name, owner, credentials, steps, network } = template;
  const { by_trust: byTrust } = plainOf(own(value, "sandbox"));
  return defined({
    version: 1,
    template: name,
    owner,
    who: parts.who,
    when: parts.when,
    credentials: orNone(
      mapped(plainOf(value["credentials"]), (written, key) => ({ ...plainOf(written), ttl: lifeText(credentials.get(key)) })),
    ),
    steps: orNone(mapped(plainOf(value["steps"]), (written, key) => stepOf(plainOf(written), steps.get(key)?.network ?? []))),
    network: own(value, "network") === undefined ? undefined : network.map(endpointText),
    sandbox: defined({ ...parts.sandbox, by_trust: byTrust }),
    observe: own(value, "observe"),
    tolerate: own(value, "tolerate"),
    accept: own(value, "accept"),
  });
}

type Expandable = Pick<Template<unknown, unknown>, "name" | "owner" | "credentials" | "steps" | "network">;

function mapped(record: Plain, change: (value: unknown, key: string) => unknown): Plain {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]));
}

function orNone(record: Plain): Plain | undefined {
  return Object.keys(record).length === 0 ? undefined : record;
}

function lifeText(credential: { readonly ttl: number } | undefined): string | undefined {
  return credential && durationText(credential.ttl);
}

function stepOf(written: Plain, network: readonly Endpoint[]): Plain {
  return defined({ ...written, network: own(written, "network") === undefined ? undefined : network.map(endpointText) });
}
