/** Lets assignments pass when their version of the weights has arrived whole. */
export class WeightsGate {
  private version = -1;
  private waiting: { version: number; resolve(reached: boolean): void }[] = [];

  arrived(version: number): void {
    this.version = version;
    const due = this.waiting.filter((one) => one.version <= version);
    this.waiting = this.waiting.filter((one) => one.version > version);
    for (const { version: wanted, resolve } of due) resolve(wanted === version);
  }

  /** Resolves true once exactly this version is here; false where a later one came, or the gate closed. */
  reached(version: number): Promise<boolean> {
    if (this.version >= version) return Promise.resolve(this.version === version);
    return new Promise((resolve) => this.waiting.push({ version, resolve }));
  }

  close(): void {
    for (const { resolve } of this.waiting) resolve(false);
    this.waiting = [];
  }
}
