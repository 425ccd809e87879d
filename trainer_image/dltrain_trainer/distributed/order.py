"""Tensors as backends want them, whatever their memory layout is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def in_order(tensor: Tensor) -> Iterator[Tensor]:
    """A tensor's values in one dimension and C order; what is written to them is then the tensor's.

    Args:
        tensor: of any layout: channels last, transposed.
    """
    ordered = tensor.detach().contiguous()
    yield ordered.view(-1)
    if ordered.data_ptr() != tensor.data_ptr():  # else it is the tensor's own memory, if perhaps under other strides
        with torch.no_grad():
            tensor.copy_(ordered)
