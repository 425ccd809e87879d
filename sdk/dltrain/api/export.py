"""In which formats the trained model is written to the storage."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from dltrain.api.base import Found, Rule, SpecModel
from dltrain.api.choices import each_once

Format = Literal["safetensors", "onnx", "onnxInt8", "torchExport"]
DEFAULT_SAMPLES: Final = 512


class Export(SpecModel):
    """In which formats the trained model is written to the storage; each is read back and compared before it counts."""

    rules = (
        each_once("formats", "format"),
        Rule(
            cel="!has(self.calibrationSamples) || (has(self.formats) && 'onnxInt8' in self.formats)",
            holds=lambda export: export.calibration_samples is None or "onnxInt8" in export.formats,
            message="must be absent unless formats has onnxInt8; remove it, or add onnxInt8 to formats",
            at=("calibrationSamples",),
            found=Found("self.calibrationSamples", lambda export: str(export.calibration_samples)),
        ),
    )
    formats: Annotated[tuple[Format, ...], Field(min_length=1, max_length=len(get_args(Format)))] = ("safetensors",)
    """safetensors: model.safetensors (weights) and model.json (architecture and preprocessing); onnx: model.onnx, which
    takes raw samples; onnxInt8: model.int8.onnx, the same with int8 weights and activations, as the compression's
    quantize has made it, else calibrated here; torchExport: model.pt2, a program for torch.export.load."""
    calibration_samples: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Of onnxInt8: how many training samples find the ranges of the activations. Default: 512."""

    @property
    def samples(self) -> int:
        """How many samples calibrate, with its default."""
        return self.calibration_samples or DEFAULT_SAMPLES
