import fc from "fast-check";

// Properties see the same random cases in every run, so that a red run means a change; `SEED=$RANDOM` looks at others.
fc.configureGlobal({ seed: Number(process.env.SEED ?? 1) });
