import { type Command, sharedArgs } from "../command.ts";

export const command: Command = {
  name: "demo",
  description: "Train LeNet-5 on real digits, compress it with ADMM, compile it dense and compressed, and compare the two.",
  args: {
    threads: { ...sharedArgs.threads, description: "Number of threads; default 2" },
    seed: { type: "string", description: "Seed of weights, shuffling and splitting; default 1", valueHint: "N" },
    rate: { type: "string", description: "Weights divided by those that are kept; default 40", valueHint: "R" },
    "output-dir": { type: "string", description: "Existing folder to keep the nets in, as .onnx and .cadnn", valueHint: "DIR" },
  },
  examples: ["cadnn demo", "cadnn demo --rate 60 --output-dir out --json"],
  async run(options, context) {
    const { runDemo } = await import("../../compress/demo.ts");
    context.interruptible();
    throw new Error(`not joined yet: ${typeof runDemo} ${options.flag("json")}`);
  },
};
