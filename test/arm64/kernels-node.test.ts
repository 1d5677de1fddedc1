import { testKernelsIn } from "./kernels.ts";

await testKernelsIn("node");
