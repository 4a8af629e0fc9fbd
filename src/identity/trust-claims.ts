import type { Identity } from "./identity.ts";
import type { Profile } from "./profile.ts";

/**
 * The claims from which a profile derives trust: it is asked once more, and watched. So no preset has to say twice what it reads. A claim
 * that it asked for may be absent.
 */
export function trustClaims({ trust }: Pick<Profile, "trust">, { claims }: Pick<Identity, "claims">): readonly string[] {
  const asked = new Set<string>();
  const note = (name: string | symbol): void => {
    if (typeof name === "string") asked.add(name);
  };
  trust(
    new Proxy(claims, {
      get(target, name) {
        note(name);
        return typeof name === "string" ? target[name] : undefined;
      },
      has(target, name) {
        note(name);
        return name in target;
      },
      getOwnPropertyDescriptor(target, name) {
        note(name);
        return Object.getOwnPropertyDescriptor(target, name);
      },
    }),
  );
  return [...asked];
}
