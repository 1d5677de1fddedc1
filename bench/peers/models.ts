import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportOnnx } from "../../src/frontend/onnx/index.ts";
import { type ZooName, zoo, zooGraph, zooNames } from "../../src/zoo/index.ts";
import { createRandom } from "../../src/zoo/random.ts";

export type Variant = "dense" | "sparse";
export const variants: readonly Variant[] = ["dense", "sparse"];

/** What a contender reads. `tflite-sparse` is sparse-encoded, as XNNPACK's sparse kernels want it. */
export type ModelForm = "onnx" | "cadnn" | "tflite" | "tflite-sparse" | "tflite-int8" | "tfjs";

/** The nets in all forms, with equal weights. */
export interface Models {
  /** Absolute path. Undefined where there is no such file. */
  file(net: string, variant: Variant, form: ModelForm): Promise<string | undefined>;
  /** Raw float32 values, NCHW. */
  input(net: string): { readonly path: string; readonly shape: readonly number[] };
  /** The output with TensorFlow's pads, where there is one. */
  tfExpected(net: string, variant: Variant): readonly number[] | undefined;
  close(): void;
}

/** Where nothing but the zoo is at hand: how much of each net is pruned away. */
const zooSparsity: Readonly<Partial<Record<ZooName, number>>> = { resnet50: 0.891, mobilenet_v1: 0.85, mobilenet_v2: 0.85, inception_v3: 0.89 };

const suffix = { dense: "", sparse: "-sparse" } as const;
const formSuffix: Readonly<Record<Exclude<ModelForm, "cadnn" | "tfjs">, string>> = { onnx: ".onnx", tflite: ".tflite", "tflite-sparse": ".tflite", "tflite-int8": "-int8.tflite" };

function pathIn(folder: string, net: string, variant: Variant, form: Exclude<ModelForm, "cadnn">): string {
  if (form === "tfjs") return join(folder, "tfjs", net, "model.json");
  if (form === "tflite-sparse") return join(folder, `${net}-sparseenc.tflite`);
  return join(folder, `${net}${suffix[variant]}${formSuffix[form]}`);
}

/** Models of a folder; nets that it has no ONNX file of come from the zoo (ONNX only). cadnn's files are compiled when first asked for, with the text of a tuning log if there is one. */
export function openModels(folder: string | undefined, tuning?: string): Models {
  const temporary = mkdtempSync(join(tmpdir(), "cadnn-peers-"));
  const home = (net: string): string => (folder !== undefined && existsSync(join(folder, `${net}.onnx`)) ? folder : fromZoo(net, temporary));
  const compiled = new Map<string, Promise<string>>();
  return {
    async file(net, variant, form) {
      if (form !== "cadnn") {
        const path = pathIn(home(net), net, variant, form);
        return existsSync(path) ? path : undefined;
      }
      const onnx = pathIn(home(net), net, variant, "onnx");
      if (!existsSync(onnx)) return undefined;
      const key = `${net}${suffix[variant]}.cadnn`;
      const made = compiled.get(key) ?? compileTo(onnx, tuning, join(temporary, key));
      compiled.set(key, made);
      return made;
    },
    input(net) {
      const path = join(home(net), `${net}.input.bin`);
      const size = Math.sqrt(readFileSync(path).byteLength / 12);
      return { path, shape: [1, 3, size, size] };
    },
    tfExpected(net, variant) {
      const path = join(home(net), `${net}${suffix[variant]}.expected-tfsame.bin`);
      return existsSync(path) ? [...new Float32Array(Uint8Array.from(readFileSync(path)).buffer)] : undefined;
    },
    close() {
      rmSync(temporary, { recursive: true, force: true });
    },
  };
}

/** By the built package, as users do it. */
async function compileTo(onnx: string, tuning: string | undefined, path: string): Promise<string> {
  const { compile } = (await import(new URL("../../dist/index.js", import.meta.url).href)) as typeof import("../../src/index.ts");
  writeFileSync(path, await compile(readFileSync(onnx), tuning === undefined ? {} : { tuning }));
  return path;
}

/** Seeded weights, dense and pruned, and a seeded input. */
function fromZoo(net: string, folder: string): string {
  const name = zooNames.find((n) => n === net);
  if (name === undefined) throw new Error(`there is no net ${net}: neither in the models' folder nor in the zoo, which has ${zooNames.join(", ")}`);
  const input = join(folder, `${net}.input.bin`);
  if (existsSync(input)) return folder;
  mkdirSync(folder, { recursive: true });
  for (const variant of variants) {
    const sparsity = variant === "dense" ? 0 : (zooSparsity[name] ?? 0.9);
    writeFileSync(pathIn(folder, net, variant, "onnx"), exportOnnx(zooGraph(name, { sparsity, seed: 1 })));
  }
  const random = createRandom(1, "pixels");
  const count = zoo[name].inputShape.reduce((a, b) => a * b, 1);
  writeFileSync(
    input,
    Float32Array.from({ length: count }, () => random.normal()),
  );
  return folder;
}
