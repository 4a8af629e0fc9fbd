import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { filesIn } from "./tar.ts";

/** A compiled policy with its data. */
export interface Bundle {
  /** SHA-256, hex, of the file as it is on disk. */
  readonly digest: string;
  readonly wasm: Buffer;
  /** What `data` is to the policy, beside its own rules: a JSON object, in UTF-8. */
  readonly data: Buffer;
}

/** Of the file, and twice that once it is unpacked. */
export const mostBundleBytes = 8 * 1024 * 1024;

const noData = Buffer.from("{}");

/** Reads the `bundle.tar.gz` that `opa build -t wasm` makes, or a bare `policy.wasm`. Throws what is wrong with it, in our words. */
export function readBundle(bytes: Buffer): Bundle {
  const digest = createHash("sha256").update(bytes).digest("hex");
  if (isWasm(bytes)) return { digest, wasm: bytes, data: noData };
  const files = filesIn(unpacked(bytes));
  const wasm = files.get("policy.wasm");
  if (wasm === undefined || !isWasm(wasm)) throw new Error("has no policy.wasm: build it with opa build -t wasm -e RULE");
  return { digest, wasm, data: dataIn(files.get("data.json")) };
}

function isWasm(bytes: Buffer): boolean {
  return bytes.toString("latin1", 0, 4) === "\0asm";
}

function unpacked(bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: 2 * mostBundleBytes });
  } catch {
    throw new Error("is neither a bundle.tar.gz nor a policy.wasm, or is too large once it is unpacked");
  }
}

function dataIn(file: Buffer | undefined): Buffer {
  if (file === undefined) return noData;
  const data = parse(file.toString("utf8"));
  if (typeof data !== "object" || data === null || Array.isArray(data)) throw new Error("its data.json is no JSON object");
  return file;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
