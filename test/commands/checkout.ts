import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { PresetName } from "../../src/identity/presets/presets.ts";

/** A checkout as git leaves it, without git. */
export function checkoutIn(
  folder: string,
  name: string,
  files: Readonly<Record<string, string>> = {},
  origin = "git@github.com:acme/Shop.git",
): string {
  const root = join(folder, name);
  const git = {
    ".git/HEAD": "ref: refs/heads/topic\n",
    ".git/config": `[core]\n\tbare = false\n[remote "origin"]\n\turl = ${origin}\n[branch "main"]\n\tremote = origin\n`,
  };
  for (const [file, text] of Object.entries({ ...git, ...files })) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  return root;
}

const uuid = "84c08677-9352-4a1c-a107-4df387cfeef7";
const connection = `/eid1/c/pub/t/${"A".repeat(22)}/a/rISbSSETf0KqFyZ8ppdXmA/sc/${uuid}/${uuid}`;

/** What `--id` is given, for each kind of CI system. */
export const ids: Readonly<Record<Exclude<PresetName, "generic">, string>> = {
  github: "519283746",
  forgejo: "7",
  gitlab: "20",
  buildkite: uuid,
  circleci: uuid,
  jenkins: "https://jenkins.example.com/job/shop/job/deploy/",
  bitbucket: `{${uuid}}`,
  "azure-devops": uuid,
  "azure-devops-entra": connection,
  google: "107517467455664443765",
  kubernetes: uuid,
  spiffe: "spiffe://example.org/ci/shop",
  "hcp-terraform": "ws-mbsd5E3Ktt5Rg2Xm",
  nomad: "default/shop",
};
