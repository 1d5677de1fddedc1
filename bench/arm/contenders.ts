import type { TargetName } from "../../src/artifact/manifest.ts";
import type { Layout } from "../peers/contenders/index.ts";
import type { ModelForm, Variant } from "../peers/models.ts";

export type EngineName = "node" | "jsc";

/** What there is to know about a contender without running it. */
export interface ContenderRow {
  readonly engine: EngineName;
  readonly form: ModelForm;
  readonly layout: Layout;
  readonly variants: readonly Variant[];
  /** Of cadnn: the module that runs, and whether 3×3 convolutions may be computed by Winograd's algorithm (default: yes). */
  readonly target?: TargetName;
  readonly winograd?: boolean;
  /** Of the others: who makes it (a name of guest-peer.ts), and the package whose version counts. */
  readonly peer?: { readonly maker: string; readonly package: string };
  /** Others are not worth measuring: it has no sparse path for them. */
  readonly nets?: readonly string[];
  /** Its pads are TensorFlow's, so that its results are compared with others. */
  readonly tfPadding?: boolean;
}

const cadnn = { form: "cadnn", layout: "nchw", variants: ["dense", "sparse"] } as const;
const litert = { engine: "node", layout: "nhwc", peer: { maker: "litert", package: "@litertjs/core" } } as const;

/** cadnn first, so that its figures are there soon. */
export const contenders = {
  cadnn: { ...cadnn, engine: "node", target: "wasm-arm64-relaxed" },
  "cadnn-plain": { ...cadnn, engine: "node", target: "wasm-arm64-plain" },
  "cadnn-jsc": { ...cadnn, engine: "jsc", target: "wasm-arm64-plain" },
  "cadnn-jsc-direct": { ...cadnn, engine: "jsc", target: "wasm-arm64-plain", variants: ["dense"], winograd: false },
  "litert-sparse": { ...litert, form: "tflite-sparse", variants: ["sparse"], nets: ["mobilenet_v1", "mobilenet_v2"] },
  "litert-int8": { ...litert, form: "tflite-int8", variants: ["dense"] },
  litert: { ...litert, form: "tflite", variants: ["dense"] },
  tfjs: { engine: "node", layout: "nhwc", form: "tfjs", variants: ["dense"], tfPadding: true, peer: { maker: "tfjs", package: "@tensorflow/tfjs-backend-wasm" } },
  "onnxruntime-web": { engine: "node", layout: "nchw", form: "onnx", variants: ["dense"], peer: { maker: "onnxruntime-web", package: "onnxruntime-web" } },
} as const satisfies Readonly<Record<string, ContenderRow>>;

export type ContenderName = keyof typeof contenders;
export const contenderNames = Object.keys(contenders) as readonly ContenderName[];
export const rowOf = (name: ContenderName): ContenderRow => contenders[name];
