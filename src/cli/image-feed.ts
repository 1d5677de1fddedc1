import type { TensorRecord } from "../artifact/manifest.ts";
import { type Image8, imageGeometry, type Preprocessing, parsePreprocessing, preprocess, preprocessings, resizeBilinear, toRgb, toRgba } from "../image/index.ts";
import { type Options, usage } from "./options.ts";

/** What --preprocess says, if it is there. */
export function readPreprocessing(options: Options): Preprocessing | undefined {
  const spec = options.text("preprocess");
  return spec === undefined ? undefined : parsePreprocessing(spec);
}

/** How an image becomes what the input takes: normalized floats, or its bytes where the net was compiled to take pixels. */
export function imageFeed(input: TensorRecord, preprocessing: Preprocessing | undefined): (image: Image8) => Float32Array | Uint8Array {
  if (input.dtype !== "uint8") {
    const geometry = imageGeometry(input.shape, input.name);
    return (image) => preprocess(image, geometry, preprocessing ?? preprocessings.none);
  }
  if (preprocessing !== undefined)
    throw usage(`input ${input.name} takes pixels, which the net preprocesses`, "--preprocess", "Leave it out; it was given when compiling, as --image.");
  const [height = 0, width = 0, channels] = input.shape.slice(1);
  if (input.shape.length !== 4 || (channels !== 3 && channels !== 4))
    throw usage(`input ${input.name} of shape [${input.shape.join(", ")}] takes no image`, "--image", "Give it as an array by --input name=file.npy.");
  return (image) => {
    const resized = resizeBilinear(toRgb(image), width, height);
    return channels === 4 ? toRgba(resized) : Uint8Array.from(resized.data);
  };
}
