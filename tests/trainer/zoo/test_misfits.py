"""What a model that cannot be had, or does not fit the samples, says: one sentence, before training starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from dltrain_trainer.models.shapes import ModelError, Shape
from dltrain_trainer.models.zoo import build
from tests.trainer.zoo.cases import model_of

FUNCTIONS = "tests.trainer.zoo.functions"


def message(shape: Shape, name: str, **options: Any) -> str:
    """What is said of a model of three outputs that cannot be built for samples of a shape."""
    with pytest.raises(ModelError) as caught:
        build(model_of(name, **options), shape, 3)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "shape", "said"),
    [
        pytest.param(
            "cnn",
            {},
            (30,),
            "cnn needs images (channels, height, width), got samples of shape (30,)",
            id="cnn on a table",
        ),
        pytest.param(
            "cnn", {}, (1, 3, 9), "cnn needs samples of at least 4 x 4 pixels, got 3 x 9", id="too small for two blocks"
        ),
        pytest.param(
            "cnn",
            {"cnn": {"blocks": [{"channels": 2}] * 3 + [{"channels": 2, "pool": "none"}]}},
            (1, 9, 7),
            "cnn needs samples of at least 8 x 8 pixels, got 9 x 7",
            id="too small for three pooled blocks",
        ),
        pytest.param(
            "resnet50",
            {},
            (28, 28),
            "resnet50 needs images (channels, height, width), got samples of shape (28, 28)",
            id="residual network on sequences",
        ),
        pytest.param(
            "resnet18",
            {},
            (1, 8, 9),
            "resnet18 needs samples of at least 9 x 9 pixels, got 8 x 9",
            id="too small a side",
        ),
        pytest.param(
            "resnet34",
            {"resnet": {"stem": "imagenet"}},
            (3, 32, 32),
            "resnet34 with stem imagenet needs samples of at least 33 pixels on a side, got 32 x 32",
            id="too small for ImageNet's stem",
        ),
        pytest.param(
            "lstm",
            {},
            (30,),
            "lstm needs sequences (steps, features), got samples of shape (30,)",
            id="lstm on a table",
        ),
    ],
)
def test_samples_of_another_kind_or_size_are_refused(name: str, options: Any, shape: Shape, said: str) -> None:
    assert message(shape, name, **options) == said


@pytest.mark.parametrize(
    ("function", "options", "said"),
    [
        pytest.param(
            "nowhere:small", {}, f"there is no module nowhere in {Path.cwd()}, nor is it installed", id="no module"
        ),
        pytest.param(
            f"{FUNCTIONS}.sub:small",
            {},
            f"there is no module {FUNCTIONS}.sub in {Path.cwd()}, nor is it installed",
            id="no module in a package",
        ),
        pytest.param(
            f"{FUNCTIONS}:large",
            {},
            f"module {FUNCTIONS} ({Path(__file__).with_name('functions.py')}) has no function large",
            id="no function",
        ),
        pytest.param(
            f"{FUNCTIONS}:NUMBER",
            {},
            f"module {FUNCTIONS} ({Path(__file__).with_name('functions.py')}) has no function NUMBER",
            id="not a function",
        ),
        pytest.param(
            f"{FUNCTIONS}:small",
            {"depth": 2},
            f"{FUNCTIONS}:small failed: TypeError: small() got an unexpected keyword argument 'depth'",
            id="an option that it does not take",
        ),
        pytest.param(f"{FUNCTIONS}:failing", {}, f"{FUNCTIONS}:failing failed: KeyError: 'no such thing'", id="fails"),
        pytest.param(
            f"{FUNCTIONS}:nothing",
            {},
            f"{FUNCTIONS}:nothing must return a torch.nn.Module, it returns a NoneType",
            id="returns no module",
        ),
        pytest.param(
            f"{FUNCTIONS}:too_many",
            {},
            f"{FUNCTIONS}:too_many must return floating-point numbers of shape (N, 3), "
            "it returns torch.float32 of shape (N, 4)",
            id="too many outputs",
        ),
        pytest.param(
            f"{FUNCTIONS}:rounding",
            {},
            f"{FUNCTIONS}:rounding must return floating-point numbers of shape (N, 3), "
            "it returns torch.int64 of shape (N, 3)",
            id="whole numbers",
        ),
        pytest.param(
            f"{FUNCTIONS}:pair",
            {},
            f"{FUNCTIONS}:pair must return one tensor (N, 3), it returns a tuple",
            id="two outputs",
        ),
        *(
            pytest.param(
                f"{FUNCTIONS}:{function}",
                {},
                f"{FUNCTIONS}:{function} must have parameters that are trained (got none whose requires_grad is true)",
                id=f"nothing to train, {function}",
            )
            for function in ("frozen", "without_weights")
        ),
        pytest.param(
            f"{FUNCTIONS}:of_others",
            {},
            f"{FUNCTIONS}:of_others cannot take samples of shape (7,): "
            "RuntimeError: addmm: mat1 and mat2 shapes cannot be multiplied (2x7 and 99x3)",
            id="other inputs",
        ),
    ],
)
def test_a_function_that_builds_no_fitting_model_is_told_what_it_must_do(
    function: str, options: Any, said: str
) -> None:
    found = message((7,), function, options=options)
    assert found.partition(f" ({Path(__file__).with_name('functions.py')}, line")[0] == said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(
            "import missing_package\n",
            "module bad needs module missing_package, which is not installed",
            id="misses a package",
        ),
        pytest.param(
            "1 / 0\n", "module bad cannot be imported: ZeroDivisionError: division by zero (FILE, line 1)", id="fails"
        ),
        pytest.param(
            "def (\n", "module bad cannot be imported: SyntaxError: invalid syntax (bad.py, line 1)", id="no Python"
        ),
    ],
)
def test_a_module_that_cannot_be_imported_says_why_and_where(
    content: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.py").write_text(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "bad", raising=False)
    assert message((7,), "bad:small") == said.replace("FILE", str(tmp_path / "bad.py"))


@pytest.mark.parametrize(
    ("name", "options", "shape", "said"),
    [
        pytest.param(
            "timm/test_resnet",
            {},
            (7,),
            "timm/test_resnet needs images (channels, height, width), got samples of shape (7,)",
            id="on a table",
        ),
        pytest.param(
            "timm/test_resnets",
            {},
            (3, 32, 32),
            "timm has no model test_resnets; did you mean test_resnet?",
            id="misspelt",
        ),
        pytest.param(
            "timm/test_resnet",
            {"num_classes": 3},
            (3, 32, 32),
            "options of timm/test_resnet must not hold num_classes: they follow from the data",
            id="decided by the data",
        ),
        pytest.param(
            "timm/test_resnet",
            {"pretrained": True},
            (3, 32, 32),
            "options of timm/test_resnet must not hold pretrained: training starts from the seed",
            id="weights from elsewhere",
        ),
        pytest.param(
            "timm/test_resnet",
            {"depth": 1},
            (3, 32, 32),
            "timm/test_resnet cannot be built with options {'depth': 1}: "
            "TypeError: ResNet.__init__() got an unexpected keyword argument 'depth'",
            id="an option that it does not take",
        ),
        pytest.param(
            "timm/vit_tiny_patch16_224",
            {},
            (3, 32, 32),
            "timm/vit_tiny_patch16_224 cannot take samples of shape (3, 32, 32): "
            "AssertionError: Input height (32) doesn't match model (224).",
            id="images of another size",
        ),
    ],
)
def test_a_model_of_timms_that_cannot_be_had_says_why(name: str, options: Any, shape: Shape, said: str) -> None:
    assert message(shape, name, options=options) == said


def test_without_timm_its_models_say_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    said = "models of timm need the timm package: pip install 'dltrain[timm]'"
    assert message((3, 32, 32), "timm/test_resnet") == said
