import { describe, expect, it } from "vitest";
import { audience, flaws, generic } from "./written.ts";

describe("an audience that is others' too does not load", () => {
  it.each<[string, unknown, string]>([
    ...[
      "sts.amazonaws.com",
      "sts.amazonaws.com.cn",
      "https://sts.amazonaws.com",
      "https://sts.eu-central-1.amazonaws.com/",
      "sigstore",
      "pypi",
      "npm:registry.example",
      "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
      "https://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
      "api://AzureADTokenExchange",
      "fb60f99c-7a34-4190-8149-302f77469936",
    ].map((others): [string, unknown, string] => [
      `an audience of everybody's, ${others}`,
      { ...generic, audience: others },
      "ci.audience: tokens for this audience are handed to others; choose one that only this broker has",
    ]),
    ...(
      [
        ["github", undefined, "https://github.com/octo-org"],
        ["github", undefined, "https://octocorp.ghe.com/octo-org"],
        ["buildkite", undefined, "https://buildkite.com/acme"],
        [
          "circleci",
          "https://oidc.circleci.com/org/5034460f-c7c4-4c43-9457-de07e2029e7b",
          "5034460f-c7c4-4c43-9457-de07e2029e7b",
        ],
        [
          "bitbucket",
          "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc",
          "ari:cloud:bitbucket::workspace/84c08677-9352-4a1c-a107-0df387cfeb01",
        ],
        ["kubernetes", "https://k8s.example", "https://kubernetes.default.svc"],
        ["kubernetes", "https://k8s.example", "https://kubernetes.default.svc.cluster.local"],
        ["kubernetes", "https://k8s.example", "pods.eks.amazonaws.com"],
        ["nomad", "https://nomad.example", "nomadproject.io"],
        ["hcp-terraform", undefined, "aws.workload.identity"],
        ["hcp-terraform", undefined, "vault.workload.identity"],
      ] as const
    ).map(([preset, url, others]): [string, unknown, string] => [
      `what ${preset} makes tokens for when nobody chooses, ${others}`,
      { preset, url, audience: others },
      "ci.audience: tokens for this audience are handed to others",
    ]),
    ...(
      [
        ["github", "https://github.example.com/_services/token", "https://github.example.com/octo-org"],
        ["forgejo", "https://codeberg.org/api/actions", "https://codeberg.org/octo"],
        ["kubernetes", "https://k8s.example:6443", "https://k8s.example:6443"],
        ["gitlab", undefined, "https://gitlab.com"],
      ] as const
    ).map(([preset, url, own]): [string, unknown, string] => [
      `the issuer's own audience, ${own}`,
      { preset, url, audience: own },
      "ci.audience: this is the issuer's own, whose tokens others take too",
    ]),
    [
      "an audience that Azure DevOps never writes",
      {
        preset: "azure-devops",
        url: "https://vstoken.dev.azure.com/0ca3ddd9-f0b0-4635-a98c-5866526961b6",
        audience,
      },
      "ci.audience: these tokens can only be made for api://AzureADTokenExchange",
    ],
  ])("%s", (_, issuer, why) => {
    expect(flaws(issuer)).toContain(why);
  });
});
