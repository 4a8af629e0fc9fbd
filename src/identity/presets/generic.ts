import { common, type Preset } from "./preset.ts";

/** An issuer that no preset knows: mayfly.yaml says what identifies, and trust is `unknown` until it maps claims. */
export const generic: Preset = {
  ...common,
  issuer: { usual: undefined, form: "https://HOST/PATH", fits: /^https:\/\/[^ ]+$/ },
  header: ["x5t"],
  workload: [],
  job: [],
  identifying: [],
};
