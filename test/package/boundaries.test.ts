import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** From top to bottom: a folder imports only what comes after it. */
const folders = "cli compress train zoo compile frontend tune passes generate lower kernels codegen node runtime image artifact ops ir".split(" ");
/** Those that import less. */
const narrow: Readonly<Record<string, readonly string[]>> = { runtime: ["artifact"], artifact: [] };

const folder = mkdtempSync(join(tmpdir(), "cadnn-boundaries-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Lints files of one import each; gives the numbers of those that are reported. */
function reported(imports: readonly (readonly [file: string, specifier: string])[]): number[] {
  rmSync(join(folder, "src"), { recursive: true, force: true });
  writeFileSync(join(folder, "biome.jsonc"), readFileSync(join(root, "biome.jsonc")));
  imports.forEach(([file, specifier], i) => {
    const path = join(folder, "src", dirname(file), `probe${i}.ts`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `import { x } from "${specifier}";\nexport const y = x;\n`);
  });
  const biome = join(root, "node_modules/@biomejs/biome/bin/biome");
  const options = ["lint", "--vcs-enabled=false", "--only=style/noRestrictedImports", "--max-diagnostics=none", "--reporter=github", "src"];
  const { stdout } = spawnSync(process.execPath, [biome, ...options], { cwd: folder, encoding: "utf8" });
  return [...stdout.matchAll(/noRestrictedImports,file=.*?probe(\d+)\.ts/g)].map((m) => Number(m[1])).toSorted((a, b) => a - b);
}

describe("import boundaries", () => {
  test("every folder of src has its place in the list", () => {
    const present = readdirSync(join(root, "src"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
    expect(present.filter((name) => !folders.includes(name))).toEqual([]);
  });

  test("the linter reports exactly the imports that go upwards", () => {
    const pairs = folders.flatMap((from, i) =>
      folders.map((to, j) => ({ from, to, allowed: j > i && (narrow[from]?.includes(to) ?? true) })).filter((pair) => pair.from !== pair.to),
    );
    const imports = pairs.flatMap(({ from, to }) => [[`${from}/x.ts`, `../${to}/index.ts`] as const, [`${from}/deep/x.ts`, `../../${to}/x/y.ts`] as const]);
    const found = new Set(reported(imports));
    // Files of runtime and artifact lie flat; deeper ones would have to be named in the configuration.
    const wrong = imports.filter((_, k) => {
      const { from, allowed } = pairs[k >> 1] as (typeof pairs)[number];
      return !(allowed && k % 2 === 1 && from in narrow) && found.has(k) === allowed;
    });
    expect(wrong).toEqual([]);
  });

  test("packages and Node's modules are imported where they belong", () => {
    const imports = folders.flatMap((from) => [[`${from}/x.ts`, "citty"] as const, [`${from}/x.ts`, "node:fs"] as const, [`${from}/x.ts`, "node:fs/promises"] as const]);
    const found = new Set(reported(imports));
    const allowed = imports.filter((_, k) => !found.has(k)).map(([file, specifier]) => `${dirname(file)} ${specifier}`);
    expect(allowed).toEqual(["cli citty", "cli node:fs", "cli node:fs/promises", "frontend citty", "node citty", "node node:fs", "node node:fs/promises"]);
  });

  test("all may import errors.ts, and their own files", () => {
    expect(reported(folders.flatMap((from) => [[`${from}/x.ts`, "../errors.ts"] as const, [`${from}/x.ts`, "./y.ts"] as const]))).toEqual([]);
  });
});
