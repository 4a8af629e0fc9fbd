import { fetchOpenBao } from "./openbao-binary.ts";

/** For scripts/setup.sh: what the tests need and no Debian package has. What cannot be had is skipped by its tests, with the reason. */
try {
  await fetchOpenBao();
} catch (error) {
  console.error(
    `OpenBao could not be fetched, so its tests will be skipped: ${error instanceof Error ? error.message.slice(0, 300) : String(error)}`,
  );
}
