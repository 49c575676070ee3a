/**
 * At most so many at once, in the order in which they came: each is done sooner than if all went abreast, and the last no
 * later. A turn that takes too long is over for those that wait, so that nobody is held up by some that stand still.
 */
export class Turns {
  private free: number;
  private readonly waiting: (() => void)[] = [];

  /** @param patience milliseconds after which the next one need not wait any longer */
  constructor(
    most: number,
    private readonly patience: number,
  ) {
    this.free = most;
  }

  /** Resolves when it is the caller's turn; the caller ends it, more than once does no harm. */
  async take(): Promise<() => void> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    let over = false;
    const end = () => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      const next = this.waiting.shift();
      if (next === undefined) this.free += 1;
      else next();
    };
    const timer = setTimeout(end, this.patience);
    return end;
  }
}
