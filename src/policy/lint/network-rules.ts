import { isIP } from "node:net";
import type { Endpoint } from "../network.ts";
import {
  carryingPorts,
  dropHosts,
  plainPorts,
  registrySuffixes,
  sharedHostForms,
  sharedHosts,
  tenantSuffixes,
} from "./hosts.ts";
import type { Finding, Linted, Rule } from "./rule.ts";
import { type Run, runName } from "./run-view.ts";
import { member } from "./scope-view.ts";

/** Where a run may go. What stands for the endpoints of its credentials is mayfly.yaml's, and is not judged here. */
export const networkRules: readonly Rule[] = [
  {
    name: "shared-host-wildcard",
    level: "risk",
    says: "A '*' stands where anybody can have a name (storage, pages, functions): the attacker's own is among those that the job may reach.",
    fix: "name your own host in full",
    check: (linted) =>
      hostFindings(linted, ({ host }) =>
        host.includes("*") && tenantSuffixes.some((suffix) => host.endsWith(`.${suffix}`))
          ? `${host} is also everybody else's`
          : undefined,
      ),
  },
  {
    name: "shared-host",
    level: "advice",
    says: "The host is shared by everybody, and only the path says whose it is, which no rule on hosts can see: what is secret can be left in another's place.",
    fix: "use a host of your own, such as BUCKET.s3.REGION.amazonaws.com or a mirror",
    check: (linted) =>
      hostFindings(linted, ({ host }) =>
        sharedHosts.includes(host) || sharedHostForms.some((form) => form.test(host)) ? `${host} is everybody's` : undefined,
      ),
  },
  {
    name: "drop-host",
    level: "risk",
    says: "The host is one where anybody leaves a text, catches a request or opens a tunnel: where stolen secrets are sent.",
    fix: "take it out",
    check: (linted) =>
      hostFindings(linted, ({ host }) =>
        dropHosts.some((drop) => host === drop || host.endsWith(`.${drop}`))
          ? `${host} takes anything from anybody`
          : undefined,
      ),
  },
  {
    name: "registry-wildcard",
    level: "risk",
    says: "A '*' stands directly before a suffix beneath which names are sold: it is every company of a country.",
    fix: "name your own domain: *.shop.co.uk",
    check: (linted) =>
      hostFindings(linted, ({ host }) =>
        /^(?:\*\.)+/.test(host) && registrySuffixes.includes(host.replace(/^(?:\*\.)+/, ""))
          ? `${host} is every name beneath it`
          : undefined,
      ),
  },
  {
    name: "address-literal",
    level: "advice",
    says: "A host is an address: nobody sees whose it is, and in a cloud it is another's tomorrow.",
    fix: "name the host; the sandbox resolves it",
    check: (linted) => hostFindings(linted, ({ host }) => (isIP(host) === 0 ? undefined : `${host} has no name`)),
  },
  {
    name: "tunnel-port",
    level: "advice",
    says: "The port's protocol carries anything anywhere: ssh, mail, names, proxies, tunnels.",
    fix: "reach the service over https, or keep it in a step that is given nothing",
    check: (linted) => hostFindings(linted, ({ host, port }) => reason(carryingPorts.get(port), `${host}:${port}`)),
  },
  {
    name: "plain-http",
    level: "risk",
    says: "A run with credentials speaks without encryption: whoever is on the way reads them, or gives it other code to run.",
    fix: "use the encrypted port",
    check: (linted) =>
      hostFindings(linted, ({ host, port }, { credentials }) =>
        credentials.length > 0 && plainPorts.includes(port) ? `${host}:${port} is not encrypted` : undefined,
      ),
  },
  {
    name: "secrets-beside-downloads",
    level: "advice",
    says: "A run with credentials may also reach what dependencies are fetched from: an install script runs beside the secrets.",
    fix: "fetch in a step of its own without credentials; the workspace carries what it fetched",
    check: (linted) =>
      linted.runs.flatMap((run) => {
        const set = run.network.find(({ from }) => from?.startsWith("set:"))?.from;
        if (run.credentials.length === 0 || set === undefined) return [];
        return [{ path: [...run.path, "network"], message: `${runName(run)} has credentials and ${set}` }];
      }),
  },
];

function reason(why: string | undefined, place: string): string | undefined {
  return why === undefined ? undefined : `${place}: ${why}`;
}

/** Of a set, the set's line; else the line that says it. */
function hostFindings(linted: Linted, judge: (endpoint: Endpoint, run: Run) => string | undefined): readonly Finding[] {
  if (linted.template.who.length === 0) return [];
  return linted.runs.flatMap((run) =>
    run.network.flatMap((endpoint) => {
      if (endpoint.from === "credentials") return [];
      const message = judge(endpoint, run);
      const of = endpoint.from === undefined ? "" : ` (of ${endpoint.from})`;
      return message === undefined ? [] : [{ path: placeOf(linted, run, endpoint), message: `${message}${of}` }];
    }),
  );
}

function placeOf({ written }: Linted, { step, path }: Run, { host, from }: Endpoint): Finding["path"] {
  const list = member(step === undefined ? written : member(member(written, "steps"), step), "network");
  const wanted = from ?? host;
  const index = Array.isArray(list) ? list.findIndex((entry) => typeof entry === "string" && entry.includes(wanted)) : -1;
  return index < 0 ? [...path, "network"] : [...path, "network", index];
}
