"""A model that a function of the user's own builds."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from dltrain.api.model import Model
from dltrain_trainer.models.shapes import ModelError, Shape
from dltrain_trainer.models.trial import check_model, described


def user_model(shape: Shape, outputs: int, model: Model) -> nn.Module:
    """Build the model with the function that its name gives as module:function.

    Args:
        shape: of a sample.
        outputs: how many values it returns.
        model: the job's options: name, and options, which the function takes by name.

    Returns:
        A module from (N, *shape) to (N, outputs).

    Raises:
        ModelError: there is no such function, it fails, or what it returns is no such module.
    """
    function = load_function(model.name)
    try:
        built = function(shape, outputs, **(model.options or {}))
    except Exception as error:
        raise ModelError(f"{model.name} failed: {described(error)}{place_of(error)}") from error
    if not isinstance(built, nn.Module):
        raise ModelError(f"{model.name} must return a torch.nn.Module, it returns a {type(built).__name__}")
    check_model(built, model.name, shape, outputs)
    return built


def load_function(name: str) -> Callable[..., Any]:
    """The function that a name stands for; its module is imported, from the working directory or what is installed.

    Args:
        name: module:function.

    Raises:
        ModelError: there is none, or its module cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ModelError(f"module {module_name} needs module {error.name}, which is not installed") from error
        raise ModelError(f"there is no module {error.name} in {Path.cwd()}, nor is it installed") from error
    except Exception as error:
        raise ModelError(f"module {module_name} cannot be imported: {described(error)}{place_of(error)}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ModelError(f"module {module_name} ({module.__file__}) has no function {function_name}")
    return function  # type: ignore[no-any-return]


def place_of(error: BaseException) -> str:
    """The innermost line of the user's own code that an error has passed through; nothing if there is none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_own(frame.filename)]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def is_own(file: str) -> bool:
    """Whether a file is in the working directory, and neither this one nor of an installed package."""
    return file.startswith(str(Path.cwd())) and file != __file__ and "site-packages" not in file
