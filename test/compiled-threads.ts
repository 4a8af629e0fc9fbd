import { syncBuiltinESMExports } from "node:module";
import threads, { Worker, type WorkerOptions } from "node:worker_threads";
import { compiled } from "./compiled.ts";

/** The ledger's thread has no environment, so it would not find what Node compiled before, and tests start several hundred of it. */
threads.Worker = class extends Worker {
  constructor(script: URL | string, options: WorkerOptions = {}) {
    super(script, typeof options.env === "object" ? { ...options, env: { ...options.env, ...compiled() } } : options);
  }
};
syncBuiltinESMExports();
