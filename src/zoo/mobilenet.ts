import type { Graph } from "../ir/graph.ts";
import { createLayers, type Layers, type Signal, type ZooOptions } from "./layers.ts";

type Activation = "relu" | "relu6" | "none";

function convNorm(net: Layers, x: Signal, name: string, filters: number, kernel: number, stride: number, activation: Activation, groups = 1): Signal {
  const y = net.batchNorm(net.conv(x, `${name}.conv`, filters, { kernel, stride, pad: kernel >> 1, groups }), `${name}.bn`);
  return activation === "none" ? y : net[activation](y, `${name}.${activation}`);
}

const channelsOf = (x: Signal): number => x.value.type.shape[1] as number;

/** Filters and stride of each depthwise separable block (table 1). */
const separableBlocks = [
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [1024, 2],
  [1024, 1],
] as const;

/** A. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017; 569 M MACs, 4.2 M parameters. Input 1×3×224×224. */
export function mobilenetV1(options: ZooOptions): Graph {
  const net = createLayers("mobilenet_v1", options);
  let x = convNorm(net, net.input(3, 224), "conv1", 32, 3, 2, "relu");
  separableBlocks.forEach(([filters, stride], i) => {
    x = convNorm(net, x, `block${i + 1}.depthwise`, channelsOf(x), 3, stride, "relu", channelsOf(x));
    x = convNorm(net, x, `block${i + 1}.pointwise`, filters, 1, 1, "relu");
  });
  return net.finish(net.linear(net.flatten(net.globalAveragePool(x, "avgpool"), "flatten"), "fc", 1000, "output"));
}

/** Expansion, filters, repetitions and first stride of each stage (table 2). */
const invertedStages = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

/** M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018; 301 M MACs, 3.5 M parameters. Input 1×3×224×224. */
export function mobilenetV2(options: ZooOptions): Graph {
  const net = createLayers("mobilenet_v2", options);
  let x = convNorm(net, net.input(3, 224), "features.0", 32, 3, 2, "relu6");
  let index = 1;
  for (const [expansion, filters, repetitions, firstStride] of invertedStages)
    for (let i = 0; i < repetitions; i++) x = invertedResidual(net, x, `features.${index++}`, expansion, filters, i === 0 ? firstStride : 1);
  x = convNorm(net, x, `features.${index}`, 1280, 1, 1, "relu6");
  return net.finish(net.linear(net.flatten(net.globalAveragePool(x, "avgpool"), "flatten"), "classifier", 1000, "output"));
}

function invertedResidual(net: Layers, x: Signal, name: string, expansion: number, filters: number, stride: number): Signal {
  const hidden = expansion * channelsOf(x);
  let y = expansion === 1 ? x : convNorm(net, x, `${name}.expand`, hidden, 1, 1, "relu6");
  y = convNorm(net, y, `${name}.depthwise`, hidden, 3, stride, "relu6", hidden);
  y = convNorm(net, y, `${name}.project`, filters, 1, 1, "none");
  return stride === 1 && channelsOf(x) === filters ? net.add(x, y, `${name}.add`) : y;
}
