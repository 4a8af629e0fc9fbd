import type { Ending, Filled } from "../../src/lease/provider.ts";
import type { MaterialKind } from "../../src/material.ts";
import { aws, azure, checkAws, gcp } from "./engines/cloud.ts";
import type { Asking, Given } from "./engines/engine.ts";
import { checkKubernetes, kubernetes } from "./engines/kubernetes.ts";
import { dynamic, kv, staticLogin } from "./engines/login.ts";
import { pki } from "./engines/pki.ts";
import { ssh } from "./engines/ssh.ts";
import { childToken } from "./engines/token.ts";
import { dataKey } from "./engines/transit.ts";
import type { Kind, VaultOptions } from "./options.ts";

const materials: Readonly<Record<Kind, MaterialKind>> = {
  kv: "fields",
  dynamic: "username-password",
  static: "username-password",
  pki: "x509",
  ssh: "ssh-certificate",
  kubernetes: "bearer",
  datakey: "fields",
  token: "bearer",
  aws: "aws-session",
  gcp: "bearer",
  azure: "fields",
};

export function givesOf({ kind }: Filled<VaultOptions>): MaterialKind {
  return materials[kind];
}

const endings: Readonly<Record<Kind, Ending["kind"]>> = {
  kv: "static",
  dynamic: "revoke",
  static: "static",
  pki: "expires",
  ssh: "expires",
  kubernetes: "expires",
  datakey: "static",
  token: "revoke",
  aws: "expires",
  gcp: "expires",
  azure: "revoke",
};

/** Said by what is written, so that it is known before anybody asks. */
export function endsOf(options: Filled<VaultOptions>): Ending["kind"] {
  const { kind } = options;
  if (kind === "pki" && options.revocable) return "revoke";
  if (kind === "kubernetes" && options.account === "generated") return "revoke";
  return endings[kind];
}

/** Every limit that can be known beforehand: then Vault is not even asked. */
export function check(options: Filled<VaultOptions>, ttl: number): void {
  if (options.kind === "aws") checkAws(ttl);
  if (options.kind === "kubernetes") checkKubernetes(ttl);
}

/** Asks the engine, and checks that its answer is what was asked for and no more. */
export function obtain({ options, ...asking }: Asking & { readonly options: Filled<VaultOptions> }): Promise<Given> {
  switch (options.kind) {
    case "kv":
      return kv(asking, options);
    case "static":
      return staticLogin(asking, options);
    case "pki":
      return pki(asking, options);
    case "ssh":
      return ssh(asking, options);
    case "kubernetes":
      return kubernetes(asking, options);
    case "datakey":
      return dataKey(asking, options);
    case "token":
      return childToken(asking, options);
    default:
      return options.kind === "dynamic" ? dynamic(asking, options) : obtainCloud(asking, options);
  }
}

type Cloud = Extract<Filled<VaultOptions>, { kind: "aws" | "gcp" | "azure" }>;

function obtainCloud(asking: Asking, options: Cloud): Promise<Given> {
  switch (options.kind) {
    case "aws":
      return aws(asking, options);
    case "gcp":
      return gcp(asking, options);
    case "azure":
      return azure(asking, options);
  }
}
