import type { Graph } from "../ir/graph.ts";
import type { Session } from "../runtime/index.ts";
import type { MakeStepper, Stepper } from "./stepper.ts";

type LoadedNet = Pick<Session, "run" | "readParameter" | "writeParameter" | "dispose">;

/** Steps on generated kernels: `load` compiles a graph and makes a session of it. */
export function sessionStepper(load: (graph: Graph) => Promise<LoadedNet>): MakeStepper {
  return async (graph): Promise<Stepper> => {
    const session = await load(graph);
    return {
      async run(feeds) {
        const results = await session.run(feeds);
        return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data as Float32Array]));
      },
      readParameter: async (name) => (await session.readParameter(name)).data as Float32Array,
      writeParameter: (name, data) => session.writeParameter(name, data),
      dispose: () => session.dispose(),
    };
  };
}
