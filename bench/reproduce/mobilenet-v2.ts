import { formatTable } from "../../src/cli/table.ts";
import { subjects } from "../compression/cases.ts";
import { measureCase, prepareSubject, type Result } from "../compression/measure.ts";
import type { Recipe, RecipeResult } from "./recipe.ts";

/** What papers report for MobileNet-V2 on all of ImageNet, without training: points of top-1 lost. */
const published: Readonly<Record<string, string>> = { "4 bits": "1.9 (AdaRound, arXiv 2004.10568)" };
const keys: Readonly<Record<string, string>> = { "4 bits": "quantized4", "3 bits": "quantized3", "50 % zeros in 1×1": "pruned50" };

/** Not from nothing, as training it takes days: a trained net, and photographs without labels. */
export const mobilenetV2: Recipe = {
  description: "a trained MobileNet-V2, quantized and pruned without labels and training",
  data: "../shared/data",
  async run({ seed, data, baselines, makeStepper, progress, signal, workplace }) {
    const subject = subjects.find((s) => s.name === "mobilenet-v2") as (typeof subjects)[number];
    const results: Result[] = [];
    let name = "";
    const options = {
      ...{ makeStepper, data, seed, signal, limit: Number.POSITIVE_INFINITY },
      baselines: baselines ? (["simple", "fitted"] as const) : (["simple"] as const),
      store: workplace.store,
      observer: ({ layer, done, total }: { readonly layer: string; readonly done: number; readonly total: number }) =>
        progress.update(results.length + done / total, subject.cases.length, `${name}: ${layer}`),
    };
    const prepared = await prepareSubject(subject, options);
    for (const one of subject.cases) {
      name = one.name;
      results.push(await workplace.once(name, () => measureCase(prepared, one, options)));
    }
    return { text: textOf(results), json: jsonOf(results) };
  },
};

function textOf(results: readonly Result[]): string {
  const titles = ["", "top-1", "±", "lost", "published loss", "simplest way", "same answers", "rate"];
  const [first] = results as [Result];
  const rows = results.map((r) => [
    ...[r.case, r.accuracy.toFixed(2), r.standardError.toFixed(1), (r.dense - r.accuracy).toFixed(2), published[r.case]],
    ...[r.simple?.toFixed(2), `${r.same.toFixed(1)} %`, `${r.rate.toFixed(2)}×`],
  ]);
  const table = formatTable(
    titles.map((title, i) => ({ title, align: i === 0 || i === 4 ? "left" : "right" })),
    [["dense", first.dense.toFixed(2)], ...rows],
  );
  return `${table}\n\nFitted to ${first.images} photographs, measured on ${first.tested} others.`;
}

function jsonOf(results: readonly Result[]): RecipeResult["json"] {
  const [first] = results as [Result];
  const { dense, images, tested } = first;
  return {
    ...{ images, tested, dense: { accuracy: dense } },
    ...Object.fromEntries(
      results.map(({ case: name, accuracy, standardError, same, simple, fitted, rate }) => [keys[name], { accuracy, standardError, same, simple, fitted, rate }]),
    ),
  };
}
