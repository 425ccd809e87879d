"""The test-set accuracy of an exported CNN, computed from its files by code that shares nothing with the trainer's."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as nn


def test_set(folder: Path) -> tuple[Tensor, Tensor]:
    """The images, uint8 (10000, 1, 28, 28), and labels of Fashion-MNIST's test files."""
    images = np.frombuffer(gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return torch.from_numpy(images.reshape(-1, 1, 28, 28).copy()), torch.from_numpy(labels.astype(np.int64))


def accuracy(artifact: Path, data: Path) -> float:
    """The share of test samples that the exported CNN gets right."""
    weights = load_file(artifact / "model.safetensors")
    unit, normal = json.loads((artifact / "model.json").read_text())["preprocessing"]["steps"]
    images, labels = test_set(data)
    scale = unit["scale"][0] * normal["scale"][0]
    x = (images.float() - (unit["offset"][0] + normal["offset"][0] / unit["scale"][0])) * scale
    for layer in ("0", "3"):
        x = nn.conv2d(x, weights[f"{layer}.weight"], weights[f"{layer}.bias"], padding=1)
        x = nn.max_pool2d(nn.relu(x), 2)
    x = nn.relu(nn.linear(x.flatten(1), weights["7.weight"], weights["7.bias"]))
    predicted = nn.linear(x, weights["9.weight"], weights["9.bias"]).argmax(1)
    return float((predicted == labels).double().mean())
