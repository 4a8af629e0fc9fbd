import { describe, expect, it } from "vitest";
import { z } from "zod";
import { catalogue } from "../../providers/catalogue.ts";
import type { Authority, ProofKind, Provider } from "../../src/lease/provider.ts";
import { fill } from "../../src/policy/slots.ts";
import { systemClock } from "../../src/time.ts";

const aws = await catalogue.load("aws");
const authority = {} as Authority;
const configure = (config: unknown, as: ProofKind = "broker"): Provider<unknown> => {
  if (aws === undefined) throw new Error("the catalogue has no aws");
  return aws.configure(config, { clock: systemClock, authority, as });
};

const good = { region: "eu-central-1" };

describe("the entry in mayfly.yaml", () => {
  it.each([
    ["a region alone", {}],
    ["a region of another partition", { region: "us-gov-west-1" }],
    ["a sweeper", { sweeper: { role: "ci/mayfly-sweeper" } }],
    ["an endpoint of a VPC", { endpoints: { sts: "https://vpce-1.sts.eu-central-1.vpce.example.com" } }],
    ["plain http on loopback, when that is said", { endpoints: { sts: "http://127.0.0.1:8333" }, allow_plaintext: true }],
    ["another audience", { audience: "https://mayfly.example.com" }],
  ])("loads: %s", (_, part) => {
    expect(() => configure({ ...good, ...part })).not.toThrow();
  });

  it.each([
    ["no region", { region: undefined }, "region"],
    ["a region that is an address", { region: "evil.example.com/" }, "region"],
    ["plain http", { endpoints: { sts: "http://127.0.0.1:8333" } }, "the address must be https"],
    [
      "plain http elsewhere",
      { endpoints: { iam: "http://iam.example.com" }, allow_plaintext: true },
      "the address must be https",
    ],
    ["credentials in an address", { endpoints: { ssm: "https://a:b@ssm.example.com" } }, "the address must be https"],
    ["a service that it does not use", { endpoints: { s3: "https://s3.example.com" } }, "endpoints"],
    ["a sweeper by its ARN", { sweeper: { role: "arn:aws:iam::111122223333:role/x" } }, "sweeper.role"],
    ["a key", { secret_access_key: "x" }, "secret_access_key"],
    ["a ca that cannot be read", { ca: "/nonexistent/ca.pem" }, "/nonexistent/ca.pem cannot be read"],
  ])("does not load: %s", (_, part, why) => {
    expect(() => configure({ ...good, ...part })).toThrow(
      expect.objectContaining({ code: "config-invalid", message: expect.stringContaining(why) }),
    );
  });

  it("says honestly how a session ends", () => {
    const asked = { role, policy: { Statement: { ...allowed, Resource: "*" } } };
    expect(configure(good).ends(asked)).toBe("expires");
    expect(configure(good).revocation).toBe("none");
    const swept = configure({ ...good, sweeper: { role: "mayfly-sweeper" } });
    expect(swept.ends(asked)).toBe("revoke");
    expect(swept.ends({ role, secret: "ci/npm" })).toBe("static");
  });
});

const role = "arn:aws:iam::111122223333:role/ci-deploy";
const allowed = { Effect: "Allow", Action: ["s3:PutObject"], Resource: ["arn:aws:s3:::shop/{repository_id}/{run_id}/*"] };
const policy = { Statement: [allowed] };
const claims = { repository_id: "519", run_id: 77, team: "shop", actor: "mona" };

