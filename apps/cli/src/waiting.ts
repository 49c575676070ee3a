import { duration } from './format.js';
import { note } from './output.js';

/** Says after five seconds, and then ever more seldom, what is being waited for. */
export class Waiting {
  readonly #timer: NodeJS.Timeout;
  readonly #since = performance.now();
  #what: string;
  #next = 5;

  constructor(what: string) {
    this.#what = what;
    this.#timer = setInterval(() => {
      const waited = (performance.now() - this.#since) / 1000;
      if (waited < this.#next) return;
      this.#next *= 2;
      note(`… ${this.#what} (${duration(waited)} so far)`);
    }, 500);
    this.#timer.unref();
  }

  /** What to say instead, from now on: how far it has come. */
  say(what: string): void {
    this.#what = what;
  }

  end(): void {
    clearInterval(this.#timer);
  }
}
