import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const built = existsSync(join(root, "dist/index.js"));
if (!built) console.log("skipped: dist/ is missing; `npm run build` makes it");

interface PackageFile {
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as PackageFile;
const subpaths = Object.keys(manifest.exports);

/** What a caller relies on finding under each subpath. */
const expected: Readonly<Record<string, readonly string[]>> = {
  ".": ["CadnnError", "compile", "compress", "compressPostTraining", "exportOnnx", "importOnnx", "optimize"],
  "./runtime": ["CadnnError", "createSession", "detectFeatures"],
  "./node": ["CadnnError", "createSession", "enableRelaxedSimd", "readFile", "readImage"],
  "./onnx": ["exportOnnx", "importOnnx"],
  "./tune": ["createWasmMeasurer", "formatLog", "measuredCosts", "mergeLogs", "parseTuningLog", "tune"],
  "./train": ["differentiate", "makeTrainingGraph", "train"],
};

describe.skipIf(!built)("the package", () => {
  const folder = mkdtempSync(join(tmpdir(), "cadnn-package-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  test("has an entry for each promised subpath", () => {
    expect(subpaths.toSorted()).toEqual(Object.keys(expected).toSorted());
  });

  test.each(subpaths)("%s is imported by its name, without output, with its types beside it", (subpath) => {
    const specifier = `cadnn${subpath.slice(1)}`;
    const program = `const names = Object.keys(await import(${JSON.stringify(specifier)})); process.stdout.write(JSON.stringify(names));`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], { cwd: root, encoding: "utf8" });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual(expect.arrayContaining([...(expected[subpath] ?? [])]));
    expect(existsSync(join(root, manifest.exports[subpath]?.types ?? "none"))).toBe(true);
  });

  test("./runtime and all it reaches import neither Node's modules nor packages", () => {
    const seen = new Set<string>();
    const visit = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      for (const [, specifier = ""] of readFileSync(file, "utf8").matchAll(/(?:from|import)\s*\(?\s*["']([^"']+)["']/g)) {
        expect(specifier, file).toMatch(/^\.\.?\//);
        visit(join(file, "..", specifier));
      }
    };
    visit(join(root, "dist/runtime/index.js"));
    expect(seen.size).toBeGreaterThan(5);
  });

  test("type-checks where it is used", () => {
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules/cadnn"));
    writeFileSync(join(folder, "package.json"), `{ "type": "module" }`);
    writeFileSync(
      join(folder, "use.ts"),
      `import { type CadnnError, compile } from "cadnn";
       import { createSession } from "cadnn/runtime";
       import { readImage } from "cadnn/node";
       import { exportOnnx } from "cadnn/onnx";
       import { train } from "cadnn/train";
       import { parseTuningLog } from "cadnn/tune";
       const artifact: Uint8Array = await compile(new Uint8Array(), { targets: ["wasm"], inputShapes: { input: [1, 3, 224, 224] }, tuning: parseTuningLog("") });
       const session = await createSession(artifact, { backend: "auto", threads: 2 });
       const { logits } = await session.run({ input: { shape: [1, 3, 224, 224], data: new Float32Array() } });
       const shape: readonly number[] | undefined = logits?.shape;
       // @ts-expect-error there is no such target
       await compile(new Uint8Array(), { targets: ["wasm-vax"] });
       export { exportOnnx, readImage, shape, train, type CadnnError };`,
    );
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const options = ["--noEmit", "--strict", "--skipLibCheck", "false", "--target", "es2023", "--lib", "es2023,dom", "--types", "", "--module", "nodenext", "use.ts"];
    const { status, stdout } = spawnSync(process.execPath, [tsc, ...options], { cwd: folder, encoding: "utf8" });
    expect(stdout).toBe("");
    expect(status).toBe(0);
  });

  test("is published with what it needs to run, and without tests", () => {
    const output = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    const files = (JSON.parse(output) as readonly { readonly files: readonly { readonly path: string }[] }[])[0]?.files.map((f) => f.path) ?? [];
    const entries = [...Object.values(manifest.exports).flatMap((e) => [e.types, e.default]), ...Object.values(manifest.bin)].map((path) => path.replace("./", ""));
    expect(files).toEqual(expect.arrayContaining([...entries, "package.json", "README.md", "LICENSE", "CHANGELOG.md"]));
    const others = ["package.json", "README.md", "LICENSE", "CHANGELOG.md", "dist/node/arm64/counter.c"];
    expect(files.filter((path) => !/^dist\/[\w/-]+(\.d)?\.(js|ts)$/.test(path) && !others.includes(path))).toEqual([]);
    expect(files.filter((path) => /test|bench|vitest/.test(path.replace(/^dist\/cli\/commands\/bench\./, "")))).toEqual([]);
  });

  test("depends on each package that it imports, and on no other", async () => {
    const entryPoints = [...Object.values(manifest.exports).map((e) => e.default), ...Object.values(manifest.bin)];
    const { metafile } = await build({
      ...{ absWorkingDir: root, entryPoints, outdir: folder, write: false, metafile: true },
      ...{ bundle: true, format: "esm", platform: "node", packages: "external" },
    });
    const imported = Object.values(metafile.inputs).flatMap((input) => input.imports.filter((i) => i.external && !i.path.startsWith("node:")).map((i) => i.path));
    const packages = new Set(imported.map((name) => name.split("/", name.startsWith("@") ? 2 : 1).join("/")));
    expect([...packages].toSorted()).toEqual(Object.keys(manifest.dependencies).toSorted());
  });
});
