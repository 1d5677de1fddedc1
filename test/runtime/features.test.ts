import { arch, versions } from "node:process";
import { describe, expect, test } from "vitest";
import { detectFeatures, targetsFor } from "../../src/runtime/features.ts";

describe("features", () => {
  test("of the engine that runs this test", () => {
    const features = detectFeatures();
    expect(features).toMatchObject({ arch: arch === "x64" ? "x64" : "arm64", simd: true, threads: true, mayBlock: true });
    expect(features.hardwareConcurrency).toBeGreaterThanOrEqual(1);
  });

  test("order of targets: own architecture first, relaxed before plain, the variant for this engine before the other", () => {
    const [late, early] = ["wasm-x64-relaxed", "wasm-x64-relaxed-loadsfirst"];
    const rest = ["wasm-x64-plain", "wasm-x64-relaxed-pairs"];
    const arm64 = ["wasm-arm64-relaxed", "wasm-arm64-plain"];
    expect(targetsFor({ arch: "x64", simd: true, relaxedSimd: true, loadsFirst: false })).toEqual([late, early, ...rest, ...arm64]);
    expect(targetsFor({ arch: "arm64", simd: true, relaxedSimd: true, loadsFirst: true })).toEqual([...arm64, early, late, ...rest]);
    expect(targetsFor({ arch: "x64", simd: true, relaxedSimd: false, loadsFirst: true })).toEqual(["wasm-x64-plain", "wasm-arm64-plain"]);
    expect(targetsFor({ arch: "x64", simd: false, relaxedSimd: false, loadsFirst: false })).toEqual([]);
  });

  test("V8 up to version 12 places loads first", () => {
    expect(detectFeatures().loadsFirst).toBe(Number(versions.v8.split(".")[0]) < 13);
  });

  test("an engine without shared memory, or a page that is not isolated, has no threads", () => {
    const scope = globalThis as { crossOriginIsolated?: boolean };
    scope.crossOriginIsolated = false;
    expect(detectFeatures().threads).toBe(false);
    delete scope.crossOriginIsolated;
    expect(detectFeatures().threads).toBe(true);
  });
});
