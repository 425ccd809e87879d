"""Quantised graphs: smaller, near the original, and the layers that hurt most back in fp32 where that is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from dltrain.api.compress import Quantize
from dltrain_trainer.compression.calibration import calibration_indices
from dltrain_trainer.compression.hardware import Processor, parse_processor
from dltrain_trainer.compression.latency import Timings, compare_speed, in_turns, latency_of, thread_counts
from dltrain_trainer.compression.measurement import alike
from dltrain_trainer.compression.memory import peak_memory
from dltrain_trainer.compression.problems import CompressionError
from dltrain_trainer.compression.quantization import quantize
from dltrain_trainer.compression.stored_weights import rounded
from dltrain_trainer.export.graph import INPUT, OPSET, OUTPUT, run, session

GENERATOR = np.random.default_rng(0)
SAMPLES = GENERATOR.normal(size=(64, 3, 8, 8)).astype(np.float32)
SEQUENCES = GENERATOR.normal(size=(64, 5, 6)).astype(np.float32)


def constant(name: str, *shape: int) -> TensorProto:
    return numpy_helper.from_array((GENERATOR.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32), name)


def model(nodes: list[Any], constants: list[TensorProto], shape: list[Any], classes: int = 4) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", classes])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def convolutional() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", [INPUT, "w1"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["c"], "second", pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMean", ["c", "axes"], ["d"], keepdims=0),
        helper.make_node("Gemm", ["d", "w3"], [OUTPUT], "last", transB=1),
    ]
    axes = numpy_helper.from_array(np.array([2, 3], np.int64), "axes")
    weights = [constant("w1", 32, 3, 3, 3), constant("w2", 33, 32, 3, 3), constant("w3", 4, 33), axes]
    return model(nodes, weights, [3, 8, 8])


def recurrent() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Transpose", [INPUT], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "w", "r"], ["", "h"], "lstm", hidden_size=16),
        helper.make_node("Squeeze", ["h", "zero"], ["s"]),
        helper.make_node("MatMul", ["s", "m"], ["u"], "middle"),
        helper.make_node("MatMul", ["u", "v"], [OUTPUT], "last"),
    ]
    zero = numpy_helper.from_array(np.array([0], np.int64), "zero")
    weights = [constant("w", 1, 64, 6), constant("r", 1, 64, 16), constant("m", 16, 40), constant("v", 40, 4), zero]
    return model(nodes, weights, [5, 6])


GRAPHS = {"convolutional": (convolutional(), SAMPLES), "recurrent": (recurrent(), SEQUENCES)}


def never(_: onnx.ModelProto) -> bool:
    return False


@pytest.mark.parametrize(
    ("graph", "fields", "error", "size"),
    [
        pytest.param("convolutional", {"method": "static"}, 0.03, 0.5, id="static"),
        pytest.param("convolutional", {"calibration": "entropy"}, 0.3, 0.5, id="static, entropy"),
        pytest.param(
            "convolutional", {"calibration": "percentile", "percentile": 99.9}, 0.2, 0.5, id="static, percentile"
        ),
        pytest.param("convolutional", {"perChannel": False}, 0.05, 0.5, id="static, one scale a tensor"),
        pytest.param("recurrent", {"method": "dynamic"}, 0.05, 0.7, id="dynamic, lstm and linear"),
        pytest.param("convolutional", {"method": "weightOnly"}, 0.02, 0.4, id="8 bits"),
        pytest.param("recurrent", {"method": "weightOnly"}, 0.02, 0.7, id="8 bits, lstm and linear"),
        pytest.param("convolutional", {"method": "weightOnly", "bits": 4}, 0.3, 0.3, id="4 bits"),
        pytest.param("recurrent", {"method": "weightOnly", "bits": 4}, 0.3, 0.65, id="4 bits, lstm and linear"),
        pytest.param("convolutional", {"method": "fp16"}, 1e-3, 0.6, id="fp16"),
        pytest.param("recurrent", {"method": "bf16"}, 1e-2, 0.7, id="bf16"),
    ],
)
def test_a_quantised_graph_is_smaller_and_near_the_original(
    graph: str, fields: dict[str, Any], error: float, size: float
) -> None:
    original, samples = GRAPHS[graph]
    before = original.SerializeToString()
    spec = Quantize.model_validate({**fields, **({"maxFloatLayers": 0} if "method" not in fields else {})})
    found = quantize(original, samples, spec, lambda _: True).graph
    wanted = run(session(original), samples)
    assert np.abs(run(session(found), samples) - wanted).max() <= error * np.abs(wanted).max()
    assert not np.array_equal(run(session(found), samples), wanted)
    assert found.ByteSize() <= size * original.ByteSize()
    assert original.SerializeToString() == before


def test_quantising_twice_gives_the_same_bytes() -> None:
    original, samples = GRAPHS["convolutional"]
    first, second = (quantize(original, samples, Quantize(), lambda _: True).graph for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


def test_the_layers_that_hurt_most_go_back_to_fp32_one_by_one_until_it_is_good_enough() -> None:
    original = onnx.ModelProto()
    original.CopyFrom(GRAPHS["convolutional"][0])
    spoilt = next(one for one in original.graph.initializer if one.name == "w2")
    values = numpy_helper.to_array(spoilt).copy()
    values[:, 0, 0, 0] += 200  # one weight that all levels go to: the others of its row become 0
    spoilt.CopyFrom(numpy_helper.from_array(values, "w2"))
    asked: list[int] = []

    def second_time(graph: onnx.ModelProto) -> bool:
        asked.append(graph.ByteSize())
        return len(asked) == 2

    assert quantize(original, SAMPLES, Quantize(), second_time).float_layers == ("second",)
    assert asked[1] > asked[0]
    assert len(quantize(original, SAMPLES, Quantize(max_float_layers=2), never).float_layers) == 2
    assert quantize(original, SAMPLES, Quantize(max_float_layers=0), never).float_layers == ()


@pytest.mark.parametrize(
    ("method", "message"),
    [
        pytest.param("static", "no linear or convolution layer", id="static"),
        pytest.param("dynamic", "no linear or lstm layer", id="dynamic"),
        pytest.param("weightOnly", "no weights that are worth it", id="weights"),
        pytest.param("fp16", "no weights that are worth it", id="half"),
    ],
)
def test_a_graph_without_such_layers_is_refused(method: Any, message: str) -> None:
    bare = model([helper.make_node("Relu", [INPUT], [OUTPUT])], [], [4])
    with pytest.raises(CompressionError, match=message):
        quantize(bare, np.ones((4, 4), np.float32), Quantize(method=method), never)


def test_weights_that_16_bits_cannot_hold_are_refused() -> None:
    large = numpy_helper.from_array(np.full((200, 4), 1e5, np.float32), "w")
    graph = model([helper.make_node("MatMul", [INPUT, "w"], [OUTPUT])], [large], [200])
    with pytest.raises(CompressionError, match="larger than fp16 can hold; use bf16"):
        quantize(graph, np.ones((4, 200), np.float32), Quantize(method="fp16"), never)
    assert quantize(graph, np.ones((4, 200), np.float32), Quantize(method="bf16"), never).graph.ByteSize() < 2000


def test_each_block_of_a_row_has_its_own_scale_and_errs_by_half_a_level() -> None:
    matrix = np.array([[7.0, -3.4, 0, 0, 70, 10], [0, 0, 0, 0, 0.9, 2]], np.float32)
    integers, scales = rounded(matrix, 4, 7)
    assert scales[:, :, 0].tolist() == pytest.approx(np.array([[1, 10], [1, 2 / 7]]))
    assert integers.tolist() == [[[7, -3, 0, 0], [7, 1, 0, 0]], [[0, 0, 0, 0], [3, 7, 0, 0]]]


def test_calibration_draws_the_same_samples_for_the_same_seed() -> None:
    first = calibration_indices(1000, 100, seed=3)
    assert torch.equal(first, calibration_indices(1000, 100, seed=3))
    assert not torch.equal(first, calibration_indices(1000, 100, seed=4))
    assert len(first.unique()) == 100
    assert 300 < float(first.double().mean()) < 700
    with pytest.raises(ValueError, match=r"at most the 5 samples of the training split \(got 6\)"):
        calibration_indices(5, 6, seed=0)


@pytest.mark.parametrize(
    ("flags", "name", "saturates"),
    [
        pytest.param("sse2 avx2 fma", "AVX2", True, id="no vnni"),
        pytest.param("avx2 avx512f", "AVX-512", True, id="avx-512 without vnni"),
        pytest.param("avx2 avx512f avx512_vnni", "AVX-512 VNNI", False, id="vnni"),
        pytest.param("avx2 avx_vnni", "AVX-VNNI", False, id="vnni without avx-512"),
    ],
)
def test_the_instruction_set_decides_how_many_bits_int8_weights_may_use(flags: str, name: str, saturates: bool) -> None:
    core = f"model name : Some CPU\nflags : {flags}\n"
    text = f"processor : 0\n{core}\nprocessor : 1\n{core}"
    assert parse_processor(text, 2) == Processor("Some CPU", 2, name)
    assert parse_processor(text, 2).saturates == saturates


class Clock:
    """Time that passes by itself and with work."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


