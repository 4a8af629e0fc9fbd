import { isIP } from "node:net";
import { z } from "zod";

const path = z.string().regex(/^\/[^\0]*$/, "write an absolute path");

/** The store that brokers share, as mayfly.yaml names it. */
export const sharedSchema = z.strictObject({
  postgres: z
    .strictObject({
      /** A name or an address, or the folder of a Unix socket. */
      host: z.string().min(1).max(255),
      port: z.int().min(1).max(65_535).default(5432),
      database: z.string().min(1).max(63),
      user: z.string().min(1).max(63),
      /** Holds the password and nothing else; the broker's own user owns it, mode 0600. */
      password_file: path.optional(),
      /** PEM: whose certificate the server must show; without it, the authorities that Node comes with. */
      ca: path.optional(),
      tls: z.enum(["required", "off"]).optional(),
    })
    .superRefine(({ host, tls, password_file, ca }, refinement) => {
      const flaw = (key: string, message: string) => refinement.addIssue({ code: "custom", path: [key], message });
      if (tls === "off" && !isLocal(host)) flaw("tls", "may only be off where the host is a loopback address or a Unix socket");
      if (tls === "required" && isSocket(host)) flaw("tls", "is of no use on a Unix socket: leave it out");
      if (password_file === undefined && !isSocket(host)) flaw("password_file", "is needed unless the host is a Unix socket");
      if (ca !== undefined && (tls === "off" || isSocket(host))) flaw("ca", "is of no use without TLS");
    }),
});

export type SharedConfig = z.output<typeof sharedSchema>;
export type PostgresConfig = SharedConfig["postgres"];

/** Whether anybody between the two could read or change what is said. */
export function needsTls({ host, tls }: PostgresConfig): boolean {
  return !isSocket(host) && tls !== "off";
}

export function isSocket(host: string): boolean {
  return host.startsWith("/");
}

function isLocal(host: string): boolean {
  if (isSocket(host) || host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}
