/** One line of JSON, answered by one line: `Reply`. */
export type Request =
  | { readonly kind: "load"; readonly module: string; readonly memory: readonly [string, string]; readonly pages: number }
  | {
      readonly kind: "perform";
      /** Actions whose bytes are [offset, length] of the file `data`; what is read goes to the file `result`, one after the other. */
      readonly actions: readonly PackedAction[];
      readonly data: string;
      readonly result: string;
    }
  | {
      readonly kind: "run";
      /** A `.cadnn` file. */
      readonly artifact: string;
      /** The runtime chooses if this is left out. */
      readonly target?: string | undefined;
      /** Float32 values in files. */
      readonly feeds: Readonly<Record<string, { readonly shape: readonly number[]; readonly path: string }>>;
      /** Where the values of the only output go. */
      readonly result: string;
      /** Inferences. The result is that of the last one. */
      readonly runs: number;
    };

export type PackedAction =
  | { readonly kind: "write"; readonly at: number; readonly from: number; readonly bytes: number }
  | { readonly kind: "call"; readonly name: string; readonly args: readonly number[] }
  | { readonly kind: "read"; readonly at: number; readonly bytes: number };

export type Reply = { readonly target?: string } | { readonly error: string };
