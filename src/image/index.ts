export { crop, fromRgba, type Image8, image8, toLuma, toRgb } from "./image.ts";
export { type ImageGeometry, imageGeometry, type Preprocessing, parsePreprocessing, preprocess, preprocessings } from "./preprocess.ts";
export { resizeBilinear } from "./resize.ts";
