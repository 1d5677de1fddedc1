/** What `vitest.browser.config.ts` gives to tests in pages. */
declare module "vitest" {
  interface ProvidedContext {
    /** Whether the server sends the headers of cross-origin isolation. */
    isolated: boolean;
  }
}

declare module "vitest/browser" {
  interface BrowserCommands {
    /** `cadnn/runtime` as a production build has it: one minified module. */
    bundleRuntime(): Promise<string>;
    dataFolder(): Promise<string | null>;
  }
}

export type {};
