"""What the stage keeps after every step, so that a killed job goes on with the next one.

compression/course.json             how far the stage has come; written last
            product-N.safetensors   the model that row N has come to, the last that passed
            product-N.onnx          its quantised graph, where it has one
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError

from dltrain_trainer.compression.course import Course
from dltrain_trainer.compression.subject import Subject
from dltrain_trainer.compression.together import packed, unpacked
from dltrain_trainer.errors import CheckpointError
from dltrain_trainer.files import deliver, make_folder

log = logging.getLogger(__name__)
COURSE: Final = "course.json"


@dataclass(frozen=True, slots=True)
class Product:
    """What a step has made."""

    subject: Subject
    graph: bytes | None = None
    """In ONNX, for prepared samples, once it is quantised."""


@dataclass(frozen=True, slots=True)
class Store:
    """The folder of one compression; the first rank's."""

    folder: Path
    identity: dict[str, Any]
    """What it compresses and how, as plain JSON values: another compression's course is not gone on with."""

    def save(self, course: Course, product: Product) -> None:
        """Keep a course, and the product of its accepted row.

        Raises:
            CheckpointError: the storage refuses.
        """
        make_folder(self.folder)
        weights, graph = self._files(course.accepted)
        if not weights.exists():
            if product.graph is not None:
                deliver(graph, product.graph)
            deliver(weights, packed(product.subject))
        content = {"identity": self.identity, "course": course.to_dict()}
        deliver(self.folder / COURSE, json.dumps(content, indent=2).encode())
        self._clean(course.accepted)

    def load(self) -> tuple[Course, Product] | None:
        """Where an earlier attempt has stopped; None where there is nothing to go on from."""
        try:
            content = json.loads((self.folder / COURSE).read_text())
            if content["identity"] != self.identity:
                return None
            course = Course.from_dict(content["course"])
            weights, graph = self._files(course.accepted)
            subject = unpacked(weights.read_bytes(), torch.device("cpu"))
            return course, Product(subject, graph.read_bytes() if graph.exists() else None)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            log.warning("passed over what is kept in %s: %s", self.folder, error)
            return None

    def begin(self) -> None:
        """Remove what another compression has left.

        Raises:
            CheckpointError: the storage refuses.
        """
        try:
            (self.folder / COURSE).unlink(missing_ok=True)
            self._clean(None)
        except OSError as error:
            raise CheckpointError(f"{self.folder}: cannot be emptied ({error.strerror}); free the storage") from error

    def _files(self, row: int) -> tuple[Path, Path]:
        return self.folder / f"product-{row}.safetensors", self.folder / f"product-{row}.onnx"

    def _clean(self, kept: int | None) -> None:
        keep = set() if kept is None else set(self._files(kept))
        for file in [*self.folder.glob("product-*")]:
            if file not in keep:
                file.unlink(missing_ok=True)
