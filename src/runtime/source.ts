import { CadnnError } from "../errors.ts";

/** Where a `.cadnn` file comes from; `fetch(…)` may be passed as it is. Strings are addresses, relative ones relative to the page. */
export type ArtifactSource = Uint8Array | ArrayBuffer | Response | Promise<Response> | ReadableStream<Uint8Array> | URL | string;

export interface SourceBytes {
  readonly bytes: Uint8Array;
  /** Whether nobody else holds these bytes, so that they may be transferred. */
  readonly owned: boolean;
}

/** All bytes of the source. Throws E_FILE_NOT_FOUND if an address or a response gives none, E_INVALID_OPTION for anything else. */
export async function readSource(source: ArtifactSource): Promise<SourceBytes> {
  if (source instanceof Uint8Array) return { bytes: source, owned: false };
  if (source instanceof ArrayBuffer) return { bytes: new Uint8Array(source), owned: false };
  if (typeof source === "string" || source instanceof URL) return readResponse(await fetchFile(source), String(source));
  if (typeof Response !== "undefined" && source instanceof Response) return readResponse(source, source.url);
  if (typeof ReadableStream !== "undefined" && source instanceof ReadableStream) return readResponse(new Response(source), "stream");
  if (source instanceof Promise) return readSource(await source);
  throw new CadnnError("E_INVALID_OPTION", "the source of a session is none of Uint8Array, ArrayBuffer, Response, ReadableStream, URL, string", {
    at: "source",
    hint: "Pass the bytes of a .cadnn file, or its address.",
  });
}

async function fetchFile(address: string | URL): Promise<Response> {
  try {
    return await fetch(address);
  } catch (cause) {
    throw new CadnnError("E_FILE_NOT_FOUND", `${address} could not be fetched: ${String(cause)}`, {
      at: String(address),
      hint: "Check the address and, across origins, its CORS headers. Files on disk are read by cadnn/node.",
      cause,
    });
  }
}

async function readResponse(response: Response, at: string): Promise<SourceBytes> {
  if (!response.ok)
    throw new CadnnError("E_FILE_NOT_FOUND", `${at} answers ${response.status} ${response.statusText}`.trim(), { at, hint: "Check the address of the .cadnn file." });
  try {
    return { bytes: new Uint8Array(await response.arrayBuffer()), owned: true };
  } catch (cause) {
    throw new CadnnError("E_INVALID_FILE", `${at} broke off: ${String(cause)}`, { at, hint: "Load it again; a Response can be read only once.", cause });
  }
}
