import { Bucket } from './bucket.js';

/** Lines at once, and a second after that: more are counted and told with the next one. */
const LINES = { burst: 30, perSecond: 0.2 };

/** Tells of each caller that was refused, one line each, as long as they do not come in a flood. */
export class Refusals {
  private readonly lines: Bucket;
  private untold = 0;
  private over = false;

  /** @param clock milliseconds that only grow */
  constructor(
    private readonly report: (line: string) => void,
    clock?: () => number,
  ) {
    this.lines = new Bucket(LINES.burst, LINES.perSecond, clock);
  }

  tell(peer: string, reason: string): void {
    if (this.over) return;
    if (!this.lines.take()) {
      this.untold += 1;
      return;
    }
    this.report(`${peer} was refused: ${reason}${this.others()}`);
  }

  /** Tells what was not told yet, and nothing after that: whom the coordinator hangs up on at its end was refused nothing. */
  close(): void {
    this.over = true;
    if (this.untold > 0) this.report(`callers were refused${this.others()}`);
  }

  private others(): string {
    const { untold } = this;
    this.untold = 0;
    return untold === 0 ? '' : ` (and ${untold} more since the last line)`;
  }
}
