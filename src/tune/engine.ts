import { detectFeatures, nodeModule } from "../runtime/features.ts";

/**
 * Names the engine and the processor that run this code, as far as generated code sees them. In Node `v8-11.3/x64/1a2b3c4d`, the last part being a hash of
 * the processor's model; in pages `chrome-156/x64/8-threads`.
 */
export function engineFingerprint(): string {
  const { arch, hardwareConcurrency } = detectFeatures();
  const v8 = (globalThis as { process?: { versions?: { v8?: string } } }).process?.versions?.v8;
  if (v8 !== undefined) {
    const model = nodeModule<{ cpus(): readonly { readonly model: string }[] }>("os")?.cpus()[0]?.model ?? "";
    return `v8-${v8.split(".").slice(0, 2).join(".")}/${arch}/${hash(model)}`;
  }
  const agent = typeof navigator === "undefined" ? "" : navigator.userAgent;
  return `${browserOf(agent)}/${arch}/${hardwareConcurrency}-threads`;
}

/** Name and major version of a browser's engine, by its user agent string. */
export function browserOf(agent: string): string {
  for (const [name, pattern] of browsers) {
    const version = pattern.exec(agent)?.[1];
    if (version !== undefined) return `${name}-${version}`;
  }
  return "unknown";
}

/** Chrome names Safari's engine too, so it comes first. */
const browsers: readonly (readonly [string, RegExp])[] = [
  ["chrome", /Chrom(?:e|ium)\/(\d+)/],
  ["firefox", /Firefox\/(\d+)/],
  ["webkit", /Version\/(\d+(?:\.\d+)?).* Safari\//],
  ["webkit", /AppleWebKit\/(\d+)/],
];

/** FNV-1a, 8 hexadecimal digits. */
function hash(text: string): string {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return (h >>> 0).toString(16).padStart(8, "0");
}
