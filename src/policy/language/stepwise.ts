/** Work that can be put down wherever it yields, and taken up again. */
export type Stepwise<T> = Generator<undefined, T, undefined>;

/** For whoever has nothing else to do. */
export function atOnce<T>(work: Stepwise<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** For a broker, whose runs go on meanwhile: `pause` is asked at each step, and gives nothing while it is not yet time for one. */
export async function gently<T>(work: Stepwise<T>, pause: () => Promise<void> | undefined): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    const paused = pause();
    if (paused !== undefined) await paused;
  }
}
