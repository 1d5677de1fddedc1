import type { Graph } from "../ir/graph.ts";
import { createLayers, type ZooOptions } from "./layers.ts";

/** Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998, in the form of Caffe's example, which pruning papers use; 2.29 M MACs, 431 k parameters. Input 1×1×28×28. */
export function lenet5(options: ZooOptions): Graph {
  const net = createLayers("lenet5", options);
  let x = net.conv(net.input(1, 28), "conv1", 20, { kernel: 5, bias: true });
  x = net.maxPool(x, "pool1", { kernel: 2, stride: 2 });
  x = net.conv(x, "conv2", 50, { kernel: 5, bias: true });
  x = net.flatten(net.maxPool(x, "pool2", { kernel: 2, stride: 2 }), "flatten");
  x = net.relu(net.linear(x, "ip1", 500, "relu"), "relu1");
  return net.finish(net.linear(x, "ip2", 10, "output"));
}

/** A. Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012, with its two groups; 724 M MACs, 61.0 M parameters. Input 1×3×227×227. */
export function alexnet(options: ZooOptions): Graph {
  const net = createLayers("alexnet", options);
  const pool = { kernel: 3, stride: 2 } as const;
  let x = net.relu(net.conv(net.input(3, 227), "conv1", 96, { kernel: 11, stride: 4, bias: true }), "relu1");
  x = net.maxPool(net.localResponseNorm(x, "norm1"), "pool1", pool);
  x = net.relu(net.conv(x, "conv2", 256, { kernel: 5, pad: 2, groups: 2, bias: true }), "relu2");
  x = net.maxPool(net.localResponseNorm(x, "norm2"), "pool2", pool);
  x = net.relu(net.conv(x, "conv3", 384, { kernel: 3, pad: 1, bias: true }), "relu3");
  x = net.relu(net.conv(x, "conv4", 384, { kernel: 3, pad: 1, groups: 2, bias: true }), "relu4");
  x = net.relu(net.conv(x, "conv5", 256, { kernel: 3, pad: 1, groups: 2, bias: true }), "relu5");
  x = net.flatten(net.maxPool(x, "pool5", pool), "flatten");
  x = net.relu(net.linear(x, "fc6", 4096, "relu"), "relu6");
  x = net.relu(net.linear(x, "fc7", 4096, "relu"), "relu7");
  return net.finish(net.linear(x, "fc8", 1000, "output"));
}

/** Filters of the 3×3 convolutions between poolings (configuration D). */
const vggStages = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
] as const;

/** K. Simonyan and A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014; 15.5 G MACs, 138 M parameters. Input 1×3×224×224. */
export function vgg16(options: ZooOptions): Graph {
  const net = createLayers("vgg16", options);
  let x = net.input(3, 224);
  vggStages.forEach((stage, s) => {
    stage.forEach((filters, i) => {
      const name = `${s + 1}_${i + 1}`;
      x = net.relu(net.conv(x, `conv${name}`, filters, { kernel: 3, pad: 1, bias: true }), `relu${name}`);
    });
    x = net.maxPool(x, `pool${s + 1}`, { kernel: 2, stride: 2 });
  });
  x = net.flatten(x, "flatten");
  x = net.relu(net.linear(x, "fc6", 4096, "relu"), "relu6");
  x = net.relu(net.linear(x, "fc7", 4096, "relu"), "relu7");
  return net.finish(net.linear(x, "fc8", 1000, "output"));
}
