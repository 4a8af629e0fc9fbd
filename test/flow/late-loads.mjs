import { registerHooks } from "node:module";

/*
 * Preloaded into `mayfly serve`: says so when a module is loaded after root was given up. In a clone that only root can read that load
 * would fail, perhaps only on a path that no test walks there.
 */
registerHooks({
  load(url, context, next) {
    if (url.startsWith("file:") && process.geteuid?.() !== 0) process.stderr.write(`LATE LOAD ${url}\n`);
    return next(url, context);
  },
});
