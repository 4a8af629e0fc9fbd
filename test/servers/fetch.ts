import { fetchKubernetes } from "./kubernetes-binary.ts";
import { fetchMoto } from "./moto.ts";
import { fetchOpa } from "./opa-binary.ts";
import { fetchOpenBao } from "./openbao-binary.ts";
import { fetchSeaweed } from "./seaweedfs-binary.ts";
import { fetchToxiproxy } from "./toxiproxy-binary.ts";

/** For scripts/setup.sh: what the tests need and no Debian package has. What cannot be had is skipped by its tests, with the reason. */
const servers = [
  ["OpenBao", fetchOpenBao],
  ["OPA", fetchOpa],
  ["SeaweedFS", fetchSeaweed],
  ["moto", fetchMoto],
  ["Kubernetes", fetchKubernetes],
  ["toxiproxy", fetchToxiproxy],
] as const;

for (const [name, fetched] of servers) {
  try {
    await fetched();
  } catch (error) {
    const why = error instanceof Error ? error.message.slice(0, 300) : String(error);
    console.error(`${name} could not be fetched, so its tests will be skipped: ${why}`);
  }
}
