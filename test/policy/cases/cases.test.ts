import { describe, expect, test } from "vitest";
import { readTests } from "../../../src/policy/cases/cases.ts";
import { problemText } from "../../../src/policy/problem.ts";
import type { IssuerRoom } from "../../../src/policy/rooms.ts";

/** A good file, with the tests as they are written here. */
function file(tests: string, top = 'issuer: github\nclaims: { repository_id: "7", environment: production }'): string {
  return `version: 1\n${top}\ntests:\n${tests}\n`;
}

function read(text: string, issuers?: Parameters<typeof readTests>[1]): readonly string[] | ReturnType<typeof readTests> {
  const tests = readTests({ file: "deploy.test.yaml", text }, issuers);
  return "problems" in tests ? tests.problems.map(problemText) : tests;
}

const granted = "expect: { granted: deploy }";

describe("policy tests as they are written", () => {
  test("take the file's claims, put their own over them, and null takes one away", () => {
    const text = file(`  - { it: works, claims: { environment: null, ref: refs/heads/main }, ${granted} }`);
    expect(read(text)).toEqual([
      {
        file: "deploy.test.yaml",
        line: 5,
        it: "works",
        issuer: "github",
        claims: { repository_id: "7", environment: null, ref: "refs/heads/main" },
        at: undefined,
        template: undefined,
        step: undefined,
        command: [],
        expect: {
          kind: "granted",
          template: "deploy",
          credentials: undefined,
          ttl: {},
          network: undefined,
          workspace: undefined,
        },
      },
    ]);
  });

  test("ask for the file's template, at their own time, unless they name another", () => {
    const tests = [
      `  - { it: is one, at: "2026-11-23T10:00:00+01:00", ${granted} }`,
      `  - { it: is another, template: other, expect: { denied: no-match } }`,
    ];
    expect(read(file(tests.join("\n"), "issuer: github\ntemplate: deploy"))).toMatchObject([
      { template: "deploy", at: Date.UTC(2026, 10, 23, 9) },
      { template: "other", expect: { kind: "denied", code: "no-match" } },
    ]);
  });

  const flaws: readonly (readonly [string, string, string])[] = [
    [
      "a key that nobody reads",
      file(`  - { it: x, ${granted}, claim: { a: b } }`),
      "deploy.test.yaml:5: tests.0.claim: no such key",
    ],
    ["an empty list", "version: 1\nissuer: github\ntests: []\n", "deploy.test.yaml:3: tests: write at least one test"],
    [
      "a test that expects nothing",
      file("  - { it: x, expect: { credentials: [db] } }"),
      "deploy.test.yaml:5: tests.0.expect: it expects nothing: write either 'granted: TEMPLATE' or 'denied: CODE'",
    ],
    [
      "a test that expects both",
      file("  - { it: x, expect: { granted: deploy, denied: no-match } }"),
      "deploy.test.yaml:5: tests.0.expect: it expects nothing: write either 'granted: TEMPLATE' or 'denied: CODE'",
    ],
    [
      "what no denial is called",
      file("  - { it: x, expect: { denied: forbidden } }"),
      "tests.0.expect.denied: the codes of a denial are",
    ],
    [
      "what belongs to a grant in a denial",
      file("  - it: x\n    expect:\n      denied: no-match\n      workspace: rw"),
      "deploy.test.yaml:8: tests.0.expect.workspace: no such key",
    ],
    ["a life without its unit", file("  - { it: x, expect: { granted: deploy, ttl: { db: 10 } } }"), "tests.0.expect.ttl.db: "],
    [
      "a time without its zone",
      file(`  - { it: x, at: "2026-11-23T10:00:00", ${granted} }`),
      "tests.0.at: write a time with its zone",
    ],
    [
      "a number that YAML rounds",
      file(`  - { it: x, claims: { id: 12345678901234567890 }, ${granted} }`),
      "tests.0.claims.id: too long for a number: write it in quotes",
    ],
    ["an object for a claim", file(`  - { it: x, claims: { id: { a: b } }, ${granted} }`), "tests.0.claims.id: write text"],
    ["a test without a sentence", file(`  - { ${granted} }`), "deploy.test.yaml:5: tests.0.it: "],
    [
      "trust, which is derived from claims",
      file(`  - { it: x, claims: { trust: protected }, ${granted} }`),
      "deploy.test.yaml:5: tests.0.claims.trust: no claim of a token: write the claims that it is derived from",
    ],
    [
      "an issuer among the claims",
      file(`  - { it: x, ${granted} }`, "issuer: github\nclaims: { issuer: gitlab }"),
      "deploy.test.yaml:3: claims.issuer: no claim of a token: write `issuer:` beside `claims:`",
    ],
    [
      "what is no host",
      file('  - { it: x, expect: { granted: deploy, network: ["2001:db8::7"] } }'),
      "tests.0.expect.network.0: not a host with a port; write the address in brackets: [2001:db8::7]:443",
    ],
    [
      "no issuer",
      file(`  - { it: x, ${granted} }`, "claims: {}"),
      "tests.0: no issuer is named; write `issuer:` at the file's top",
    ],
    ["an alias", file(`  - &a { it: x, ${granted} }\n  - *a`), "an anchor; write the value out"],
    ["the same key twice", file(`  - { it: x, it: y, ${granted} }`), "deploy.test.yaml:5: "],
  ];
  test.each(flaws)("%s is a problem, with file, line and key", (_, text, problem) => {
    const problems = read(text);
    expect(problems).toEqual(expect.arrayContaining([expect.stringContaining(problem)]));
  });
});

describe("a claim that no token of the issuer has", () => {
  const room = { preset: "x", claims: [], subjectsBelow: undefined, workload: [], names: [], lists: [], sent: [], trusts: [] };
  const issuers = new Map<string, IssuerRoom>([
    ["github", { ...room, known: ["repository_id", "environment", "event_*"] }],
    ["gitlab", { ...room, known: ["project_id"] }],
    ["own", { ...room, known: undefined }],
  ]);

  test("is misspelt, and a test about it would show nothing", () => {
    const tests = `  - { it: x, claims: { enviroment: null }, ${granted} }\n  - { it: y, issuer: gitlab, ${granted} }`;
    expect(read(file(tests, "issuer: github\nclaims: { repositoryid: a, project_id: b }"), issuers)).toEqual([
      "deploy.test.yaml:3: claims.repositoryid: no token of this issuer has such a claim; did you mean repository_id?",
      "deploy.test.yaml:5: tests.0.claims.enviroment: no token of this issuer has such a claim; did you mean environment?",
    ]);
  });

  const fine: readonly (readonly [string, string, string])[] = [
    ["one that it has", "github", "environment"],
    ["one of many that begin so", "github", "event_name"],
    ["any of an issuer whose claims nobody can list", "own", "whatever"],
    ["any of an issuer that is not there, which is said elsewhere", "nobody", "whatever"],
  ];
  test.each(fine)("is not %s", (_, issuer, claim) => {
    const text = file(`  - { it: x, claims: { ${claim}: a }, ${granted} }`, `issuer: ${issuer}`);
    expect(read(text, issuers)).toMatchObject([{ it: "x" }]);
  });
});
