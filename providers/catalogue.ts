import { type BoundType, bind } from "../src/lease/bind.ts";

/**
 * Every provider type that mayfly.yaml may name; a new one is a file beside this and a line in here. Each is loaded when an entry of
 * mayfly.yaml names it and not before: their SDKs are large, and a broker starts with those that it uses.
 */
const loaders: Readonly<Record<string, () => Promise<BoundType>>> = {
  aws: async () => bind((await import("./aws.ts")).aws),
  azure: async () => bind((await import("./azure.ts")).azure),
  gcp: async () => bind((await import("./gcp.ts")).gcp),
  github: async () => bind((await import("./github.ts")).github),
  kubernetes: async () => bind((await import("./kubernetes.ts")).kubernetes),
  local: async () => bind((await import("./local.ts")).local),
  "oci-registry": async () => bind((await import("./oci-registry.ts")).ociRegistry),
  plugin: async () => bind((await import("./plugin.ts")).plugin),
  postgres: async () => bind((await import("./postgres.ts")).postgres),
  ssh: async () => bind((await import("./ssh.ts")).ssh),
  vault: async () => bind((await import("./vault.ts")).vault),
};

export const catalogue = {
  types: Object.keys(loaders),
  load: async (type: string): Promise<BoundType | undefined> => (Object.hasOwn(loaders, type) ? loaders[type]?.() : undefined),
};
