import { type PresetName, presets } from "../presets/presets.ts";
import { issuerUrl } from "./issuer-url.ts";

/** Jobs of every CI system have tokens made for these, and hand them over by design: whoever receives one could present it here. */
const othersAudiences: readonly RegExp[] = [
  /^(?:https:\/\/)?sts\.(?:[a-z0-9-]+\.)?amazonaws\.com(?:\.cn)?\/?$/,
  /^(?:https:)?\/\/(?:iam|sts)\.googleapis\.com(?:\/|$)/,
  /^api:\/\/AzureADTokenExchange/i,
  /^fb60f99c-7a34-4190-8149-302f77469936$/i,
  /^sigstore$/,
  // Trusted publishing.
  /^(?:pypi|testpypi|crates\.[a-z]+|rubygems\.[a-z]+|npm:.*)$/,
];

interface WrittenAudience {
  readonly preset: PresetName;
  readonly url?: string | undefined;
  readonly audience: string;
}

/** Where a job cannot choose, the one audience there is must do; everywhere else it has to be this broker's own. */
export function audienceFlaw(written: WrittenAudience): string | undefined {
  const { audience: only, usualAudiences } = presets[written.preset];
  if (only !== undefined) return written.audience === only ? undefined : `these tokens can only be made for ${only}`;
  if ([...othersAudiences, ...usualAudiences].some((audience) => audience.test(written.audience)))
    return "tokens for this audience are handed to others; choose one that only this broker has";
  return isIssuers(written) ? "this is the issuer's own, whose tokens others take too; choose one of this broker's" : undefined;
}

/** An issuer's own name, or its owners' pages, are what most tokens are made for when nobody chooses. */
function isIssuers(written: WrittenAudience): boolean {
  const url = issuerUrl(written);
  if (presets[written.preset].chosenBy !== "iss" || !URL.canParse(url) || !URL.canParse(written.audience)) return false;
  return new URL(url).host === new URL(written.audience).host;
}
