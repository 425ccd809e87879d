"""Exported graphs predict as the models do, from raw samples, with nothing but ONNX Runtime and numpy."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import quantize_static
from torch import Tensor, nn

from dltrain_trainer.compression.calibration import Batches
from dltrain_trainer.compression.int8 import foreign_errors
from dltrain_trainer.data.transforms.affine import Affine
from dltrain_trainer.data.transforms.color import Color
from dltrain_trainer.data.transforms.contrast import Stretch
from dltrain_trainer.data.transforms.denoise import Gaussian, Median
from dltrain_trainer.data.transforms.missing import Fill
from dltrain_trainer.data.transforms.one_hot import Hot
from dltrain_trainer.data.transforms.pca import Project
from dltrain_trainer.data.transforms.preprocessing import Preprocessing
from dltrain_trainer.data.transforms.resize import Scaled
from dltrain_trainer.data.transforms.step import Step
from dltrain_trainer.export.exportable import Windows, exportable
from dltrain_trainer.export.graph import ExportError, run, session
from dltrain_trainer.export.onnx import export_onnx, preprocessing_graph
from dltrain_trainer.export.program import export_program
from tests.trainer.onnx.graphs import exported, preprocessing_of, raw_of, trained

QUICK = ("linear", "mlp", "cnn", "lstm", "resnet18", "resnet50", "timm", "timm with options")
"""Of each kind of layer one: an export takes seconds."""

STRANGER = """
import sys
import importlib.abc
class Only(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in {"torch", "onnx", "dltrain", "dltrain_trainer", "safetensors", "scipy", "sklearn", "PIL"}:
            raise ImportError(name + " is not installed here")
sys.meta_path.insert(0, Only())
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
for name in sys.argv[1:]:
    session = onnxruntime.InferenceSession(name + ".onnx", options, providers=["CPUExecutionProvider"])
    numpy.save(name + ".found.npy", session.run(None, {"input": numpy.load(name + ".npy")})[0])
assert "torch" not in sys.modules
"""


def test_a_stranger_with_only_onnxruntime_and_numpy_gets_the_predictions_of_every_model(tmp_path: Path) -> None:
    names = [str(tmp_path / str(number)) for number, _ in enumerate(QUICK)]
    for name, case in zip(names, QUICK, strict=True):
        Path(f"{name}.onnx").write_bytes(exported(case).content)
        np.save(f"{name}.npy", raw_of(case, 5).numpy())
    subprocess.run([sys.executable, "-c", STRANGER, *names], check=True, timeout=120)
    for name, case in zip(names, QUICK, strict=True):
        with torch.no_grad():
            wanted = trained(case)(preprocessing_of(case)(raw_of(case, 5)))
        assert np.allclose(np.load(f"{name}.found.npy"), wanted.numpy(), atol=1e-4), case


@pytest.mark.parametrize("case", QUICK)
def test_the_difference_and_the_opset_are_stated(case: str) -> None:
    assert exported(case).max_difference < 1e-4
    assert exported(case).opset == 21


@pytest.mark.parametrize("case", QUICK)
def test_each_set_of_operators_is_imported_once(case: str) -> None:
    found = [entry.domain for entry in onnx.load_from_string(exported(case).content).opset_import]
    assert len(found) == len(set(found))


def test_onnx_runtime_s_own_tool_quantises_an_exported_file(tmp_path: Path) -> None:
    before, after = tmp_path / "before.onnx", tmp_path / "after.onnx"
    before.write_bytes(exported("cnn").content)
    with foreign_errors():
        quantize_static(str(before), str(after), Batches(raw_of("cnn").numpy()))
    assert after.stat().st_size < before.stat().st_size


UNIT = Affine([0.0], [1 / 255], 2)
IMAGES = torch.randint(0, 256, (6, 3, 12, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
ROWS = torch.tensor([[0.0, 2.0, -1.0], [1.0, torch.nan, 3.0], [2.0, 2.0, torch.nan], [1.0, 0.5, 7.0]])
TABLE = [
    Fill([None, 1.5, 2.5]),
    Hot([0, 0, 1, 2], [0.0, 1.0, None, None]),
    Affine([0.0, 0.0, 1.0, 2.0], [1.0, 1.0, 3.0, 0.5], 0),
    Project([0.1, 0.2, 0.3, 0.4], [[1.0, 0.0, 2.0, 0.5], [0.0, 1.0, -1.0, 0.25]], flatten=False),
]


@pytest.mark.parametrize(
    ("steps", "raw"),
    [
        pytest.param([], IMAGES, id="none"),
        pytest.param([Median(5), Gaussian(0.8, rounded=True), UNIT, Stretch(2.0, 98.0, 1.0)], IMAGES, id="bytes"),
        pytest.param(
            [Median(3), Scaled(24, 20, "bicubic", rounded=False), UNIT, Color("rgb", "lab")], IMAGES, id="larger, lab"
        ),
        pytest.param(
            [
                Scaled(9, 11, "nearest", rounded=True),
                UNIT,
                *(Color(*pair) for pair in (("rgb", "hsv"), ("hsv", "rgb"), ("rgb", "ycbcr"), ("ycbcr", "gray"))),
            ],
            IMAGES,
            id="colours",
        ),
        pytest.param(
            [UNIT, Color("rgb", "gray"), Color("gray", "rgb"), Project([0.5] * 360, [[0.1] * 360], flatten=True)],
            IMAGES,
            id="projected images",
        ),
        pytest.param(TABLE, ROWS, id="table"),
        pytest.param(TABLE, torch.stack([ROWS] * 3), id="series"),
    ],
)
def test_every_step_of_preprocessing_is_in_the_graph(steps: list[Step], raw: Tensor) -> None:
    preprocessing = Preprocessing(steps)
    runtime = session(preprocessing_graph(preprocessing, raw))
    for size in (1, len(raw)):
        found, wanted = run(runtime, raw[:size].numpy()), preprocessing(raw[:size]).numpy()
        assert np.allclose(found, wanted, atol=2e-4)


def test_the_steps_of_the_graph_are_copies_so_that_those_of_the_model_stay_on_its_device() -> None:
    given = [UNIT, Median(5), Affine([0.5], [2.0], 2)]
    made = exportable(given)
    assert [type(step) for step in made.steps] == [Affine, Windows, Affine]
    assert not {id(step) for step in given} & {id(step) for step in made.steps}


SIZES = ((40, 31), (12, 10), (6, 5), (7, 90), (5, 4), (1, 1))
"""Of raw pictures: larger and smaller than 6 x 5, and the same."""
FIRST_STEPS = {
    "bilinear": [Scaled(6, 5, "bilinear", rounded=True)],
    "bicubic": [Scaled(6, 5, "bicubic", rounded=True)],
    "nearest": [Scaled(6, 5, "nearest", rounded=True)],
    "median before": [Median(3), Scaled(6, 5, "bilinear", rounded=True)],
    "wide median before": [Median(5), Scaled(6, 5, "bicubic", rounded=True)],
    "gaussian before": [Gaussian(0.8, rounded=True), Scaled(6, 5, "bilinear", rounded=True)],
    "several": [Scaled(9, 9, "nearest", rounded=True), Median(3), Scaled(6, 5, "bilinear", rounded=True)],
}


def pictures(size: tuple[int, int]) -> Tensor:
    """Four raw pictures of a size."""
    return torch.randint(0, 256, (4, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("steps", FIRST_STEPS.values(), ids=FIRST_STEPS)
def test_pictures_of_any_size_are_scaled_in_the_graph_and_differ_in_ties_only(steps: list[Step]) -> None:
    preprocessing = Preprocessing(steps)
    runtime = session(preprocessing_graph(preprocessing, IMAGES))
    apart = [run(runtime, pictures(size).numpy()) - preprocessing(pictures(size)).numpy() for size in SIZES]
    values, counts = np.unique(np.abs(apart), return_counts=True)
    assert set(values) <= {0.0, 1.0}
    assert counts[1:].sum() < 0.005 * counts.sum()


SCALED = Scaled(12, 10, "bilinear", rounded=True)


def axes_of(graph: onnx.GraphProto) -> list[list[str | int]]:
    """The lengths of the axes of a graph's input and output, or their names where they have any length."""
    values = (graph.input[0], graph.output[0])
    return [[axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values]


@pytest.mark.parametrize(
    ("steps", "axes"),
    [
        pytest.param([Median(3), SCALED, UNIT], ["batch", 3, "height", "width"], id="scaled first"),
        pytest.param([Median(3), UNIT], ["batch", 3, 12, 10], id="not scaled"),
        pytest.param([UNIT, Scaled(12, 10, "bilinear", rounded=False)], ["batch", 3, 12, 10], id="scaled later"),
    ],
)
def test_a_graph_says_which_size_its_pictures_may_have(steps: list[Step], axes: list[str | int]) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(360, 2))
    exported = onnx.load_from_string(export_onnx(model, Preprocessing(steps), IMAGES).content)
    assert axes_of(exported.graph) == [axes, ["batch", 2]]


@pytest.mark.parametrize("steps", FIRST_STEPS.values(), ids=FIRST_STEPS)
def test_a_program_takes_pictures_of_any_size_too(steps: list[Step]) -> None:
    model, preprocessing = nn.Sequential(nn.Flatten(), nn.Linear(90, 2)).eval(), Preprocessing([*steps, UNIT])
    program = torch.export.load(io.BytesIO(export_program(model, preprocessing, pictures((6, 5))))).module()
    with torch.no_grad():
        for size in SIZES[:-1]:
            assert torch.allclose(program(pictures(size)), model(preprocessing(pictures(size))), atol=1e-5)


@pytest.mark.parametrize("case", ["linear", "lstm"])
def test_one_sample_is_enough_to_export_what_takes_batches_of_any_size(case: str) -> None:
    model, preprocessing = trained(case), preprocessing_of(case)
    program = torch.export.load(io.BytesIO(export_program(model, preprocessing, raw_of(case, 1)))).module()
    graph = session(export_onnx(model, preprocessing, raw_of(case, 1)).content)
    for size in (1, 5):
        raw = raw_of(case, size)
        with torch.no_grad():
            wanted = model(preprocessing(raw))
            assert torch.allclose(program(raw), wanted, atol=1e-5)
        assert np.allclose(run(graph, raw.numpy()), wanted.numpy(), atol=1e-4)


class Blind(Median):
    """A step that a graph has otherwise for pictures of another size than the exported ones are scaled to."""

    def forward(self, batch: Tensor) -> Tensor:
        return batch if torch.compiler.is_exporting() or batch.shape[2] == 12 else 255 - batch


def test_a_graph_that_predicts_otherwise_for_pictures_of_another_size_does_not_count() -> None:
    steps = [Blind(3), SCALED, UNIT]
    with pytest.raises(ExportError, match="the onnx graph predicts otherwise than the model, by "):
        export_onnx(nn.Sequential(nn.Flatten(), nn.Linear(360, 2)), Preprocessing(steps), IMAGES)


class Inverse(Step):
    """A step with an operation that ONNX lacks."""

    name = "inverse"

    def forward(self, batch: Tensor) -> Tensor:
        return torch.linalg.inv(batch)


def test_a_step_that_onnx_cannot_hold_is_named() -> None:
    square = torch.rand(4, 1, 3, 3)
    with pytest.raises(ExportError, match=r"^spec.pipeline.data.transforms: onnx cannot hold the step inverse; remove"):
        export_onnx(nn.Flatten(), Preprocessing([UNIT, Inverse()]), square)


class Odd(nn.Module):
    """A model whose answers depend on what no graph can see."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(3, 2), 0

    def forward(self, batch: Tensor) -> Tensor:
        return self.layer(batch) + (0.0 if torch.compiler.is_exporting() else 1.0)


def test_a_graph_that_predicts_otherwise_does_not_count() -> None:
    with pytest.raises(ExportError, match="predicts otherwise than the model, by 1"):
        export_onnx(Odd(), Preprocessing([]), ROWS.nan_to_num(0))
