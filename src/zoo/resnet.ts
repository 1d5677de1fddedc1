import type { Graph } from "../ir/graph.ts";
import { createLayers, type Layers, type Signal, type ZooOptions } from "./layers.ts";

/** One of a ResNet's residual blocks: `filters` are those of its 3×3 convolutions. */
type Block = (net: Layers, x: Signal, name: string, filters: number, stride: number) => Signal;

/** K. He et al., "Deep Residual Learning for Image Recognition", 2015; 1.8 G MACs, 11.7 M parameters. Input 1×3×224×224. */
export function resnet18(options: ZooOptions): Graph {
  return resnet("resnet18", basicBlock, [2, 2, 2, 2], options);
}

/** Version 1.5: the stride is in the 3×3 convolution; 4.09 G MACs, 25.6 M parameters. Input 1×3×224×224. */
export function resnet50(options: ZooOptions): Graph {
  return resnet("resnet50", bottleneck, [3, 4, 6, 3], options);
}

function resnet(name: string, block: Block, depths: readonly number[], options: ZooOptions): Graph {
  const net = createLayers(name, options);
  let x = net.conv(net.input(3, 224), "conv1", 64, { kernel: 7, stride: 2, pad: 3 });
  x = net.relu(net.batchNorm(x, "bn1"), "relu");
  x = net.maxPool(x, "maxpool", { kernel: 3, stride: 2, pad: 1 });
  depths.forEach((depth, stage) => {
    for (let i = 0; i < depth; i++) x = block(net, x, `layer${stage + 1}.${i}`, 64 << stage, stage > 0 && i === 0 ? 2 : 1);
  });
  return net.finish(net.linear(net.flatten(net.globalAveragePool(x, "avgpool"), "flatten"), "fc", 1000, "output"));
}

function basicBlock(net: Layers, x: Signal, name: string, filters: number, stride: number): Signal {
  let y = net.batchNorm(net.conv(x, `${name}.conv1`, filters, { kernel: 3, stride, pad: 1 }), `${name}.bn1`);
  y = net.conv(net.relu(y, `${name}.relu1`), `${name}.conv2`, filters, { kernel: 3, pad: 1 });
  return joinShortcut(net, x, net.batchNorm(y, `${name}.bn2`), name, stride);
}

function bottleneck(net: Layers, x: Signal, name: string, filters: number, stride: number): Signal {
  let y = net.batchNorm(net.conv(x, `${name}.conv1`, filters, { kernel: 1 }), `${name}.bn1`);
  y = net.conv(net.relu(y, `${name}.relu1`), `${name}.conv2`, filters, { kernel: 3, stride, pad: 1 });
  y = net.relu(net.batchNorm(y, `${name}.bn2`), `${name}.relu2`);
  y = net.conv(y, `${name}.conv3`, 4 * filters, { kernel: 1 });
  return joinShortcut(net, x, net.batchNorm(y, `${name}.bn3`), name, stride);
}

/** relu(y + shortcut(x)); the shortcut is a strided 1×1 convolution where shapes differ. */
function joinShortcut(net: Layers, x: Signal, y: Signal, name: string, stride: number): Signal {
  const filters = y.value.type.shape[1] as number;
  const same = stride === 1 && x.value.type.shape[1] === filters;
  const shortcut = same ? x : net.batchNorm(net.conv(x, `${name}.downsample.0`, filters, { kernel: 1, stride }), `${name}.downsample.1`);
  return net.relu(net.add(y, shortcut, `${name}.add`), `${name}.relu`);
}