describe("a template's part", () => {
  const give = (options: unknown, who: Readonly<Record<string, unknown>> = claims, as: ProofKind = "broker"): unknown =>
    fill(configure(good, as).options.parse(options), who);
  const complaints = (options: unknown, as: ProofKind = "broker"): string =>
    (configure(good, as).options.safeParse(options).error?.issues ?? [])
      .map(({ path, message }) => `${path.join(".")}: ${message}`)
      .join("; ");

  it.each([
    ["a policy", { role, policy }],
    [
      "one statement, one action, one resource",
      { role, policy: { Statement: { Effect: "Allow", Action: "s3:Get*", Resource: "*" } } },
    ],
    ["a policy as JSON", { role, policy: JSON.stringify(policy) }],
    [
      "a deny in any of IAM's ways",
      { role, policy: { Statement: [allowed, { Effect: "Deny", NotAction: "*", NotResource: "*" }] } },
    ],
    [
      "conditions",
      {
        role,
        policy: {
          Statement: [
            { ...allowed, Condition: { StringEquals: { "s3:prefix": ["{team}"] }, Bool: { "aws:SecureTransport": true } } },
          ],
        },
      },
    ],
    ["a role by a claim, in a path", { role: "arn:aws:iam::111122223333:role/ci/{team}-deploy", policy }],
    ["tags and a source identity", { role, policy, tags: { project: "{repository_id}" }, source_identity: "{actor}" }],
    ["a secret", { role, secret: "ci/{team}/npm", stage: "AWSPENDING" }],
    ["a secret by its complete ARN", { role, secret: "arn:aws:secretsmanager:eu-central-1:999922223333:secret:ci/npm-a1B2c3" }],
    ["a parameter", { role, parameter: "/ci/{team}/npm", format: "text" }],
  ])("takes %s, and the same again from the ledger", (_, options) => {
    const once = give(options);
    expect(give(JSON.parse(JSON.stringify(once)), {})).toEqual(once);
  });

  const statement = (part: object): object => ({ role, policy: { Statement: [{ ...allowed, ...part }] } });
  it.each([
    ["nothing to give", { role }, "say one of policy"],
    ["two things to give", { role, policy, secret: "x" }, "say one of policy"],
    ["no role", { policy }, "role"],
    ["a user", { role: "arn:aws:iam::111122223333:user/ci", policy }, "write a role's ARN"],
    ["an account by a claim", { role: "arn:aws:iam::{account}:role/ci", policy }, "its account is literal"],
    ["every action", statement({ Action: "*" }), "one service"],
    ["every action of every service", statement({ Action: ["*:*"] }), "one service"],
    ["an action by a claim", statement({ Action: ["s3:{team}"] }), "literal"],
    ["taking on roles", statement({ Action: ["sts:AssumeRole"] }), "sts is always denied"],
    ["taking on roles, spelled otherwise", statement({ Action: ["STS:Assume*"] }), "sts is always denied"],
    ["all but one action", statement({ Action: undefined, NotAction: ["iam:*"] }), "NotAction"],
    ["all but one resource", statement({ Resource: undefined, NotResource: ["arn:aws:s3:::x"] }), "NotResource"],
    ["a principal", statement({ Principal: "*" }), "Principal"],
    ["an effect by a claim", statement({ Effect: "{team}" }), "Effect"],
    ["an effect in lower case", statement({ Effect: "allow" }), "Effect"],
    ["a variable of IAM's", statement({ Resource: "arn:aws:s3:::shop/${aws:PrincipalTag/x}/*" }), "variables"],
    ["a variable that looks like a slot", statement({ Resource: "arn:aws:s3:::shop/${team}/*" }), "variables"],
    ["slots that could be each other's", statement({ Resource: "arn:aws:s3:::shop/{team}-{actor}/*" }), "between them"],
    ["a condition's key by a claim", statement({ Condition: { StringEquals: { "{team}": "x" } } }), "literal"],
    ["a deny alone", { role, policy: { Statement: [{ Effect: "Deny", Action: "*", Resource: "*" }] } }, "allows nothing"],
    ["no statement", { role, policy: { Statement: [] } }, "policy.Statement"],
    ["an older version", { role, policy: { Version: "2008-10-17", Statement: [allowed] } }, "policy.Version"],
    ["a text that is no policy", { role, policy: "everything" }, "policy"],
    ["a policy too large without any claim", statement({ Resource: [`arn:aws:s3:::${"x".repeat(2_000)}`] }), "at most 2048"],
    ["a policy with what AWS does not take", statement({ Resource: "arn:aws:s3:::shop/Ā" }), "U+0020 to U+00FF"],
    ["a tag of AWS's", { role, policy, tags: { "aws:x": "y" } }, "tags"],
    ["a tag of the broker's", { role, policy, tags: { "Mayfly-Template": "y" } }, "the broker's own"],
    ["two tags that AWS takes for one", { role, policy, tags: { a: "x", A: "y" } }, "upper and lower case"],
    [
      "49 tags",
      { role, policy, tags: Object.fromEntries(Array.from({ length: 49 }, (_, index) => [`t${index}`, "x"])) },
      "at most 50",
    ],
    ["a source identity that is too long", { role, policy, source_identity: "x".repeat(65) }, "source_identity"],
    ["a secret with a wildcard", { role, secret: "ci/*" }, "write a secret's name"],
    [
      "a secret by a part of its ARN",
      { role, secret: "arn:aws:secretsmanager:eu-central-1:111122223333:secret:npm" },
      "write a secret's name",
    ],
    [
      "a secret of another region",
      { role, secret: "arn:aws:secretsmanager:us-east-1:111122223333:secret:npm-a1B2c3" },
      "this secret is of us-east-1",
    ],
    ["a parameter with a wildcard", { role, parameter: "/ci/*" }, "write a parameter's name"],
    ["a stage of a parameter", { role, parameter: "/ci/x", stage: "AWSCURRENT" }, "only a secret"],
    ["a format of a session", { role, policy, format: "text" }, "stored value"],
    ["a key that nobody knows", { role, policy, policy_arns: [] }, "policy_arns"],
  ])("refuses %s", (_, options, why) => {
    expect(complaints(options)).toContain(why);
  });

  it("adds nothing to a job's own token, and says so", () => {
    expect(complaints({ role, policy }, "job")).toBe("");
    expect(complaints({ role, policy, tags: { a: "b" } }, "job")).toContain("nothing can be added");
    expect(complaints({ role, policy, source_identity: "mona" }, "job")).toContain("nothing can be added");
  });

  it.each([["*"], ["a/b"], ["${aws:username}"], ["?"], [".."], ["a:b"], [""], [undefined]])(
    "denies the claim %j in a resource",
    (value) => {
      expect(() => give({ role, policy }, { ...claims, repository_id: value })).toThrow(
        expect.objectContaining({ code: "slot-unfillable" }),
      );
    },
  );

  it("can be described to an editor", () => {
    expect(z.toJSONSchema(configure(good).options, { io: "input", unrepresentable: "any" })).toMatchObject({
      properties: { role: { description: "The role to take on." } },
      additionalProperties: false,
    });
  });
});
