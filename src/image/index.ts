export { crop, fromRgba, type Image8, image8, toLuma, toRgb } from "./image.ts";
export { channelStatistics, type ImageGeometry, imageGeometry, netPixels, type Preprocessing, parsePreprocessing, preprocess, preprocessings } from "./preprocess.ts";
export { resizeBilinear } from "./resize.ts";
