/** How much of each net is pruned away, as benchmarks have it: ResNet-50 9.2×, Inception-V3 9×, the MobileNets to 15 %. */
const sparsity: Readonly<Record<string, number>> = { resnet50: 0.891, mobilenet_v1: 0.85, mobilenet_v2: 0.85, inception_v3: 0.89 };

export const pruningOf = (net: string): number => sparsity[net] ?? 0.9;
