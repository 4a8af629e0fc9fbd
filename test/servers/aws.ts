import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { bucket, type Seaweed, type SeaweedOptions, startSeaweed } from "./seaweedfs.ts";
import type { AwsKeys } from "./sigv4.ts";

/** A session that STS gave, whether or not the answer arrived. */
interface Given {
  readonly name: string;
  readonly role: string;
  readonly policy: string;
  readonly keys: AwsKeys;
}

/**
 * One address for STS, IAM, Secrets Manager and SSM. STS is SeaweedFS's; what it gives is remembered here, since AWS has no list of sessions.
 * IAM's inline policies of roles are a stand-in of ours, for SeaweedFS has none: it takes requests of the sweeper's sessions only, within their
 * session policy and IAM's quota, and what it is told to deny SeaweedFS denies. The two others are passed on to `stored`.
 */
export interface Aws extends AsyncDisposable {
  readonly port: number;
  readonly seaweed: Seaweed;
  readonly given: readonly Given[];
  /** Inline policies by role and name. */
  readonly inline: ReadonlyMap<string, ReadonlyMap<string, string>>;
  /** Every form that came to STS. */
  readonly asked: readonly URLSearchParams[];
  /** What a session of this name may still do, by S3's own word. */
  alive(lease: string): Promise<readonly string[]>;
  /** Puts an inline policy where others than Mayfly would. */
  put(role: string, name: string, document: string): void;
}

export interface AwsOptions extends Omit<SeaweedOptions, "jwks"> {
  readonly keys: object;
  /** Whoever answers for Secrets Manager and SSM. */
  readonly stored?: number;
}

const quota = 10_240;

