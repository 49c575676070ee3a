/** Lets so many through at once, and so many a second after that. */
export class Bucket {
  private level: number;
  private filled: number;

  /** @param clock milliseconds that only grow */
  constructor(
    private readonly burst: number,
    private readonly perSecond: number,
    private readonly clock: () => number = () => performance.now(),
  ) {
    this.level = burst;
    this.filled = clock();
  }

  /** Whether the next may pass. */
  get open(): boolean {
    this.fill();
    return this.level >= 1;
  }

  /** As full as it was made: nothing is owed. */
  get whole(): boolean {
    this.fill();
    return this.level === this.burst;
  }

  /** Lets one through; returns whether it may pass. */
  take(): boolean {
    if (!this.open) return false;
    this.level -= 1;
    return true;
  }

  private fill(): void {
    const now = this.clock();
    this.level = Math.min(this.burst, this.level + ((now - this.filled) / 1000) * this.perSecond);
    this.filled = now;
  }
}
