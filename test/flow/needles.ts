/** How one byte, or a whole text, is written in a form; windows of the secret are looked for as this form writes them. */
type Form = { readonly name: string } & (
  | { readonly byte: (byte: number) => string }
  | { readonly text: (bytes: Buffer) => readonly string[] }
);

const hex = (byte: number) => byte.toString(16).padStart(2, "0");
const unreserved = /[A-Za-z0-9_.~-]/;

function percent(byte: number, code: string): string {
  const character = String.fromCharCode(byte);
  return unreserved.test(character) ? character : `%${code}`;
}

const forms: readonly Form[] = [
  { name: "plain", byte: (byte) => String.fromCharCode(byte) },
  { name: "hex", byte: hex },
  { name: "hex, upper case", byte: (byte) => hex(byte).toUpperCase() },
  { name: "hex, colons", byte: (byte) => `${hex(byte)}:` },
  { name: "hex, blanks", byte: (byte) => `${hex(byte)} ` },
  { name: "URL", byte: (byte) => percent(byte, hex(byte).toUpperCase()) },
  { name: "URL, lower case", byte: (byte) => percent(byte, hex(byte)) },
  { name: "JSON", byte: (byte) => JSON.stringify(String.fromCharCode(byte)).slice(1, -1) },
  { name: "base64", text: (bytes) => base64(bytes, "base64") },
  { name: "base64url", text: (bytes) => base64(bytes, "base64url") },
];

/** The shortest part of a secret that counts as a leak, in bytes. */
const window = 8;

/** Eight bytes fill at least nine characters of base64, wherever they begin. */
const base64Window = 9;

/** Without the characters that mix the secret's bits with what stands before or after it. */
function base64(bytes: Buffer, alphabet: "base64" | "base64url"): readonly string[] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString(alphabet);
    return text.slice(before === 0 ? 0 : before + 1, Math.floor(((before + bytes.length) * 8) / 6));
  });
}

function windowsOf(secret: Buffer, form: Form): readonly string[] {
  if ("text" in form) return form.text(secret).flatMap((text) => slices(text.split(""), base64Window));
  return slices([...secret].map(form.byte), window);
}

function slices(units: readonly string[], length: number): readonly string[] {
  return units.slice(length - 1).map((_, start) => units.slice(start, start + length).join(""));
}

/** Every window of some secrets, in every form. Written without `src/masking`, whose work it judges. */
export class Needles {
  readonly #forms = new Map<string, string>();
  readonly #lengths = new Set<number>();
  /** By a hash of four bytes: most places in a file are passed by one look. */
  readonly #beginnings = new Uint8Array(2 ** 22);

  add(secrets: readonly Buffer[]): void {
    for (const form of forms) {
      for (const text of secrets.flatMap((secret) => windowsOf(secret, form))) this.#add(text, form.name);
    }
  }

  #add(text: string, form: string): void {
    if (!this.#forms.has(text)) this.#forms.set(text, form);
    this.#lengths.add(text.length);
    this.#beginnings[slot(Buffer.from(text, "latin1").readUInt32BE(0))] = 1;
  }

  /** The forms in which some part of a secret is in these bytes. */
  in(bytes: Buffer): readonly string[] {
    const seen = new Set<string>();
    let word = 0;
    for (let index = 0; index < bytes.length; index += 1) {
      word = ((word << 8) | (bytes[index] ?? 0)) >>> 0;
      if (this.#beginnings[slot(word)] === 1) for (const form of this.#at(bytes, index - 3)) seen.add(form);
    }
    return [...seen];
  }

  #at(bytes: Buffer, start: number): readonly string[] {
    return [...this.#lengths].flatMap((length) => this.#forms.get(bytes.toString("latin1", start, start + length)) ?? []);
  }
}

function slot(word: number): number {
  return Math.imul(word, 0x9e37_79b1) >>> 10;
}
