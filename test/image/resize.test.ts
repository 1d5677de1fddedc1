import { describe, expect, test } from "vitest";
import { crop, fromRgba, image8, resizeBilinear, toLuma, toRgb } from "../../src/image/index.ts";

function pattern(width: number, height: number) {
  const data = new Uint8Array(width * height * 3);
  let i = 0;
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) data[i++] = (x * x * 7 + y * 31 + x * y * 13 + c * 97) % 256;
  return image8(width, height, 3, data);
}

/** What Pillow 12.3 gives: `Image.fromarray(pattern).resize(size, Image.BILINEAR)`. */
const pillow: readonly (readonly [from: readonly [number, number], to: readonly [number, number], pixels: readonly number[]])[] = [
  [
    [7, 5],
    [3, 2],
    [51, 146, 153, 108, 148, 101, 131, 115, 126, 118, 158, 82, 107, 122, 127, 128, 110, 118],
  ],
  [
    [299, 299],
    [4, 3],
    [
      128, 128, 126, 130, 126, 127, 129, 127, 127, 128, 128, 126, 128, 128, 126, 129, 127, 127, 129, 127, 127, 129, 127, 127, 128, 128, 126, 128, 126, 128, 128, 127, 127, 128, 128,
      127,
    ],
  ],
  [
    [1, 1],
    [3, 2],
    [0, 97, 194, 0, 97, 194, 0, 97, 194, 0, 97, 194, 0, 97, 194, 0, 97, 194],
  ],
  [
    [6, 6],
    [1, 1],
    [104, 142, 123],
  ],
  [
    [5, 4],
    [9, 7],
    [
      0, 97, 194, 2, 99, 196, 6, 103, 200, 16, 113, 210, 28, 125, 222, 47, 144, 99, 68, 165, 6, 96, 193, 34, 112, 209, 50, 11, 108, 205, 15, 112, 209, 21, 118, 215, 34, 131, 187,
      48, 145, 151, 70, 167, 81, 94, 180, 32, 124, 160, 62, 142, 147, 80, 29, 126, 223, 35, 132, 229, 46, 143, 240, 62, 159, 151, 81, 178, 37, 107, 204, 53, 135, 205, 73, 168, 108,
      106, 189, 48, 127, 47, 144, 113, 56, 153, 122, 70, 167, 136, 91, 188, 100, 114, 211, 52, 144, 170, 82, 162, 130, 114, 128, 98, 152, 109, 78, 175, 64, 161, 2, 75, 172, 13, 94,
      191, 32, 120, 208, 58, 146, 225, 84, 170, 127, 119, 172, 57, 152, 82, 100, 184, 28, 125, 204, 82, 179, 20, 95, 192, 33, 119, 216, 57, 148, 172, 86, 179, 111, 117, 126, 99,
      155, 83, 98, 177, 78, 145, 132, 75, 172, 105, 93, 190, 31, 108, 205, 46, 134, 231, 72, 166, 149, 104, 199, 40, 137, 98, 81, 178, 27, 124, 192, 76, 173, 99, 105, 202, 43,
    ],
  ],
];

describe("resizeBilinear", () => {
  test.each(pillow)("%o to %o agrees with Pillow byte for byte", ([w, h], [w2, h2], pixels) => {
    expect([...resizeBilinear(pattern(w, h), w2, h2).data]).toEqual(pixels);
  });

  test("keeps an image of the wanted size and constant images as they are", () => {
    const image = pattern(9, 4);
    expect(resizeBilinear(image, 9, 4).data).toEqual(image.data);
    const white = image8(5, 5, 1, new Uint8Array(25).fill(255));
    expect(new Set(resizeBilinear(white, 13, 3).data)).toEqual(new Set([255]));
  });

  test.each([0, -1, 1.5, Number.NaN])("rejects a width of %d", (width) => {
    expect(() => resizeBilinear(pattern(2, 2), width, 2)).toThrow(expect.objectContaining({ code: "E_INVALID_IMAGE" }));
  });
});

describe("image8", () => {
  test("rejects bytes that do not make the image", () => {
    expect(() => image8(2, 2, 3, new Uint8Array(11))).toThrow(expect.objectContaining({ code: "E_INVALID_IMAGE" }));
  });

  test("luma agrees with Pillow's convert('L')", () => {
    const expected = [
      79, 86, 107, 113, 162, 75, 152, 110, 130, 135, 183, 95, 94, 155, 112, 145, 192, 103, 101, 161, 114, 143, 189, 99, 96, 155, 107, 117, 174, 83, 79, 137, 88, 126, 76,
    ];
    expect([...toLuma(pattern(7, 5)).data]).toEqual(expected);
  });

  test("channels, alpha and crops", () => {
    expect([...toRgb(image8(2, 1, 1, Uint8Array.of(1, 2))).data]).toEqual([1, 1, 1, 2, 2, 2]);
    expect([...fromRgba(2, 1, Uint8Array.of(1, 2, 3, 255, 4, 5, 6, 0)).data]).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...crop(image8(3, 2, 1, Uint8Array.of(1, 2, 3, 4, 5, 6)), 1, 0, 2, 2).data]).toEqual([2, 3, 5, 6]);
  });
});
