import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync } from "node:zlib";
import { type BuildOptions, build } from "esbuild";
import { afterAll, describe, expect, test } from "vitest";
import { tinyNet } from "./helpers/tiny-net.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "cadnn-bundle-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function bundle(name: string, source: string, options: BuildOptions = {}): Promise<string> {
  const outfile = join(folder, name);
  await build({
    stdin: { contents: source, resolveDir: root, loader: "ts" },
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    minify: true,
    outfile,
    logLevel: "silent",
    ...options,
  });
  return outfile;
}

const program = `
  import { createSession } from "./src/runtime/index.ts";
  import { readFileSync } from "node:fs";
  const session = await createSession(readFileSync(process.argv[2]), { threads: 2 });
  const feeds = { x: new Float32Array(61).fill(1), k: BigInt64Array.of(1n, 2n) };
  const { y } = await session.run(feeds);
  await session.warmup();
  await new Promise((resolve) => setTimeout(resolve, 20));
  const before = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 400));
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ threads: session.threads, y0: y.data[0], idleCpuMs: (user + system) / 1000 }));
`;

describe("the runtime as users bundle it", () => {
  test("is small: at most 10 kB in brotli, with no import left", async () => {
    const code = readFileSync(await bundle("runtime.mjs", `export * from "./src/runtime/index.ts";`));
    const bytes = brotliCompressSync(code).byteLength;
    console.log(`cadnn/runtime: ${code.byteLength} bytes minified, ${bytes} in brotli`);
    expect(bytes).toBeLessThanOrEqual(10_000);
    expect(code.toString()).not.toMatch(/\bimport\s*[("'{*]|\brequire\(/);
  });

  test("does nothing when imported, so that unused parts fall away", async () => {
    const code = readFileSync(await bundle("unused.mjs", `import { createSession, detectFeatures } from "./src/runtime/index.ts"; console.log(1);`, { treeShaking: true }), "utf8");
    expect(code.trim()).toBe("console.log(1);");
    const errors = readFileSync(await bundle("errors.mjs", `export { CadnnError } from "./src/runtime/index.ts";`), "utf8");
    expect(errors.length).toBeLessThan(600);
  });

  const flavours: [string, BuildOptions][] = [
    ["minified", {}],
    ["for es2017", { target: "es2017", supported: { "top-level-await": true, bigint: true } }],
    ["with kept names", { minify: false, keepNames: true }],
  ];
  test.each(flavours)("%s: threads start, sleep when idle, and let the process end without dispose", async (name, options) => {
    const script = await bundle(`${name.replaceAll(" ", "-")}.mjs`, program, { platform: "node", ...options });
    const file = join(folder, "tiny.cadnn");
    writeFileSync(file, tinyNet());
    const start = performance.now();
    const result = spawnSync(process.execPath, [script, file], { encoding: "utf8", timeout: 20_000 });
    expect(result.stderr).toBe("");
    expect(result.status).toBe(0);
    const report = JSON.parse(result.stdout) as { threads: number; y0: number; idleCpuMs: number };
    expect(report).toMatchObject({ threads: 2, y0: 8.5 });
    expect(report.idleCpuMs).toBeLessThan(40);
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});
