import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { Intent } from "../../src/lease/provider.ts";
import type { Client } from "./client.ts";

/** What a lease's token is bound to: without it the API server takes the token no more. */
export interface Binding {
  readonly namespace: string;
  /** The lease's own name. */
  readonly name: string;
  readonly uid: string;
}

const made = z.object({ metadata: z.object({ name: z.string(), namespace: z.string(), uid: z.string().min(1) }) });

/** An empty Secret, of a type of its own: so it can be told from every other, by an admission policy too. */
export async function makeBinding(client: Client, namespace: string, intent: Intent): Promise<Binding> {
  const { lease: name, template, workload, session } = intent;
  const body = {
    apiVersion: "v1",
    kind: "Secret",
    type: "mayfly/lease",
    immutable: true,
    metadata: {
      name,
      labels: { "app.kubernetes.io/managed-by": "mayfly" },
      annotations: { "mayfly/template": template, "mayfly/workload": workload, "mayfly/session": session },
    },
  };
  const { status, body: answer } = await client.call({ method: "POST", path: pathOf(namespace), body, also: [409] });
  // Nobody else's lease has this name: an earlier request of ours did happen after all.
  if (status === 409) throw new Error("kubernetes: the lease's Secret is there already");
  const read = made.safeParse(answer);
  if (!read.success || read.data.metadata.name !== name || read.data.metadata.namespace !== namespace)
    throw new Error("kubernetes: the answer is not the lease's Secret");
  return { namespace, name, uid: read.data.metadata.uid };
}

/** Resolves only when the API server itself says that it is gone; one that never was is gone too. */
export async function endBinding(client: Client, { namespace, name }: Omit<Binding, "uid">): Promise<void> {
  const { status } = await client.call({ method: "DELETE", path: pathOf(namespace, name), also: [404] });
  if (status === 404) return;
  if (await hasBinding(client, { namespace, name }))
    throw new Error("kubernetes: the lease's Secret is still there after its deletion");
}

/** Asked by a deletion that is only tried: to read Secrets, the broker would have to be allowed to read all of the namespace's. */
export async function hasBinding(client: Client, { namespace, name }: Omit<Binding, "uid">): Promise<boolean> {
  const { status } = await client.call({ method: "DELETE", path: `${pathOf(namespace, name)}?dryRun=All`, also: [404] });
  return status !== 404;
}

/** After a certain refusal: nothing may be left when it is told. If that fails, the error is none of the certain ones. */
export async function undoBinding(client: Client, binding: Binding, why: unknown): Promise<never> {
  await endBinding(client, binding).catch((error: unknown) => {
    throw new BrokerError("internal", "the lease's Secret could not be deleted in kubernetes", {
      detail: error instanceof BrokerError ? (error.detail ?? error.message) : "the answer was lost",
      hint: "who mints needs delete on secrets too",
    });
  });
  throw why;
}

function pathOf(namespace: string, name?: string): string {
  return `namespaces/${namespace}/secrets${name === undefined ? "" : `/${name}`}`;
}
