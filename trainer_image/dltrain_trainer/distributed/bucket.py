"""A flat buffer that holds the gradients of some parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Bucket:
    """A flat buffer, of the type of the first parameter, whose slices are the gradients of some parameters."""

    def __init__(self, index: int, parameters: Sequence[nn.Parameter], extra: int = 0) -> None:
        """Make each parameter's gradient a slice of the buffer, in the parameter's own memory layout.

        Args:
            index: of the bucket, from that of the model's first layers.
            parameters: one or more, on one device.
            extra: values behind the gradients that are summed with them.
        """
        self.index, self.parameters = index, tuple(parameters)
        self.name = f"gradients.{index}"
        self.sizes = [parameter.numel() for parameter in parameters]
        self.flat = torch.zeros(sum(self.sizes) + extra, dtype=parameters[0].dtype, device=parameters[0].device)
        self.gradients, self.extra = self.flat.split_with_sizes([sum(self.sizes), extra])
        for parameter, part in zip(self.parameters, self.gradients.split_with_sizes(self.sizes), strict=True):
            parameter.grad = torch.as_strided(part, parameter.shape, parameter.stride())

    def matrices(self, flat: Tensor) -> list[Tensor]:
        """The parts of a flat tensor that belong to each parameter, as matrices; the memory is the tensor's own.

        Rows are the parameter's first dimension; where its layout is channels-last, the columns are in another order
        than in the parameter.  A parameter of one dimension is one row.

        Args:
            flat: as long as the gradients.
        """
        parts = zip(self.parameters, flat.split_with_sizes(self.sizes), strict=True)
        return [part.view(len(one) if one.ndim > 1 else 1, -1) for one, part in parts]


def grouped(parameters: Sequence[nn.Parameter], elements: int) -> list[list[nn.Parameter]]:
    """Parameters in groups of at least so many elements, the model's first layers in the first: backward fills it last.

    Args:
        parameters: in the model's order.
        elements: what a group holds at least, but for the last.
    """
    groups: list[list[nn.Parameter]] = [[]]
    size = 0
    for parameter in parameters:
        if size >= elements:
            groups.append([])
            size = 0
        groups[-1].append(parameter)
        size += parameter.numel()
    return groups
