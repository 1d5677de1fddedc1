import type { PlanOptions } from "../plan.ts";
import { alexnetPlan, inceptionV3Plan, mobilenetPlan, resnet18Plan, resnet50Plan, vgg16Plan } from "./imagenet.ts";
import { lenet5Plan } from "./lenet5.ts";

/** Plans for well-known nets, at published rates where there are some; whatever their weights are called. */
export const plans = {
  lenet5: lenet5Plan,
  alexnet: alexnetPlan,
  vgg16: vgg16Plan,
  resnet18: resnet18Plan,
  resnet50: resnet50Plan,
  "mobilenet-v1": mobilenetPlan,
  "mobilenet-v2": mobilenetPlan,
  "inception-v3": inceptionV3Plan,
} as const satisfies Readonly<Record<string, PlanOptions>>;

export type PlanName = keyof typeof plans;
