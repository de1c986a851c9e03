/** An item with its share, >= 0. */
export interface Weighted<T> {
  readonly item: T;
  readonly weight: number;
}

/** Chooses by weight with one draw, 0 <= random < 1. Throws RangeError where no weight is above 0. */
export function weightedChoice<T>(entries: readonly Weighted<T>[]): (random: number) => T {
  const usable = entries.filter((entry) => entry.weight > 0);
  const total = usable.reduce((sum, entry) => sum + entry.weight, 0);
  if (total === 0) throw new RangeError('the weights add up to 0');
  if (usable.length === 1) {
    const [{ item }] = usable;
    return () => item;
  }
  return (random) => {
    let draw = random * total;
    for (let i = 0; i < usable.length; i++) {
      draw -= usable[i].weight;
      if (draw < 0) return usable[i].item;
    }
    return usable[usable.length - 1].item;
  };
}
