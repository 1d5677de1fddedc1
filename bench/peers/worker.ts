import { browserMakers } from "./makers.ts";
import type { Request } from "./protocol.ts";
import { makeServer } from "./serve.ts";

/** Finds every WebAssembly memory that is made in this worker; threads share them. */
function watchMemories(): () => number {
  const memories = new Set<WebAssembly.Memory>();
  const found = (instance: WebAssembly.Instance): void => {
    for (const value of Object.values(instance.exports)) if (value instanceof WebAssembly.Memory) memories.add(value);
  };
  const constructed = <T extends object>(type: new (...args: never[]) => T, note: (made: T) => void) =>
    new Proxy(type, {
      construct(target, args) {
        const made = Reflect.construct(target, args) as T;
        note(made);
        return made;
      },
    });
  const started =
    <A extends unknown[]>(start: (...args: A) => Promise<unknown>) =>
    async (...args: A): Promise<unknown> => {
      const result = (await start(...args)) as WebAssembly.Instance | WebAssembly.WebAssemblyInstantiatedSource;
      found("instance" in result ? result.instance : result);
      return result;
    };
  const { instantiate, instantiateStreaming } = WebAssembly;
  Object.assign(WebAssembly, {
    Memory: constructed(WebAssembly.Memory, (memory) => void memories.add(memory)),
    Instance: constructed(WebAssembly.Instance, found),
    instantiate: started(instantiate as (...args: unknown[]) => Promise<unknown>),
    instantiateStreaming: started(instantiateStreaming as (...args: unknown[]) => Promise<unknown>),
  });
  return () => [...memories].reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
}

const answer = makeServer({
  makers: browserMakers,
  memoryBytes: watchMemories(),
  async read(url) {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  },
});

self.onmessage = ({ data }: MessageEvent<Request>) => void answer(data).then((reply) => self.postMessage(reply));
