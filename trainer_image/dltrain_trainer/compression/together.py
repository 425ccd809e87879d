"""What one rank does for all, now and then with their help; the others sleep meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from safetensors.torch import load, save

from dltrain_trainer.compression.edits import from_dicts, to_dicts
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.compression.subject import Subject, architecture
from dltrain_trainer.distributed.communicator import Communicator
from dltrain_trainer.errors import TrainerError
from dltrain_trainer.export.artifact import separate
from dltrain_trainer.models.blueprint import Blueprint

Result = TypeVar("Result")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Asked:
    """Rank 0 wants every rank to answer."""

    question: Any


@dataclass(frozen=True, slots=True)
class Done:
    """Rank 0 has its result."""

    result: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """Rank 0 could not do it."""

    reason: str


def led(
    ranks: Communicator, lead: Callable[[Callable[[Any], Answer]], Result], answer: Callable[[Any], Answer]
) -> Result:
    """Have rank 0 do something, and all ranks whatever it asks meanwhile.

    Args:
        ranks: every rank calls this.
        lead: what rank 0 does; it is given a function that asks every rank, itself included.
        answer: what every rank does with a question, together; what it returns is returned to `lead` on rank 0.

    Returns:
        What `lead` has returned on rank 0: plain values, or bytes.

    Raises:
        CompressionError: on every rank: rank 0 could not do it.
    """
    if ranks.rank == 0:
        return lead_and_tell(ranks, lead, answer)
    refused: TrainerError | None = None
    while True:
        ranks.rest()
        told = ranks.team.first(None)
        if isinstance(told, Failed):
            raise CompressionError(told.reason)
        if refused is not None:
            raise refused  # by this rank alone
        if isinstance(told, Done):
            result: Result = told.result
            return result
        assert isinstance(told, Asked), told
        try:
            answer(told.question)
        except TrainerError as error:  # refused by every rank alike: rank 0 tells of it next, and must be heard
            refused = error


def lead_and_tell(
    ranks: Communicator, lead: Callable[[Callable[[Any], Answer]], Result], answer: Callable[[Any], Answer]
) -> Result:
    """Rank 0's side: the others hear of every question and of the end."""

    def tell(told: Asked | Done | Failed) -> None:
        ranks.rest()
        ranks.team.first(told)

    def ask(question: Any) -> Answer:
        tell(Asked(question))
        return answer(question)

    try:
        result = lead(ask)
    except TrainerError as error:
        tell(Failed(str(error)))
        raise CompressionError(str(error)) from error
    tell(Done(result))
    return result


def shared(ranks: Communicator, make: Callable[[], Subject], device: torch.device) -> Subject:
    """A subject that rank 0 makes and every rank then has: the same architecture, the same weights to the bit.

    Raises:
        CompressionError: on every rank: rank 0 could not make it.
    """
    made: list[Subject] = []

    def lead(_: Callable[[Any], None]) -> bytes:
        made.append(make())
        return packed(made[0]) if ranks.size > 1 else b""

    content = led(ranks, lead, lambda _: None)
    return made[0] if made else unpacked(content, device)


def packed(subject: Subject) -> bytes:
    """A subject as bytes, without pickle."""
    about = {
        "model": subject.blueprint.to_dict(),
        "edits": to_dicts(subject.edits),
        "sparse": subject.sparse,
    }
    tensors = separate(subject.model.state_dict())
    content: bytes = save(tensors, {"subject": json.dumps(about)})
    return content


def unpacked(content: bytes, device: torch.device) -> Subject:
    """What `packed` made of a subject, on a device.

    Raises:
        KeyError: something is missing.
        ValueError: it is no subject.
    """
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    about = json.loads(header["__metadata__"]["subject"])
    blueprint, edits = Blueprint.from_dict(about["model"]), from_dicts(about["edits"])
    model = architecture(blueprint, edits)
    model.load_state_dict(load(content))
    return Subject(blueprint, edits, model.to(device), about["sparse"])
