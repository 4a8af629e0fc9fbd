import { Secret } from "../../src/secret.ts";
import { type Bench, provesProvider } from "../conformance/provider.ts";
import { type GithubBench, openGithubBench, options, tokenOf } from "./github-bench.ts";

provesProvider("github, by repositories' ids", async () => benchOf(await openGithubBench(), options));
provesProvider("github, by names, with tokens of the longer format", async () => {
  const opened = await openGithubBench();
  opened.hub.format = "stateless";
  return benchOf(opened, { repositories: ["shop"], permissions: { contents: "write", issues: "read" } });
});

function benchOf({ hub, provider, authority, proxy, ...opened }: GithubBench, asked: unknown): Bench {
  hub.lies = (answer) => {
    const ofTwo = Array.isArray(answer["repositories"]) && answer["repositories"].length === 2;
    return ofTwo ? { ...answer, expires_at: new Date(Date.now() + 7_200_000).toISOString() } : answer;
  };
  return {
    provider,
    proofs: authority.proofs,
    options: asked,
    ttl: 3_600_000,
    works: async (material) => (await hub.use(tokenOf(material), "PUT", "/repos/shop-org/shop/contents/x")) === 200,
    alive: (lease) => Promise.resolve(hub.alive(lease)),
    upstream: {
      proxy,
      effects: [{ method: "POST", path: "/access_tokens" }],
      refused: { repository_ids: ["1"], permissions: { contents: "read" } },
      tooLong: { repositories: ["shop", "shop-docs"], permissions: { contents: "read" } },
      never: { token: authority.seal(Secret.of("ghs_thereNeverWasAnythingLikeThis00000000")), lease: "lse-nonesuch" },
      blind: "until-it-expires",
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}
