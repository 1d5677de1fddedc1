"""A training step of LeNet-5 or ResNet-20 in PyTorch: for each line on stdin some steps, their milliseconds as JSON on stdout."""

import json
import sys
import time

import torch
from torch import nn



class Block(nn.Module):
    """Two 3x3 convolutions; where the plane shrinks, the shortcut takes every other pixel and zeros for new channels."""

    def __init__(self, before, after):
        super().__init__()
        self.more = after - before
        self.stride = 2 if self.more else 1
        self.first = nn.Sequential(nn.Conv2d(before, after, 3, self.stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))

    def forward(self, x):
        short = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2)) if self.more else x
        return torch.relu(self.second(self.first(x)) + short)


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)
    )


def resnet20():
    widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
    blocks = [Block(a, b) for a, b in zip(widths, widths[1:])]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


name = sys.argv[1]
batch, threads, steps = (int(a) for a in sys.argv[2:5])
torch.set_num_threads(threads)
net, shape = (resnet20(), (3, 32, 32)) if name == "resnet20" else (lenet5(), (1, 28, 28))
optimizer = torch.optim.Adam(net.parameters())
images = torch.randn(batch, *shape)
labels = torch.randint(0, 10, (batch,))
print(json.dumps(torch.__version__), flush=True)
for _ in sys.stdin:
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        times.append(1000 * (time.perf_counter() - start))
    print(json.dumps(times), flush=True)
