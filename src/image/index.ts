export { crop, fromRgba, type Image8, image8, toLuma, toRgb, toRgba } from "./image.ts";
export { channelStatistics, type ImageGeometry, imageGeometry, netPixels, type Preprocessing, parsePreprocessing, preprocess, preprocessings } from "./preprocess.ts";
export { resizeBilinear } from "./resize.ts";
