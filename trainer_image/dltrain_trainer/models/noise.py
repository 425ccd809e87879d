"""Dropout and stochastic depth whose choices follow from a sample's key, not from how samples are shared among ranks.

Each sample has a 32-bit key, a function of (seed, epoch, sample).  A layer hashes it with its own number and with the
place of each value: the same sample loses the same values on whichever rank it is, and training goes on from any step
without the state of a generator.  Without keys the layers draw from torch's generator, as torch's own do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import dropout

from dltrain_trainer.data.counter import Draws

GOLDEN: Final = 0x9E3779B9
"""2^32 divided by the golden ratio: its multiples are spread evenly (Knuth, section 6.4)."""
PURPOSE: Final = 0xD509
"""Of the random numbers that keys are."""


class KeyedNoise(nn.Module, ABC):
    """A layer that blanks some of its input in training, and scales the rest so that its mean stays."""

    keys: Tensor | None
    """int32, shape (n,), one for each sample of the batch to come; of this layer alone."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate, self.keys = rate, None

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, ...) to the same shape; unchanged outside training."""
        if not self.training or not self.rate:
            return x
        return x * self.mask(x)

    def mask(self, x: Tensor) -> Tensor:
        """What each value is multiplied by: 0, or 1 / (1 - rate); of a shape that broadcasts to that of the input."""
        choices = self.choices(x)
        if self.keys is None:
            return dropout(torch.ones(len(x), choices, device=x.device, dtype=x.dtype), self.rate).view(self.shape(x))
        kept = hashed(self.keys, choices) >= threshold(self.rate)
        return kept.to(x.dtype).mul_(1 / (1 - self.rate)).view(self.shape(x))

    @abstractmethod
    def choices(self, x: Tensor) -> int:
        """How many independent choices a sample needs."""

    @abstractmethod
    def shape(self, x: Tensor) -> Sequence[int]:
        """The shape of the mask."""

    def extra_repr(self) -> str:
        """The rate, for the text form of a model."""
        return f"rate={self.rate}"


class Dropout(KeyedNoise):
    """Blank single values (Srivastava et al. 2014, "Dropout"): y = x m / (1 - rate), m = 0 with probability rate."""

    def choices(self, x: Tensor) -> int:
        """One a value."""
        return x[:1].numel() if len(x) else 1

    def shape(self, x: Tensor) -> Sequence[int]:
        """That of the input."""
        return x.shape


class StochasticDepth(KeyedNoise):
    """Blank whole samples of a residual branch, so that a block becomes its shortcut.

    Huang et al. 2016, "Deep Networks with Stochastic Depth", equation 2; the scale that they apply in tests is applied
    in training, inverted, so that a trained model needs no rate.
    """

    def choices(self, x: Tensor) -> int:  # noqa: ARG002 - whatever the sample is
        """One a sample."""
        return 1

    def shape(self, x: Tensor) -> Sequence[int]:
        """(n, 1, ...)."""
        return (len(x), *(1 for _ in x.shape[1:]))


def give_keys(model: nn.Module, keys: Tensor | None) -> None:
    """Tell every layer of noise which samples come next; None for torch's generator.

    Args:
        model: holds the layers.
        keys: int32, shape (n,), from `sample_keys`, on the model's device.
    """
    for number, layer in enumerate(noise_layers(model), start=1):
        layer.keys = None if keys is None else mixed(keys + signed(number * GOLDEN))


def noise_layers(model: nn.Module) -> Iterator[KeyedNoise]:
    """The layers of noise of a model, in the order of its modules."""
    return (module for module in model.modules() if isinstance(module, KeyedNoise))


def sample_keys(seed: int, epoch: int, samples: NDArray[np.int64]) -> Tensor:
    """The keys of some samples in an epoch.

    Args:
        seed: the job's.
        epoch: from 0.
        samples: indexes within the training split, shape (n,).

    Returns:
        int32, shape (n,).
    """
    return torch.from_numpy(Draws(seed, epoch, samples, PURPOSE).words()[0].astype(np.uint32).view(np.int32))


def hashed(keys: Tensor, count: int) -> Tensor:
    """Uniform 32-bit numbers for each key.

    Args:
        keys: int32, shape (n,).
        count: how many for each.

    Returns:
        int32, shape (n, count), from -2^31 to 2^31 - 1.
    """
    places = mixed(torch.arange(1, count + 1, dtype=torch.int32, device=keys.device).mul_(signed(GOLDEN)))
    return mixed(places + keys[:, None])


def mixed(words: Tensor) -> Tensor:
    """32-bit words, each mixed so that every bit depends on every bit (Wellons 2018, "lowbias32"); in place.

    Args:
        words: int32, taken as unsigned; products wrap around.
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        words.bitwise_xor_(shifted(words, shift)).mul_(signed(factor))
    return words.bitwise_xor_(shifted(words, 16))


def shifted(words: Tensor, bits: int) -> Tensor:
    """Words shifted right, zeros coming in: torch's own shift copies the sign."""
    return (words >> bits).bitwise_and_((1 << (32 - bits)) - 1)


def threshold(rate: float) -> int:
    """The signed 32-bit number below which a share `rate` of them lies."""
    return min(round(rate * 2**32), 2**32 - 1) - 2**31


def signed(word: int) -> int:
    """The low 32 bits of a number, as a signed one."""
    low = word & 0xFFFFFFFF
    return low - 2**32 if low >= 2**31 else low
