"""The models of the timm package, by their names there."""

from __future__ import annotations

import difflib
import importlib
from typing import Any, Final

from torch import nn

from dltrain.api.model import Model
from dltrain_trainer.models.shapes import ModelError, Shape, image_shape
from dltrain_trainer.models.trial import check_model, described

PREFIX: Final = "timm/"
DECIDED: Final = ("num_classes", "in_chans")
"""Options of timm's that follow from the data."""
DOWNLOADING: Final = ("pretrained", "pretrained_cfg", "checkpoint_path")
"""Options of timm's that take weights from elsewhere, which the job's seed would then not decide."""


def timm_model(shape: Shape, outputs: int, model: Model) -> nn.Module:
    """Build one of timm's models, with first weights of its own.

    Args:
        shape: channels, height and width of a sample.
        outputs: how many values it returns.
        model: the job's options: name (timm/NAME) and options, which timm.create_model takes.

    Returns:
        A module from (N, C, H, W) to (N, outputs).

    Raises:
        ModelError: timm is missing, has no such model, or the samples do not fit it.
    """
    channels, *_ = image_shape(model.name, shape)
    options = checked_options(model)
    timm, name = load_timm(), model.name.removeprefix(PREFIX)
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1)
        raise ModelError(f"timm has no model {name}" + (f"; did you mean {near[0]}?" if near else ""))
    try:
        built = timm.create_model(name, num_classes=outputs, in_chans=channels, **options)
    except Exception as error:
        raise ModelError(f"{model.name} cannot be built with options {options}: {described(error)}") from error
    check_model(built, model.name, shape, outputs)
    return built  # type: ignore[no-any-return]


def load_timm() -> Any:
    """The package; imported late, for it is an extra and slow to import.

    Raises:
        ModelError: it is not installed.
    """
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise ModelError("models of timm need the timm package: pip install 'dltrain[timm]'") from error


def checked_options(model: Model) -> dict[str, Any]:
    """The options for timm.create_model.

    Raises:
        ModelError: one is not the job's to give.
    """
    options = model.options or {}
    if decided := sorted(options.keys() & set(DECIDED)):
        raise ModelError(f"options of {model.name} must not hold {', '.join(decided)}: they follow from the data")
    if loading := sorted(options.keys() & set(DOWNLOADING)):
        raise ModelError(f"options of {model.name} must not hold {', '.join(loading)}: training starts from the seed")
    return options
