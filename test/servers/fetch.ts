import { fetchOpa } from "./opa-binary.ts";
import { fetchOpenBao } from "./openbao-binary.ts";

/** For scripts/setup.sh: what the tests need and no Debian package has. What cannot be had is skipped by its tests, with the reason. */
const servers = [
  ["OpenBao", fetchOpenBao],
  ["OPA", fetchOpa],
] as const;

for (const [name, fetched] of servers) {
  try {
    await fetched();
  } catch (error) {
    const why = error instanceof Error ? error.message.slice(0, 300) : String(error);
    console.error(`${name} could not be fetched, so its tests will be skipped: ${why}`);
  }
}
