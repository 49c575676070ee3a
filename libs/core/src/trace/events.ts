/** What a span may carry: small facts that a viewer shows beside it. */
export type TraceArguments = Readonly<Record<string, string | number | boolean>>;

/**
 * One event in Chrome's trace format (Google, "Trace Event Format"): a complete event `X` with its beginning and
 * length in microseconds, or a metadata event `M` that names a process or a thread.
 */
export type TraceEvent =
  | {
      readonly name: string;
      readonly ph: 'X';
      /** Microseconds since 1970: one clock for all processes of a machine. */
      readonly ts: number;
      readonly dur: number;
      readonly pid: number;
      readonly tid: number;
      readonly args?: TraceArguments;
    }
  | {
      readonly name: 'process_name' | 'thread_name';
      readonly ph: 'M';
      readonly pid: number;
      readonly tid: number;
      readonly args: { readonly name: string };
    };
