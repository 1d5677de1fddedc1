import { describe, expect, inject, test } from "vitest";
import { commands } from "vitest/browser";
import { createSession, detectFeatures } from "../../src/runtime/index.ts";
import { k, sessionSuite, sourceSuite, x } from "../runtime/helpers/session-suite.ts";
import { expected, spinningNet, tinyNet } from "../runtime/helpers/tiny-net.ts";

const isolated = crossOriginIsolated;

sessionSuite(`page, ${isolated ? "isolated" : "not isolated"}`, isolated);
sourceSuite("page");

describe("features of a page", () => {
  test("its main thread may not block, and threads need isolation", () => {
    expect(isolated).toBe(inject("isolated"));
    expect(detectFeatures()).toMatchObject({ simd: true, relaxedSimd: true, threads: isolated, mayBlock: false });
  });

  test("default threads: the processors up to 4, or 1 with a note", async () => {
    const session = await createSession(tinyNet({ targets: ["wasm-x64-relaxed", "wasm-arm64-relaxed"] }));
    expect(session.threads).toBe(isolated ? Math.min(4, navigator.hardwareConcurrency) : 1);
    expect(session.notes).toEqual(isolated ? [] : navigator.hardwareConcurrency > 1 ? [expect.stringContaining("Cross-Origin-Opener-Policy")] : []);
    await session.dispose();
  });

  test("the page stays responsive while the net runs", async () => {
    const session = await createSession(spinningNet(), { threads: 1 });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    const start = performance.now();
    const { y } = await session.run({ x, k });
    const ms = performance.now() - start;
    clearInterval(timer);
    expect(y?.data).toEqual(expected(x, 0));
    expect(ms).toBeGreaterThan(100);
    expect(ticks).toBeGreaterThan(ms / 50);
    await session.dispose();
  });

  test("many sessions, one after the other, give their memory back", async () => {
    for (let i = 0; i < 20; i++) {
      const session = await createSession(tinyNet({ pages: 2000 }), { threads: isolated ? 2 : 1 });
      expect((await session.run({ x, k })).y?.data).toEqual(expected(x, 0));
      await session.dispose();
    }
  });
});

const code = await commands.bundleRuntime();
const bundle = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
const bundled: { createSession: typeof createSession } = await import(/* @vite-ignore */ bundle);

sessionSuite(`page, minified bundle, ${isolated ? "isolated" : "not isolated"}`, isolated, bundled.createSession);

test("a page whose policy lets no worker start is told so", async () => {
  const frame = document.createElement("iframe");
  const answer = new Promise((resolve) => window.addEventListener("message", (event) => event.source === frame.contentWindow && resolve(event.data)));
  frame.srcdoc = `<meta http-equiv="Content-Security-Policy" content="worker-src 'none'"><script type="module">
    import { createSession } from "${bundle}";
    createSession(new Uint8Array([${tinyNet()}]), { threads: 1 }).then(
      () => parent.postMessage("no error", "*"),
      ({ code, hint }) => parent.postMessage({ code, hint }, "*"));
  </script>`;
  document.body.append(frame);
  expect(await answer).toEqual({ code: "E_WORKER", hint: expect.stringContaining("worker-src blob:") });
  frame.remove();
});
