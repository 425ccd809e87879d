"""Tensors as backends want them, whatever their type and memory layout are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def in_order(tensor: Tensor) -> Iterator[Tensor]:
    """The bytes of a tensor's values in C order, uint8 of shape (n,); what is written to them is then the tensor's.

    Bytes, for backends know few types: Horovod neither bool, bf16 nor complex, gloo no int16.

    Args:
        tensor: of any type and layout: channels last, transposed, conjugated.
    """
    ordered = tensor.detach().resolve_conj().resolve_neg().contiguous()
    yield ordered.view(-1).view(torch.uint8)  # one dimension first: a scalar's bytes cannot be had
    if ordered.data_ptr() != tensor.data_ptr():  # else it is the tensor's own memory, if perhaps under other strides
        with torch.no_grad():
            tensor.copy_(ordered)
