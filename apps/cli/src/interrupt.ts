import { exitStatus } from './failure.js';

/**
 * The first Ctrl-C (or SIGTERM) asks for a clean end; a second one ends the process at once, after `atOnce`.
 */
export class Interrupt {
  #signals = 0;
  readonly #atOnce: () => void;
  readonly #listener: () => void;

  constructor(clean: () => void, atOnce: () => void = () => {}) {
    this.#atOnce = atOnce;
    this.#listener = () => {
      this.#signals++;
      if (this.#signals === 1) clean();
      else this.leave();
    };
    process.on('SIGINT', this.#listener);
    process.on('SIGTERM', this.#listener);
  }

  get happened(): boolean {
    return this.#signals > 0;
  }

  leave(): never {
    this.#atOnce();
    process.exit(exitStatus.interrupted);
  }

  dispose(): void {
    process.off('SIGINT', this.#listener);
    process.off('SIGTERM', this.#listener);
  }
}
