import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Report } from "./answer.ts";
import { type Browser, open } from "./browsers.ts";
import { type Server, startServer } from "./server.ts";

/** Pages that run one script, one a visit, in any browser. */
export interface Visits<Job, Outcome> {
  /** Makes a file that jobs can name. Returns its address. */
  provide(name: string, content: Uint8Array): string;
  /** Opens a page that does the job. Rejects with what went wrong in it, and if it takes too long. */
  perform(browser: Browser, job: Job, timeoutMs?: number): Promise<Outcome>;
  close(): void;
}

export async function startVisits<Job, Outcome>(script: URL): Promise<Visits<Job, Outcome>> {
  const server: Server = await startServer();
  const { outputFiles } = await build({ entryPoints: [fileURLToPath(script)], bundle: true, format: "esm", target: "es2022", minify: true, write: false });
  server.provide("/page.js", outputFiles[0]?.contents ?? "");
  server.provide("/page.html", '<!doctype html><meta charset="utf-8"><title>cadnn</title><script type="module" src="/page.js"></script>');
  return {
    provide(name, content) {
      server.provide(`/${name}`, content);
      return `/${name}`;
    },
    async perform(browser, job, timeoutMs = 120_000) {
      server.provide("/job.json", JSON.stringify(job));
      const reported = new Promise<Report<Outcome>>((resolve) => server.onPost("/report", (body) => resolve(body as Report<Outcome>)));
      const { exited, end } = open(browser, `${server.origin}/page.html`);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<Report<Outcome>>((resolve) => {
        timer = setTimeout(() => resolve({ error: `no answer in ${timeoutMs / 1000} s` }), timeoutMs);
      });
      try {
        const report = await Promise.race([reported, exited.then((error): Report<Outcome> => ({ error })), late]);
        if ("error" in report) throw new Error(`${browser.name}: ${report.error}`);
        return report.outcome;
      } finally {
        clearTimeout(timer);
        end();
      }
    },
    close: () => server.close(),
  };
}