export async function startAws({ keys, stored, ...options }: AwsOptions): Promise<Aws> {
  const stack = new AsyncDisposableStack();
  const issuer = stack.use(
    await serve((_, outgoing) => void outgoing.setHeader("content-type", "application/json").end(JSON.stringify(keys))),
  );
  const seaweed = stack.use(await startSeaweed({ ...options, jwks: `http://127.0.0.1:${issuer.port}/jwks` }));
  const given: Given[] = [];
  const asked: URLSearchParams[] = [];
  const inline = new Map<string, Map<string, string>>();
  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const body = await bodyOf(incoming);
    const service = /\/(iam|secretsmanager|ssm)\/aws4_request/.exec(incoming.headers.authorization ?? "")?.[1];
    if (service === "iam") return answerIam({ incoming, outgoing, form: new URLSearchParams(body), given, inline, seaweed });
    const answer = await pass(service === undefined ? seaweed.port : (stored ?? 0), incoming, body);
    const form = new URLSearchParams(body);
    if (service === undefined) asked.push(form);
    if (service === undefined && answer.status === 200) given.push(sessionOf(form, answer.body));
    outgoing.writeHead(answer.status, answer.headers).end(answer.body);
  };
  const server = stack.use(
    await serve((incoming, outgoing) => void handle(incoming, outgoing).catch(() => incoming.socket.destroy())),
  );
  const probe = async ({ name, keys: own }: Given): Promise<readonly string[]> =>
    (await seaweed.s3(own, "GET", `/${bucket}/519283746/probe`)) === 403 ? [] : [name];
  return {
    port: server.port,
    seaweed,
    given,
    inline,
    asked,
    alive: async (lease) => (await Promise.all(given.filter(({ name }) => name === lease).map(probe))).flat(),
    put: (role, name, document) => void policiesOf(inline, role).set(name, document),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

interface IamRequest {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly form: URLSearchParams;
  readonly given: readonly Given[];
  readonly inline: Map<string, Map<string, string>>;
  readonly seaweed: Seaweed;
}

async function answerIam(asked: IamRequest): Promise<void> {
  const { outgoing, form, inline, seaweed } = asked;
  const [action, role] = [form.get("Action") ?? "", form.get("RoleName") ?? ""];
  const policies = policiesOf(inline, role);
  const refusal = mayAsk(asked, action, role) ? act(action, form, policies) : ([403, "AccessDenied"] as const);
  if (action !== "ListRolePolicies")
    await seaweed.deny([...inline.values()].flatMap((all) => [...all.values()].flatMap(deniedBy)));
  outgoing
    .writeHead(refusal?.[0] ?? 200, { "content-type": "text/xml" })
    .end(refusal === undefined ? answerXml(action, policies) : errorXml(refusal[1], `no ${action}`));
}

/** What IAM itself would refuse it for. */
function act(action: string, form: URLSearchParams, policies: Map<string, string>): readonly [number, string] | undefined {
  const [name, document] = [form.get("PolicyName") ?? "", form.get("PolicyDocument") ?? ""];
  if (!["ci-deploy", "ci-read"].includes(form.get("RoleName") ?? "")) return [404, "NoSuchEntity"];
  if (action === "DeleteRolePolicy" && !policies.delete(name)) return [404, "NoSuchEntity"];
  if (action !== "PutRolePolicy") return undefined;
  const others = [...policies].filter(([other]) => other !== name).map(([, text]) => text);
  if ([...others, document].join("").replaceAll(/\s/g, "").length > quota) return [409, "LimitExceeded"];
  policies.set(name, document);
  return undefined;
}

function answerXml(action: string, policies: ReadonlyMap<string, string>): string {
  const members = [...policies.keys()].map((one) => `<member>${one}</member>`).join("");
  const result = action === "ListRolePolicies" ? `<PolicyNames>${members}</PolicyNames><IsTruncated>false</IsTruncated>` : "";
  return `<${action}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><${action}Result>${result}</${action}Result></${action}Response>`;
}

/** Only a session of the sweeper's role, and only what its session policy says of this role. */
function mayAsk({ incoming, given }: IamRequest, action: string, role: string): boolean {
  const key = /Credential=([^/]+)\//.exec(incoming.headers.authorization ?? "")?.[1];
  const session = given.find(
    ({ keys }) => keys.accessKeyId === key && keys.sessionToken === incoming.headers["x-amz-security-token"],
  );
  if (session === undefined || !session.role.endsWith(":role/mayfly-sweeper")) return false;
  const { Statement } = JSON.parse(session.policy) as { Statement: readonly { Action: string[]; Resource: string }[] };
  return Statement.some(({ Action, Resource }) => Action.includes(`iam:${action}`) && Resource.endsWith(`:role/${role}`));
}

/** The sessions that a deny of AWS's kind names. */
function deniedBy(document: string): readonly string[] {
  const [, session] =
    /"Effect":"Deny","Action":"\*","Resource":"\*","Condition":\{"StringLike":\{"aws:userid":"\*:([\w+=,.@-]+)"\}\}/.exec(
      document,
    ) ?? [];
  return session === undefined ? [] : [session];
}

function policiesOf(inline: Map<string, Map<string, string>>, role: string): Map<string, string> {
  const policies = inline.get(role) ?? new Map<string, string>();
  inline.set(role, policies);
  return policies;
}

export function errorXml(code: string, message: string): string {
  return `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>1</RequestId></ErrorResponse>`;
}

function sessionOf(form: URLSearchParams, answer: string): Given {
  const part = (name: string): string => new RegExp(`<${name}>([^<]+)</${name}>`).exec(answer)?.[1] ?? "";
  return {
    name: form.get("RoleSessionName") ?? "",
    role: form.get("RoleArn") ?? "",
    policy: form.get("Policy") ?? "",
    keys: { accessKeyId: part("AccessKeyId"), secretAccessKey: part("SecretAccessKey"), sessionToken: part("SessionToken") },
  };
}

interface Passed {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** With the host as it was signed. */
function pass(port: number, { method = "POST", url = "/", headers }: IncomingMessage, body: string): Promise<Passed> {
  return new Promise((resolve, reject) => {
    const onward = request({ host: "127.0.0.1", port, method, path: url, headers, agent: false }, (answer) => {
      bodyOf(answer).then((text) => resolve({ status: answer.statusCode ?? 502, headers: answer.headers, body: text }), reject);
    });
    onward.once("error", reject).end(body);
  });
}

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

async function serve(
  answer: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
): Promise<{ port: number } & AsyncDisposable> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
