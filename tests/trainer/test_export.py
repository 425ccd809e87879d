"""The exported model: what is in its files, and what reading it back gives."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from safetensors.torch import save as written
from torch import nn

import dltrain
from dltrain.api.model import Model
from dltrain_trainer.data.transforms.affine import Affine
from dltrain_trainer.data.transforms.denoise import Median
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.data.transforms.resize import Scaled
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.errors import CheckpointError
from dltrain_trainer.export import Artifact, load, save
from dltrain_trainer.export import artifact as module
from dltrain_trainer.models import Blueprint
from tests.trainer.builders import blueprint_of

MODELS = ("cnn", "resnet18", "linear", "mlp")
PREPROCESSING = Preprocessing([Affine([0.1 + 0.2, 2 / 3], [1 / 80, 1 / 90], 2)])


def artifact(name: str = "cnn") -> Artifact:
    """A model whose every number, running statistics included, is of its own."""
    blueprint = blueprint_of(name, (2, 9, 9))
    model = blueprint.build(4)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.rand(tensor.shape, generator=generator) / 10)
    return Artifact(blueprint, PREPROCESSING, model, "classification", ("a", "b", "c"))


def samples(count: int = 5) -> torch.Tensor:
    return torch.randint(0, 256, (count, 2, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_read_back_predicts_the_same_to_the_bit(tmp_path: Path, name: str) -> None:
    written = artifact(name)
    save(written, tmp_path, {}, samples())
    read = load(tmp_path)
    assert (read.blueprint, read.preprocessing.to_dict()) == (written.blueprint, PREPROCESSING.to_dict())
    assert (read.task, read.classes) == (written.task, written.classes)
    assert torch.equal(read.predict(samples()), written.predict(samples()))


class Tied(nn.Module):
    """A model that has a matrix twice and a layer under two names."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(inputs, 8), nn.Linear(8, 8), nn.Linear(8, outputs)
        self.again, self.third = self.first, nn.Linear(8, 8)
        self.third.weight = self.second.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.third(self.second(self.again(x.flatten(1)))))


def tied(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """As a job's model: module:function."""
    return Tied(math.prod(shape), outputs)


def test_a_model_with_tied_weights_is_exported(tmp_path: Path) -> None:
    blueprint = Blueprint(Model(name=f"{__name__}:tied"), (2, 9, 9), 3)
    written = Artifact(blueprint, PREPROCESSING, blueprint.build(4), "classification", ())
    save(written, tmp_path, {}, samples())
    assert torch.equal(load(tmp_path).predict(samples()), written.predict(samples()))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_prediction_is_the_evaluated_model_after_its_preprocessing_whatever_mode_it_was_in(name: str) -> None:
    one = artifact(name)
    with torch.no_grad():
        expected = one.model.eval()(PREPROCESSING(samples()))
    one.model.train()
    assert torch.equal(one.predict(samples()), expected)


def test_the_files_need_neither_pickle_nor_our_code(tmp_path: Path) -> None:
    one = artifact()
    save(one, tmp_path, {"accuracy": 0.5}, samples())
    assert json.loads((tmp_path / "model.json").read_text()) == {
        "formatVersion": 2,
        "edits": [],
        "dltrainVersion": dltrain.__version__,
        "model": {"name": "cnn", "inputShape": [2, 9, 9], "outputs": 3, "channelsLast": True},
        "task": "classification",
        "classes": ["a", "b", "c"],
        "input": {"type": "uint8", "shape": [2, 9, 9]},
        "preprocessing": PREPROCESSING.to_dict(),
        "metrics": {"accuracy": 0.5},
    }
    weights = load_file(tmp_path / "model.safetensors")
    assert weights.keys() == one.model.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in one.model.state_dict().items())


@pytest.mark.parametrize(
    ("steps", "shape"),
    [
        pytest.param(
            [Median(3), Scaled(9, 9, "bilinear", rounded=True), *PREPROCESSING.listed], [2, None, None], id="first"
        ),
        pytest.param([Median(3), *PREPROCESSING.listed], [2, 9, 9], id="not at all"),
        pytest.param([*PREPROCESSING.listed, Scaled(9, 9, "bilinear", rounded=False)], [2, 9, 9], id="later"),
    ],
)
def test_the_description_leaves_the_size_of_pictures_open_where_they_are_scaled_first(
    tmp_path: Path, steps: list[Step], shape: list[int | None]
) -> None:
    save(replace(artifact(), preprocessing=Preprocessing(steps)), tmp_path, {}, samples())
    assert json.loads((tmp_path / "model.json").read_text())["input"] == {"type": "uint8", "shape": shape}


def test_a_model_whose_training_diverged_is_exported_as_it_is(tmp_path: Path) -> None:
    one = artifact()
    nn.init.constant_(next(one.model.parameters()), torch.nan)
    save(one, tmp_path, {}, samples())
    assert load(tmp_path).predict(samples()).isnan().all()


def test_an_export_that_predicts_otherwise_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "serialize", lambda weights: written({name: one * 2 for name, one in weights.items()}))
    said = f"{tmp_path}: the exported model, read back, predicts otherwise than the trained one"
    with pytest.raises(CheckpointError, match=f"^{said}$"):
        save(artifact(), tmp_path, {}, samples())


# ---------------------------------------------------------------- what cannot be read
def change(folder: Path, *path: str, value: Any) -> None:
    """Replace a value of the description."""
    found = json.loads((folder / "model.json").read_text())
    place = found
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    (folder / "model.json").write_text(json.dumps(found))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda folder: (folder / "model.json").unlink(), id="no description"),
        pytest.param(lambda folder: (folder / "model.json").write_text("{"), id="a torn description"),
        pytest.param(lambda folder: (folder / "model.json").write_text("[]"), id="another description"),
        pytest.param(lambda folder: (folder / "model.safetensors").unlink(), id="no weights"),
        pytest.param(lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 99), id="damaged weights"),
        pytest.param(lambda folder: save_file({"a": torch.zeros(1)}, folder / "model.safetensors"), id="other weights"),
        pytest.param(lambda folder: change(folder, "model", "name", value="mlp9"), id="an unknown model"),
        pytest.param(lambda folder: change(folder, "model", "inputShape", value=[2]), id="an odd shape"),
        pytest.param(lambda folder: change(folder, "preprocessing", value=None), id="no preprocessing"),
    ],
)
def test_what_is_no_exported_model_is_refused_by_name(tmp_path: Path, damage: Any) -> None:
    save(artifact(), tmp_path, {}, samples())
    damage(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: is no exported model: ")


def test_another_format_is_said_with_who_wrote_it(tmp_path: Path) -> None:
    save(artifact(), tmp_path, {}, samples())
    change(tmp_path, "formatVersion", value=3)
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path)
    said = f"it has format 3 of dltrain {dltrain.__version__}, and this one reads format 2"
    assert str(caught.value) == f"{tmp_path}: is no exported model: {said}"


def test_a_storage_that_refuses_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(CheckpointError, match=r"^cannot write .*/model.safetensors: Is a directory; check that"):
        save(artifact(), tmp_path, {}, samples())
