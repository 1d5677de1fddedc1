import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { kernelTable } from "../../src/kernels/table.ts";

describe("the table of kernels", () => {
  test("names are unique, `<dtype>-<kernel>`", () => {
    const names = kernelTable.map((k) => k.name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z]\d+(-[a-z]+)+$/);
  });

  test.each(kernelTable.map((k) => k.name))("%s is checked over all its choices against a reference", (name) => {
    const file = new URL(`./${name}.test.ts`, import.meta.url);
    expect(existsSync(file), `test/kernels/${name}.test.ts`).toBe(true);
    const template = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    expect(readFileSync(file, "utf8")).toMatch(new RegExp(`checkKernel\\(\\{\\s*template: ${template},`));
  });
});
