"""LeNet-5's training step in PyTorch: for each line on stdin some steps, their milliseconds as JSON on stdout."""

import json
import sys
import time

import torch
from torch import nn

batch, threads, steps = (int(a) for a in sys.argv[1:4])
torch.set_num_threads(threads)
net = nn.Sequential(
    nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)
)
optimizer = torch.optim.Adam(net.parameters())
images = torch.randn(batch, 1, 28, 28)
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
