import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";

/*
 * `npm ci` wants an entry for every optional package of every platform, but `npm install` writes none for those that the registry in
 * use does not serve. This adds them, for their own platform only and without a digest: `npm run lock` after any change of dependencies.
 */
const entry = z.looseObject({ optionalDependencies: z.record(z.string(), z.string()).optional(), dev: z.boolean().optional() });
const lock = z.looseObject({ packages: z.record(z.string(), entry) });

const systems = ["android", "darwin", "freebsd", "linux", "openharmony", "win32"];
const processors = ["arm64", "arm", "ia32", "ppc64", "riscv64", "s390x", "x64"];

const file = "package-lock.json";
const found = lock.parse(JSON.parse(readFileSync(file, "utf8")));
const missing = Object.entries(found.packages)
  .flatMap(([, { optionalDependencies = {}, dev }]) =>
    Object.entries(optionalDependencies).map(([name, version]) => ({ name, version, dev })),
  )
  .filter(({ name }) => found.packages[`node_modules/${name}`] === undefined);

for (const { name, version, dev } of missing)
  found.packages[`node_modules/${name}`] = { version, ...platformOf(name), ...(dev && { dev }), optional: true };
const sorted = Object.fromEntries(Object.entries(found.packages).sort(([a], [b]) => a.localeCompare(b, "en")));
writeFileSync(file, `${JSON.stringify({ ...found, packages: sorted }, null, 2)}\n`);

/** By the name, as all such packages are named: `@oxlint/binding-linux-arm-musleabihf`. */
function platformOf(name: string): {
  readonly os: readonly string[];
  readonly cpu: readonly string[];
  readonly libc?: readonly string[];
} {
  const os = systems.filter((system) => name.includes(`-${system}`) || name.includes(`/${system}`));
  const cpu = processors.find((processor) => name.includes(`-${processor}`));
  if (os.length !== 1 || cpu === undefined) throw new Error(`${name} is missing in ${file}, and its name tells no platform`);
  return { os, cpu: [cpu], ...(name.includes("musl") && { libc: ["musl"] }) };
}
