"""Random numbers as a function of where they are used: Philox 4x32-10 (Salmon et al. 2011), a whole batch at once.

A generator with a state gives other numbers when anything before was done otherwise: on more ranks, or after a restart.
Here the key is (seed, epoch), the counter (sample, purpose, block), and the numbers depend on these alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

ROUNDS: Final = 10
MULTIPLIERS: Final = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL: Final = (0x9E3779B9, 0xBB67AE85)
SECOND: Final = 1 << 62
"""Added to a sample's index for a second number of the same purpose; no data set is that large."""
TINY: Final = 1e-100
"""Stands for what is not positive, and is never accepted."""
LOW: Final = np.uint64(0xFFFFFFFF)
WORD: Final = np.uint64(32)
Words = NDArray[np.uint64]
Floats = NDArray[np.float64]
PER_BLOCK: Final = 4
"""Numbers that one counter gives."""


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Four 32-bit words for each counter of four; all in arrays of 64-bit words, which keep whole products."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1 = (p1 >> WORD) ^ c1 ^ np.uint64(k0), p1 & LOW
        c2, c3 = (p0 >> WORD) ^ c3 ^ np.uint64(k1), p0 & LOW
        k0, k1 = k0 + WEYL[0] & 0xFFFFFFFF, k1 + WEYL[1] & 0xFFFFFFFF
    return c0, c1, c2, c3


@dataclass(frozen=True, slots=True)
class Draws:
    """The random numbers of some samples in one epoch, for one purpose."""

    seed: int
    epoch: int
    samples: NDArray[np.int64]
    """Each sample's index in its split."""
    purpose: int
    """Different for everything that draws numbers of its own; from 0 to 2^16 - 1."""

    def words(self, blocks: int = 1, start: int = 0) -> Words:
        """32-bit words.

        Args:
            blocks: how many counters a sample; each gives four words.
            start: the first of them; from 0 to 2^16 - 1.

        Returns:
            Shape (4 * blocks, samples).
        """
        sample = np.broadcast_to(self.samples.astype(np.uint64), (blocks, len(self.samples)))
        where = (np.arange(start, start + blocks, dtype=np.uint64) | np.uint64(self.purpose << 16))[:, None]
        counter = (sample & LOW, sample >> WORD, np.broadcast_to(where, sample.shape), np.zeros_like(sample))
        return np.stack(philox(counter, (self.seed, self.epoch)), axis=1).reshape(4 * blocks, -1)

    def uniform(self, count: int, start: int = 0) -> Floats:
        """Numbers evenly spread between 0 and 1, neither included, multiples of 2^-33; shape (count, samples).

        Args:
            count: how many a sample.
            start: the first counter, as of `words`.
        """
        words = self.words(-(-count // PER_BLOCK), start)[:count]
        return (words.astype(np.float64) + 0.5) * 2.0**-32

    def seeds(self) -> Words:
        """A 64-bit seed a sample, for generators that need one; shape (samples,)."""
        low, high, _, _ = self.words()
        return np.asarray(high << WORD | low, np.uint64)

    def beta(self, alpha: float) -> Floats:
        """Numbers distributed as Beta(alpha, alpha); shape (samples,)."""
        both = np.concatenate([self.samples, self.samples + SECOND])
        first, second = np.split(Draws(self.seed, self.epoch, both, self.purpose).gamma(alpha), 2)
        total = first + second
        return np.divide(first, total, out=np.full_like(total, 0.5), where=total > 0)

    def gamma(self, shape: float) -> Floats:
        """Numbers distributed as Gamma(shape, 1), by rejection (Marsaglia and Tsang 2000); shape (samples,).

        Shapes below 1 go by the next higher one: Gamma(a) = Gamma(a + 1) U^(1/a).
        """
        d = shape + float(shape < 1) - 1 / 3
        result, left, start = np.empty(len(self.samples)), np.arange(len(self.samples)), 1
        while len(left):
            u = Draws(self.seed, self.epoch, self.samples[left], self.purpose).uniform(3, start)
            normal = np.sqrt(-2 * np.log(u[0])) * np.cos(2 * math.pi * u[1])
            v = np.maximum(1 + normal / math.sqrt(9 * d), TINY) ** 3
            good = np.log(u[2]) < normal**2 / 2 + d - d * v + d * np.log(v)
            result[left[good]] = d * v[good]
            left, start = left[~good], start + 1
        return result * self.uniform(1)[0] ** (1 / shape) if shape < 1 else result
