import type { Graph } from "../ir/graph.ts";
import { type ConvOptions, createLayers, type Layers, type Signal, type ZooOptions } from "./layers.ts";

/** One convolution of a branch: filters, kernel, and stride or padding where they are not 1 and 0. */
type Step = readonly [filters: number, options: ConvOptions];

const oneByOne = (filters: number): Step => [filters, { kernel: 1 }];
const square = (filters: number, kernel: number): Step => [filters, { kernel, pad: kernel >> 1 }];
const reduce = (filters: number): Step => [filters, { kernel: 3, stride: 2 }];
const row = (filters: number, width: number): Step => [filters, { kernel: [1, width], pad: [0, width >> 1] }];
const column = (filters: number, height: number): Step => [filters, { kernel: [height, 1], pad: [height >> 1, 0] }];

function convNorm(net: Layers, x: Signal, name: string, [filters, options]: Step): Signal {
  return net.relu(net.batchNorm(net.conv(x, `${name}.conv`, filters, options), `${name}.bn`, 1e-3), `${name}.relu`);
}

function chain(net: Layers, x: Signal, name: string, steps: readonly Step[]): Signal {
  return steps.reduce((y, step, i) => convNorm(net, y, steps.length === 1 ? name : `${name}_${i + 1}`, step), x);
}

function poolBranch(net: Layers, x: Signal, name: string, filters: number): Signal {
  return convNorm(net, net.averagePool(x, `${name}.branch_pool.avg`, { kernel: 3, stride: 1, pad: 1 }), `${name}.branch_pool`, oneByOne(filters));
}

/** 35×35 (figure 5). */
function blockA(net: Layers, x: Signal, name: string, poolFilters: number): Signal {
  const b1 = chain(net, x, `${name}.branch1x1`, [oneByOne(64)]);
  const b5 = chain(net, x, `${name}.branch5x5`, [oneByOne(48), square(64, 5)]);
  const b3 = chain(net, x, `${name}.branch3x3dbl`, [oneByOne(64), square(96, 3), square(96, 3)]);
  return net.concat([b1, b5, b3, poolBranch(net, x, name, poolFilters)], name);
}

/** 35×35 to 17×17. */
function blockB(net: Layers, x: Signal, name: string): Signal {
  const b3 = chain(net, x, `${name}.branch3x3`, [reduce(384)]);
  const b3d = chain(net, x, `${name}.branch3x3dbl`, [oneByOne(64), square(96, 3), reduce(96)]);
  return net.concat([b3, b3d, net.maxPool(x, `${name}.branch_pool`, { kernel: 3, stride: 2 })], name);
}

/** 17×17 with factorized 7×7 convolutions (figure 6). */
function blockC(net: Layers, x: Signal, name: string, c7: number): Signal {
  const b1 = chain(net, x, `${name}.branch1x1`, [oneByOne(192)]);
  const b7 = chain(net, x, `${name}.branch7x7`, [oneByOne(c7), row(c7, 7), column(192, 7)]);
  const b7d = chain(net, x, `${name}.branch7x7dbl`, [oneByOne(c7), column(c7, 7), row(c7, 7), column(c7, 7), row(192, 7)]);
  return net.concat([b1, b7, b7d, poolBranch(net, x, name, 192)], name);
}

/** 17×17 to 8×8. */
function blockD(net: Layers, x: Signal, name: string): Signal {
  const b3 = chain(net, x, `${name}.branch3x3`, [oneByOne(192), reduce(320)]);
  const b7 = chain(net, x, `${name}.branch7x7x3`, [oneByOne(192), row(192, 7), column(192, 7), reduce(192)]);
  return net.concat([b3, b7, net.maxPool(x, `${name}.branch_pool`, { kernel: 3, stride: 2 })], name);
}

/** 8×8 with widened filter banks (figure 7). */
function blockE(net: Layers, x: Signal, name: string): Signal {
  const widen = (y: Signal, branch: string) => net.concat([convNorm(net, y, `${branch}_a`, row(384, 3)), convNorm(net, y, `${branch}_b`, column(384, 3))], `${branch}_concat`);
  const b1 = chain(net, x, `${name}.branch1x1`, [oneByOne(320)]);
  const b3 = widen(chain(net, x, `${name}.branch3x3_1`, [oneByOne(384)]), `${name}.branch3x3`);
  const b3d = widen(chain(net, x, `${name}.branch3x3dbl`, [oneByOne(448), square(384, 3)]), `${name}.branch3x3dbl`);
  return net.concat([b1, b3, b3d, poolBranch(net, x, name, 192)], name);
}

/** C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2015, without auxiliary head; 5.71 G MACs, 23.8 M parameters. Input 1×3×299×299. */
export function inceptionV3(options: ZooOptions): Graph {
  const net = createLayers("inception_v3", options);
  let x = convNorm(net, net.input(3, 299), "Conv2d_1a_3x3", reduce(32));
  x = convNorm(net, x, "Conv2d_2a_3x3", [32, { kernel: 3 }]);
  x = net.maxPool(convNorm(net, x, "Conv2d_2b_3x3", square(64, 3)), "maxpool1", { kernel: 3, stride: 2 });
  x = convNorm(net, x, "Conv2d_3b_1x1", oneByOne(80));
  x = net.maxPool(convNorm(net, x, "Conv2d_4a_3x3", [192, { kernel: 3 }]), "maxpool2", { kernel: 3, stride: 2 });
  x = blockA(net, x, "Mixed_5b", 32);
  x = blockA(net, x, "Mixed_5c", 64);
  x = blockB(net, blockA(net, x, "Mixed_5d", 64), "Mixed_6a");
  x = blockC(net, x, "Mixed_6b", 128);
  x = blockC(net, x, "Mixed_6c", 160);
  x = blockC(net, x, "Mixed_6d", 160);
  x = blockD(net, blockC(net, x, "Mixed_6e", 192), "Mixed_7a");
  x = blockE(net, blockE(net, x, "Mixed_7b"), "Mixed_7c");
  return net.finish(net.linear(net.flatten(net.globalAveragePool(x, "avgpool"), "flatten"), "fc", 1000, "output"));
}
