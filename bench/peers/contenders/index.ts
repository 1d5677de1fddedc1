import type { ModelForm } from "../models.ts";

export type Layout = "nchw" | "nhwc";
export type HostName = "chromium" | "node" | "python";

/** What there is to know about a contender without loading it. */
export interface ContenderRow {
  readonly host: HostName;
  /** Its file in this folder. */
  readonly module: string;
  /** What its host imports. */
  readonly library: string;
  /** What it reads. */
  readonly form: ModelForm;
  readonly layout: Layout;
  /** It has but one set of weights, or they change nothing about its speed: measured once, with the dense ones. */
  readonly denseOnly?: boolean;
  /** Only pruned weights make sense. */
  readonly sparseOnly?: boolean;
  /** Its pads are TensorFlow's, so that its results are compared with others. */
  readonly tfPadding?: boolean;
  /** Its results are approximate: reported, but no reason to fail. */
  readonly lossy?: boolean;
  /** Whose times its own are compared with; cadnn's in Chromium where nothing else is said. */
  readonly against?: string;
  /** Files of the library that its code fetches. */
  readonly files?: (threads: number) => readonly string[];
  /** Flags of its engine. */
  readonly flags?: readonly string[];
}

const ort = { module: "onnxruntime-web", form: "onnx", layout: "nchw" } as const;
const ortFolder = "/modules/onnxruntime-web/dist";
const litertFiles = (threads: number) => ["js", "wasm"].map((type) => `/modules/@litertjs/core/wasm/litert_wasm_${threads > 1 ? "threaded_" : ""}internal.${type}`);
const litert = { host: "chromium", module: "litert", library: "/bundles/litert.js", layout: "nhwc", files: litertFiles } as const;
const cadnn = { module: "cadnn", form: "cadnn", layout: "nchw" } as const;
const dist = new URL("../../../dist/runtime/index.js", import.meta.url).href;

/** A row for each contender; its module is loaded in its own process only. */
export const contenders: Readonly<Record<string, ContenderRow>> = {
  cadnn: { ...cadnn, host: "chromium", library: "/bundles/cadnn.js" },
  "onnxruntime-web": { ...ort, host: "chromium", library: `${ortFolder}/ort.wasm.bundle.min.mjs`, files: () => [`${ortFolder}/ort-wasm-simd-threaded.wasm`] },
  litert: { ...litert, form: "tflite" },
  "litert-sparse": { ...litert, form: "tflite-sparse", sparseOnly: true },
  "litert-int8": { ...litert, form: "tflite-int8", denseOnly: true, lossy: true },
  tfjs: { host: "chromium", module: "tfjs", library: "/bundles/tfjs.js", form: "tfjs", layout: "nhwc", denseOnly: true, tfPadding: true },
  "onnxruntime-node": { host: "node", module: "onnxruntime-node", library: "onnxruntime-node", form: "onnx", layout: "nchw", denseOnly: true },
  tflite: { host: "python", module: "tflite", library: "", form: "tflite", layout: "nhwc" },
  "cadnn-node": { ...cadnn, host: "node", library: dist },
  "cadnn-node-relaxed": { ...cadnn, host: "node", library: dist, flags: ["--experimental-wasm-relaxed-simd"] },
  "onnxruntime-web-node": { ...ort, host: "node", library: "onnxruntime-web", against: "cadnn-node" },
};

/** What is measured where nothing else is asked for. */
export const usualContenders = "cadnn,onnxruntime-web,litert,litert-sparse,litert-int8,tfjs,onnxruntime-node,tflite";
