import type { MakeContender } from "../contender.ts";

/** The built runtime, as users get it, on a net compiled beforehand; only its types come from the sources. */
export const makeCadnn: MakeContender = ({ threads, library }) => {
  let session: import("../../../src/runtime/index.ts").Session | undefined;
  let [input, output] = ["", ""];
  return {
    async load({ bytes }) {
      const { createSession } = (await import(library)) as typeof import("../../../src/runtime/index.ts");
      session = await createSession(bytes, { threads });
      if (session.threads !== threads) throw new Error(`cadnn: ${session.notes.join("; ")}`);
      input = session.inputs[0]?.name ?? "";
      output = session.outputs[0]?.name ?? "";
    },
    async warmup() {
      await session?.warmup();
    },
    async run(given) {
      const results = await session?.run({ [input]: given });
      return results?.[output]?.data as Float32Array;
    },
  };
};
