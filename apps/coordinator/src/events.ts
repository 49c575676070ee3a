import type { UpdateRatio } from '@manyhands/core/optim';

/** What a run tells whoever started it, for a screen or a log. */
export type RunEvent =
  | { readonly kind: 'status'; readonly text: string }
  /** Said again and again while it lasts: for how long, and for what. */
  | { readonly kind: 'waiting'; readonly text: string }
  /** `event`: the name of the line of events.jsonl that says it too. */
  | { readonly kind: 'warning'; readonly text: string; readonly event?: string }
  | { readonly kind: 'worker'; readonly text: string; readonly workers: number; readonly threads: number }
  | {
      readonly kind: 'step';
      readonly step: number;
      readonly steps: number;
      readonly loss: number;
      readonly learningRate: number;
      readonly gradNorm: number;
      /** null: not measured. */
      readonly updateRatio: UpdateRatio | null;
      /** Targets in this step's batch. */
      readonly tokens: number;
      readonly tokensPerSecond: number;
      /** What a target is: the two above count them. */
      readonly unit: 'tokens' | 'positions';
      readonly secondsPerStep: number;
      readonly workers: number;
      /** Those of them that the step was shared among. */
      readonly crew: number;
      readonly secondsLeft: number;
    }
  | {
      readonly kind: 'eval';
      readonly step: number;
      readonly trainLoss: number;
      readonly validationLoss: number | null;
      readonly bitsPerByte: number | null;
      /** Validation and training loss by source; a source has both, one, or none. */
      readonly sources: Readonly<Record<string, number>>;
      readonly trainSources: Readonly<Record<string, number>>;
      /** Names of the sources that count for nothing but their own loss. */
      readonly heldOut: readonly string[];
    }
  | {
      readonly kind: 'checkpoint';
      readonly step: number;
      readonly path: string;
      readonly weightsSha256: string;
    };

export interface RunSummary {
  readonly step: number;
  readonly steps: number;
  readonly interrupted: boolean;
  /** Why the run ended, in words. */
  readonly reason: string;
  /** Of the last step; null where this process took none. */
  readonly trainLoss: number | null;
  readonly validationLoss: number | null;
  readonly bestValidationLoss: number | null;
  /** Since when the model overfits, by which numbers, and what may help; null where nothing shows that it does. */
  readonly overfitting: string | null;
  readonly weightsSha256: string;
  readonly out: string;
  readonly seconds: number;
  /** Targets seen since the run's first step. */
  readonly tokens: number;
}
