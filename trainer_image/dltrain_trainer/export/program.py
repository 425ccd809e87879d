"""model.pt2: a model and its preprocessing as a program of torch.export, which loads without dltrain."""

from __future__ import annotations

import copy
import io
import warnings

import torch
from torch import Tensor, nn

from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.export.graph import BATCH, ExportError


def export_program(model: nn.Module, preprocessing: Preprocessing, raw: Tensor) -> bytes:
    """Export a model with its preprocessing, load the result and compare.

    Args:
        model: maps prepared samples to logits or values.
        preprocessing: of raw samples.
        raw: at least three raw samples.

    Returns:
        The file, for torch.export.load.

    Raises:
        ExportError: a step or a layer cannot be exported, or the program predicts otherwise.
    """
    whole = nn.Sequential(*copy.deepcopy([preprocessing, model])).cpu().eval()
    raw, content = raw.cpu(), io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's own, about its own insides
            program = torch.export.export(whole, (raw[:2].clone(),), dynamic_shapes=(({0: torch.export.Dim(BATCH)},)))
            torch.export.save(program, content)
            again = torch.export.load(io.BytesIO(content.getvalue())).module()
            difference = max(float((again(raw[:size]) - whole(raw[:size])).abs().max()) for size in (1, len(raw)))
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ExportError(f"spec.pipeline.export.formats: torchExport cannot hold the model: {text}") from error
    if not difference <= 1e-4:
        raise ExportError(
            f"spec.pipeline.export.formats: the program predicts otherwise than the model, by {difference:.3g}"
        )
    return content.getvalue()
