/** What needs Node: files, image decoding, engine flags. */
export { CadnnError, type ErrorCode } from "../errors.ts";
export { type Image8, type ImageGeometry, imageGeometry, type Preprocessing, parsePreprocessing, preprocess, preprocessings, resizeBilinear } from "../image/index.ts";
export { type LabelledFile, parseCsv, readLabels } from "./csv.ts";
export { enableRelaxedSimd, enableRevectorize } from "./engine.ts";
export { externalDataBeside } from "./external-data.ts";
export { readFile, readText, writeFileAtomic } from "./files.ts";
export { decodeImage, readImage } from "./image.ts";
export { readNpy, writeNpy } from "./npy.ts";
export { createSession, type NodeSessionOptions } from "./session.ts";
