"""Fits a line to noisy points with Horovod: what a script of your own may look like."""

import horovod.torch as hvd
import torch

import dltrain

STEPS = 200

hvd.init()
torch.manual_seed(hvd.rank())  # every rank draws its own points
model = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
hvd.broadcast_parameters(model.state_dict(), root_rank=0)
optimizer = hvd.DistributedOptimizer(optimizer, named_parameters=model.named_parameters())

for step in range(1, STEPS + 1):
    x = torch.rand(64, 1) * 4 - 2
    y = 3 * x - 1 + 0.1 * torch.randn_like(x)
    loss = torch.nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    dltrain.report(step=step, total=STEPS, loss=loss.item())

print(f"rank {hvd.rank()} of {hvd.size()}: y = {model.weight.item():.2f} x + {model.bias.item():.2f}")
hvd.shutdown()
