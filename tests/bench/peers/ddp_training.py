"""Training on Fashion-MNIST with torchrun, DistributedDataParallel and torchvision, as its tutorials have it.

torchrun --nproc-per-node 2 ddp_training.py DATA MODEL SAMPLES BATCH EPOCHS RATE SEED: rank 0 prints, as JSON, the
throughput of each epoch over all ranks and the accuracy on the test split.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, Subset
from torchvision import models
from torchvision.datasets import FashionMNIST
from torchvision.transforms import v2

MEAN, DEVIATION = 0.2860, 0.3530
WORKERS = 1
"""Loader processes a rank: more were slower on two cores."""


def cnn() -> nn.Module:
    """Two convolution blocks, two linear layers."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


def resnet18() -> nn.Module:
    """torchvision's, with the first layers that small pictures need."""
    model = models.resnet18(num_classes=10)
    model.conv1 = nn.Conv2d(1, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def narrow_resnet18(width: int = 16) -> nn.Module:
    """The same of torchvision's blocks with a quarter of the channels, which two cores train in minutes."""
    layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    inputs = width
    for stage in range(4):
        outputs = width << stage
        for stride in (1 + (stage > 0), 1):
            changes = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            shortcut = changes if (stride, inputs) != (1, outputs) else None
            layers.append(models.resnet.BasicBlock(inputs, outputs, stride, shortcut))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


MODELS = {"cnn": cnn, "resnet18": resnet18, "narrow-resnet18": narrow_resnet18}


def accuracy(model: nn.Module, loader: DataLoader[Any]) -> float:
    """The share of right answers."""
    model.eval()
    right = 0
    with torch.no_grad():
        for images, labels in loader:
            right += int((model(images).argmax(1) == labels).sum())
    return right / len(loader.dataset)  # type: ignore[arg-type]  # torchvision's have a length


def main(data: str, name: str, samples: int, batch: int, epochs: int, rate: float, seed: int) -> None:  # noqa: PLR0917 - one for each word of the command line
    """Train and tell."""
    dist.init_process_group("gloo")
    torch.manual_seed(seed)
    transform = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([MEAN], [DEVIATION])])
    train = Subset(FashionMNIST(data, train=True, transform=transform), range(samples))
    sampler: DistributedSampler[Any] = DistributedSampler(train, seed=seed)
    size = dist.get_world_size()
    loader = DataLoader(train, batch // size, sampler=sampler, num_workers=WORKERS, persistent_workers=True)
    model = DistributedDataParallel(MODELS[name]())
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    criterion = nn.CrossEntropyLoss()
    rates = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        model.train()
        start, seen = time.perf_counter(), 0
        for images, labels in loader:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
            schedule.step()
            seen += len(labels)
        rates.append(size * seen / (time.perf_counter() - start))
    if dist.get_rank() == 0:
        test = DataLoader(FashionMNIST(data, train=False, transform=transform), 256)
        found = accuracy(model.module, test) if name != "resnet18" else None
        print(json.dumps({"rates": rates, "accuracy": found}), flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    _, data, name, samples, batch, epochs, rate, seed = sys.argv
    main(data, name, int(samples), int(batch), int(epochs), float(rate), int(seed))
