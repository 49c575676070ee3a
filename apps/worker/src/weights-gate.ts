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

  /** Resolves true once exactly this version is here; false where a later one came, it is not wanted or the gate closed. */
  reached(version: number, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.version >= version) return Promise.resolve(this.version === version);
    return new Promise((resolve) => {
      const one = { version, resolve };
      this.waiting.push(one);
      const leave = () => {
        this.waiting = this.waiting.filter((other) => other !== one);
        resolve(false);
      };
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  close(): void {
    for (const { resolve } of this.waiting) resolve(false);
    this.waiting = [];
  }
}
