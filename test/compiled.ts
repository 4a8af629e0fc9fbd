/** For the environment of what a test starts with one of its own: where Node finds what it compiled before (test/this-run.ts). */
export function compiled(): Readonly<Record<string, string>> {
  const folder = process.env["NODE_COMPILE_CACHE"];
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: folder };
}
