import { existsSync } from "node:fs";
import { join } from "node:path";
import { CadnnError } from "../../src/errors.ts";
import { readFile } from "../../src/node/files.ts";
import { type Dataset, digitNormalization, idxDataset, split } from "../../src/train/index.ts";

export interface Digits {
  readonly train: Dataset;
  /** Held out from the training images. */
  readonly validation: Dataset;
  readonly test: Dataset;
}

/** MNIST's four idx files, gzipped or not. @throws `E_FILE_NOT_FOUND` */
export async function readDigits(folder: string, heldOut: number, seed: number): Promise<Digits> {
  const read = async (part: string) => {
    const names = [`${part}-images-idx3-ubyte`, `${part}-labels-idx1-ubyte`].map((name) => {
      const path = [name, `${name}.gz`].map((file) => join(folder, file)).find((file) => existsSync(file));
      if (path === undefined)
        throw new CadnnError("E_FILE_NOT_FOUND", `${name} and ${name}.gz are missing`, { at: folder, hint: "MNIST's four idx files are needed, gzipped or not: --data DIR." });
      return path;
    }) as [string, string];
    const [images, labels] = await Promise.all(names.map((name) => readFile(name)));
    return idxDataset(images as Uint8Array, labels as Uint8Array, { ...digitNormalization, classes: 10, names: { images: names[0], labels: names[1] } });
  };
  const { train, heldOut: validation } = split(await read("train"), heldOut, seed);
  return { train, validation, test: await read("t10k") };
}
