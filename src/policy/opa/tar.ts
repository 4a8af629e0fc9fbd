const block = 512;

/**
 * The plain files of a tar archive (POSIX.1-2017, ustar) by their names, without the `/` or `./` before them. Links, folders and other
 * kinds of members are passed over. Throws where it is no archive, is cut off, or has two files of one name.
 */
export function filesIn(archive: Buffer): ReadonlyMap<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (let at = 0; ; ) {
    const header = archive.subarray(at, at + block);
    if (header.length < block) throw new Error("the archive is cut off");
    // It ends with two blocks of zeros; what is behind the first is nobody's.
    if (header.every((byte) => byte === 0)) return files;
    const { name, size, plain } = read(header);
    if (plain && files.has(name)) throw new Error(`the archive has two files named ${name}`);
    if (plain) files.set(name, archive.subarray(at + block, at + block + size));
    // Behind a file that is cut off there is no header.
    at += block + Math.ceil(size / block) * block;
  }
}

function read(header: Buffer): { readonly name: string; readonly size: number; readonly plain: boolean } {
  if (header.toString("latin1", 257, 262) !== "ustar" || number(header, 148, 8) !== checksum(header))
    throw new Error("not a tar archive");
  const prefix = text(header, 345, 155);
  const name = `${prefix}${prefix === "" ? "" : "/"}${text(header, 0, 100)}`.replace(/^(?:\.?\/)+/, "");
  const kind = header[156];
  return { name, size: number(header, 124, 12), plain: kind === 0 || kind === 0x30 };
}

function text(header: Buffer, from: number, length: number): string {
  const field = header.subarray(from, from + length);
  const end = field.indexOf(0);
  return field.toString("utf8", 0, end < 0 ? length : end);
}

/** Octal digits; the base-256 form of huge members is not taken. */
function number(header: Buffer, from: number, length: number): number {
  const digits = text(header, from, length).trim();
  if (!/^[0-7]+$/.test(digits)) throw new Error("not a tar archive");
  return Number.parseInt(digits, 8);
}

/** Of all bytes of the header, those of the sum itself taken as blanks. */
function checksum(header: Buffer): number {
  return header.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 0x20 : byte), 0);
}