def test_two_functions_are_timed_in_turns_within_a_budget() -> None:
    clock = Clock()
    timings = in_turns(lambda: clock.work(0.2), lambda: clock.work(0.1), budget=6.0, clock=clock)
    assert timings.speedup == pytest.approx(2.0)
    assert len(timings.original) == len(timings.candidate) == 20
    slow = in_turns(lambda: clock.work(2.0), lambda: clock.work(1.0), budget=0.1, clock=clock)
    assert len(slow.original) == 15


def test_what_slows_both_for_a_while_falls_out_of_the_speedup() -> None:
    assert Timings((2, 2, 20, 2), (1, 1, 10, 1)).speedup == 2


def test_percentiles_are_in_milliseconds() -> None:
    found = latency_of([0.001 * n for n in range(101)], 8, 1)
    assert (found.p50_milliseconds, found.p95_milliseconds) == pytest.approx((50, 95))


@pytest.mark.parametrize(("cores", "counts"), [(1, (1,)), (2, (1, 2)), (64, (1, 64))])
def test_one_thread_and_all(cores: int, counts: tuple[int, ...]) -> None:
    assert thread_counts(cores) == counts


def test_speed_and_memory_are_measured_in_onnx_runtime() -> None:
    original, samples = GRAPHS["convolutional"]
    timings, speedup = compare_speed(original, original, samples[:2], budget=0.05)
    assert {batch for batch, _ in timings} == {1, 8, 32}
    assert 0.3 < speedup < 3
    assert 2**16 < peak_memory(original.SerializeToString(), samples[:2]) < 2**29


@pytest.mark.parametrize(
    ("task", "other", "share"),
    [
        pytest.param("classification", [[0.6, 0.4], [0.6, 0.4]], 0.5, id="classes"),
        pytest.param("multilabel", [[0.6, 0.4], [0.1, 0.2]], 0.5, id="labels"),
        pytest.param("regression", [[0.901, 0.1], [0.1, 0.7]], 0.5, id="numbers"),
    ],
)
def test_agreement_is_the_share_of_samples_answered_alike(task: Any, other: list[list[float]], share: float) -> None:
    assert alike(np.array([[0.9, 0.1], [0.1, 0.9]]), np.array(other), task, np.full(2, 0.4)).mean() == share
