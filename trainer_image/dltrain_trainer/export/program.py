"""model.pt2: a model and its preprocessing as a program of torch.export, which loads without dltrain.

It takes what model.onnx takes.
"""

from __future__ import annotations

import copy
import io
import warnings

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.data.transforms.resize import BYTE_MAX, Scaled
from dltrain_trainer.export.exportable import Steps, enlarged, takes_any_size
from dltrain_trainer.export.graph import ExportError, axes, several


class Interpolated(nn.Module):
    """Scaling without a look at the size of the batch, which would fix that in the program."""

    def __init__(self, step: Scaled) -> None:
        super().__init__()
        self.size, self.method, self.rounded = step.size, step.method, step.rounded

    def forward(self, batch: Tensor) -> Tensor:
        """Scale a batch of shape (n, C, any, any)."""
        if self.method == "nearest":
            return interpolate(batch, self.size, mode="nearest-exact")
        result = interpolate(batch, self.size, mode=self.method, align_corners=False, antialias=True)
        return result.round().clamp(0, BYTE_MAX) if self.rounded else result


def export_program(model: nn.Module, preprocessing: Preprocessing, raw: Tensor) -> bytes:
    """Export a model with its preprocessing, load the result and compare.

    Args:
        model: maps prepared samples to logits or values.
        preprocessing: of raw samples.
        raw: raw samples.

    Returns:
        The file, for torch.export.load.

    Raises:
        ExportError: a step or a layer cannot be exported, or the program predicts otherwise.
    """
    whole = nn.Sequential(*copy.deepcopy([preprocessing, model])).cpu().eval()
    any_size, content = takes_any_size(preprocessing), io.BytesIO()
    raw = several(raw.cpu(), 2)
    batches = [raw, enlarged(raw)] if any_size else [raw]
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's own, about its own insides
            exported = nn.Sequential(unfixed(preprocessing), copy.deepcopy(model)).cpu().eval()
            given = batches[-1][:2].clone()
            program = torch.export.export(exported, (given,), dynamic_shapes=((axes(any_size=any_size),)))
            torch.export.save(program, content)
            again = torch.export.load(io.BytesIO(content.getvalue())).module()
            shares = [batch[:size] for batch in batches for size in (1, len(batch))]
            difference = max(float((again(share) - whole(share)).abs().max()) for share in shares)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ExportError(f"spec.pipeline.export.formats: torchExport cannot hold the model: {text}") from error
    if not difference <= 1e-4:
        raise ExportError(
            f"spec.pipeline.export.formats: the program predicts otherwise than the model, by {difference:.3g}"
        )
    return content.getvalue()


def unfixed(preprocessing: Preprocessing) -> nn.Module:
    """A copy of a preprocessing whose scaling takes images of any size."""
    steps = copy.deepcopy(list(preprocessing.whole.steps))
    return Steps(Interpolated(step) if isinstance(step, Scaled) else step for step in steps)
