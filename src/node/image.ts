import { CadnnError } from "../errors.ts";
import { type Image8, image8 } from "../image/index.ts";
import { readFile } from "./files.ts";

/**
 * Decodes a JPEG, PNG, WebP, GIF, AVIF or TIFF to R, G, B of 8 bits: upright as its metadata says, alpha dropped, embedded colour profiles
 * ignored, as training pipelines do. Throws `E_INVALID_IMAGE` that names `name`.
 */
export async function decodeImage(bytes: Uint8Array, name = "image"): Promise<Image8> {
  const { default: sharp } = await import("sharp");
  try {
    const { data, info } = await sharp(bytes, { ignoreIcc: true }).autoOrient().removeAlpha().toColourspace("srgb").raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    return image8(info.width, info.height, info.channels === 1 ? 1 : 3, data);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CadnnError("E_INVALID_IMAGE", `this image cannot be decoded: ${why}`, { at: name, hint: "Give a JPEG or PNG file that other programs open.", cause });
  }
}

/** Reads and decodes an image file; throws `E_FILE_NOT_FOUND` or `E_INVALID_IMAGE` that name the file. */
export async function readImage(path: string): Promise<Image8> {
  return decodeImage(await readFile(path), path);
}
