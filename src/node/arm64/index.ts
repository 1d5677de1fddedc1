/** ARM64 without a device: runs code in emulation, counts its instructions, estimates the cycles of phones' processors. */
export { classOf, countClasses, type InstructionClass, instructionClasses } from "./classes.ts";
export { type CountJob, countCalls } from "./count-calls.ts";
export { commonCores, createCycleCounter } from "./cycle-counter.ts";
export { countedWasmFlags, type EmulateOptions, type Emulation, emulate, type Interval, parseIntervals } from "./emulate.ts";
export { type Core, coreModels, coreNames, type Estimate, estimate, type PerCore, type WeighedTrace } from "./estimate.ts";
export { markInterval } from "./mark.ts";
export { cacheFolder, type Emulator, findEmulator, findToolchain, type Toolchain } from "./toolchain.ts";
export { type Block, piecesOf, type Trace, tracesOf } from "./traces.ts";
