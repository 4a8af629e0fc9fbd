import type { Output } from "../commands/io.ts";

/** Tells the story: numbered sentences for what happens, and what was typed and printed set apart from them. */
export class Narrator {
  readonly #out: Output;
  readonly #colour: boolean;
  #step = 0;

  constructor(out: Output, colour: boolean) {
    this.#out = out;
    this.#colour = colour;
  }

  title(text: string): void {
    this.#line(this.#paint("1", text));
  }

  step(text: string): void {
    this.#step += 1;
    this.#line(`\n${this.#paint("1;36", String(this.#step).padStart(2))}  ${text}`);
  }

  typed(command: string): void {
    this.#line(`      ${this.#paint("1", `$ ${command}`)}`);
  }

  printed(text: string): void {
    for (const line of text.trimEnd().split("\n")) this.#line(`      ${this.#paint("2", "│")} ${line}`);
  }

  #line(text: string): void {
    this.#out.write(`${text}\n`);
  }

  #paint(code: string, text: string): string {
    return this.#colour ? `\u001B[${code}m${text}\u001B[0m` : text;
  }
}
