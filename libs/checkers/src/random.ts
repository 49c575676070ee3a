/** Random whole numbers that depend on a seed alone. */
export interface Random {
  /** From 0 to n − 1, for n far below 2³². */
  below(n: number): number;
}

export function randomOf(seed: number): Random {
  let drawn = 0;
  return { below: (n) => Math.floor(((mixed(seed, drawn++) >>> 0) / 2 ** 32) * n) };
}

/** The list in another order, each of them as likely (Fisher & Yates). */
export function shuffled<T>(list: readonly T[], random: Random): T[] {
  const order = [...list];
  for (let i = order.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** The `index`-th random word of a seed: both through the finaliser of MurmurHash3 (A. Appleby). */
export function mixed(seed: number, index: number): number {
  let word = (Math.imul(seed, 0x9e3779b1) + Math.imul(index + 1, 0x85ebca77)) | 0;
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return word ^ (word >>> 16);
}
