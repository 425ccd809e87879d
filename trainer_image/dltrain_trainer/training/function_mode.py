"""Contexts in which some calls of torch's functions are computed otherwise, whatever model makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch.overrides import TorchFunctionMode

from dltrain_trainer.training.precision import Casting


class Instead(TorchFunctionMode):
    """Within this context, `instead` is asked about each call first."""

    def instead(self, func: Callable[..., Any], args: Sequence[Any]) -> Any:
        """The result of a call, or NotImplemented where torch is to compute it.

        Args:
            func: a function of torch.
            args: all of its arguments, which are given by place, as layers do.
        """
        raise NotImplementedError

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, or what stands for it."""
        result = NotImplemented if kwargs else self.instead(func, args)
        return func(*args, **(kwargs or {})) if result is NotImplemented else result


def within(otherwise: Casting, mode: Callable[[], Instead]) -> Casting:
    """What a forward pass runs in that is to run in a mode, too.

    Args:
        otherwise: what it would run in.
        mode: makes the mode, which is asked first.
    """

    @contextmanager
    def both() -> Iterator[None]:
        with otherwise(), mode():
            yield

    return both
