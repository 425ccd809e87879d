"""From text to a job: what is read, and what is said when it is no job."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dltrain import DLTrainJob, Metadata, Train
from dltrain.api.document import dump, load_document
from dltrain.api.parse import parse_job, parse_job_file, stored_job
from dltrain.errors import ClusterError, Problem, SpecError
from tests.sdk.builders import HEAD, PIPELINE, document

JOB = """
apiVersion: dltrain.io/v1alpha1
kind: DLTrainJob
metadata: {name: a}
spec: {command: ["true"]}
"""


def problems(source: str | dict[str, Any]) -> list[str]:
    """What is said of a job that is none."""
    with pytest.raises(SpecError) as caught:
        parse_job(source)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "must hold exactly one job (got no document); write one job a file", id="nothing"),
        pytest.param("# x\n---\n", "must hold exactly one job (got no document); write one job a file", id="a comment"),
        pytest.param(
            JOB + "---" + JOB, "must hold exactly one job (got 2 documents); write one job a file", id="two documents"
        ),
        pytest.param(
            "[a]", 'must be a mapping (got ["a"]); start with apiVersion:, kind:, metadata:, spec:', id="a list"
        ),
        pytest.param(
            JOB + "metadata: {name: b}",
            "is not valid YAML: key 'metadata' is given twice in line 6, column 1; "
            "correct that line; indent with spaces",
            id="a key given twice",
        ),
        pytest.param(
            JOB.replace("{name: a}", "{name: a, labels: {x: y, x: z}}"),
            "is not valid YAML: key 'x' is given twice in line 4, column 36; correct that line; indent with spaces",
            id="a key given twice inside",
        ),
        pytest.param(
            "spec:\n\tworkers: 1",
            "is not valid YAML: found character '\\t' that cannot start any token in line 2, column 1; "
            "correct that line; indent with spaces",
            id="a tab",
        ),
        pytest.param(
            "a: b: c",
            "is not valid YAML: mapping values are not allowed here in line 1, column 5; "
            "correct that line; indent with spaces",
            id="two colons",
        ),
        pytest.param(
            "a: &x [*x]",
            "holds what JSON cannot: Circular reference detected; write plain values",
            id="an anchor within itself",
        ),
        pytest.param(
            "a: !!set {b}",
            "holds what JSON cannot: Object of type set is not JSON serializable; write plain values",
            id="a set",
        ),
        pytest.param("a: " + "[" * 1500, "is nested too deeply; flatten it", id="very many brackets"),
    ],
)
def test_what_is_no_job_file_is_said_with_its_place(text: str, said: str) -> None:
    assert problems(text) == [f"document: {said}"]


def test_control_characters_are_refused() -> None:
    assert "special characters are not allowed" in problems("a: \x07")[0]


def test_json_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(
        '\ufeff{"apiVersion": "dltrain.io/v1alpha1", "kind": "DLTrainJob", "metadata": {"name": "a"}, '
        '"spec": {"command": ["true"]}}',
        encoding="utf-8",
    )
    assert parse_job_file(file) == parse_job(document())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(lambda path: None, "cannot read FILE: No such file or directory; check the path", id="none there"),
        pytest.param(lambda path: path.mkdir(), "cannot read FILE: Is a directory; check the path", id="a folder"),
        pytest.param(
            lambda path: path.write_bytes(JOB.replace("a}", "é}").encode("latin-1")),
            "FILE is not UTF-8 text; save it as UTF-8",
            id="Latin-1",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: Any, said: str) -> None:
    file = tmp_path / "job.yaml"
    make(file)
    with pytest.raises(SpecError) as caught:
        parse_job_file(file)
    assert str(caught.value) == f"document: {said.replace('FILE', str(file))}"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        pytest.param("1e-3", 0.001, id="an exponent"),
        pytest.param("2.0", 2, id="a whole number with a fraction"),
        pytest.param("0.1", 0.1, id="a fraction"),
        pytest.param("1_000", 1000, id="digits in groups"),
        pytest.param("010", 8, id="octal"),
        pytest.param("0x1F", 31, id="hexadecimal"),
        pytest.param("-5", -5, id="negative"),
        pytest.param("12:30", "12:30", id="a time of day"),
        pytest.param("2026-01-31", "2026-01-31", id="a date"),
        pytest.param("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z", id="a moment"),
        pytest.param("=", "=", id="an equals sign"),
        pytest.param("yes", True, id="yes"),
        pytest.param("~", None, id="a tilde"),
        pytest.param("1.2.3", "1.2.3", id="a version"),
        pytest.param("1e", "1e", id="nearly an exponent"),
        pytest.param("'1'", "1", id="quoted"),
    ],
)
def test_plain_values_are_read_as_kubectl_reads_them(written: str, value: Any) -> None:
    read = load_document(f"value: {written}")["value"]
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param(
            {"command": ["x"], "worker": {"replicas": 2}},
            "spec.worker: is not a field; did you mean workers?",
            id="near",
        ),
        pytest.param(
            {"command": ["x"], "checkpoint": {"interval": 5}},
            "spec.checkpoint.interval: is not a field (got 5); remove it; known here: everySeconds, keep",
            id="far from all",
        ),
        pytest.param(
            {"pipeline": {**PIPELINE, "train": {"optimizer": {"learningRate": 0.1}}}},
            "spec.pipeline.train.optimizer.learningRate: is not a field (got 0.1); "
            "remove it; known here: beta1, beta2, epsilon, lr, momentum, name, nesterov, referenceBatchSize, "
            "trustCoefficient",
            id="deep inside",
        ),
        pytest.param(
            {"pipeline": {**PIPELINE, "data": {"source": "fashion-mnist", "transforms": [{"normalise": {}}]}}},
            "spec.pipeline.data.transforms[0].normalise: is not a field; did you mean normalize?",
            id="in a list",
        ),
    ],
)
def test_an_unknown_field_names_the_nearest_one(spec: dict[str, Any], said: str) -> None:
    assert said in problems(document(spec))


def test_an_unknown_field_of_the_metadata_is_not_dropped_in_silence() -> None:
    assert problems(document(lables={})) == ["metadata.lables: is not a field; did you mean labels?"]


def test_every_problem_is_told_at_once() -> None:
    spec = {"workers": {"replicas": "2", "slots": 1}, "command": [], "runPolicy": {"backoffLimit": -1, "suspend": "no"}}
    assert problems({"metadata": {"name": "A"}, "spec": spec}) == [
        (
            "metadata.name: must be at most 52 lower-case letters, digits and dashes, starting with a letter, "
            'not ending with a dash (got "A"); choose such a name'
        ),
        "spec.command: must have 1 or more entries (got 0); add what is missing",
        "spec.runPolicy.backoffLimit: must be at least 0 (got -1); set 0 or more",
        'spec.runPolicy.suspend: must be true or false (got "no"); write true or false, without quotes',
        'spec.workers.replicas: must be a whole number (got "2"); write digits only, without quotes',
        "spec.workers.slots: is not a field (got 1); did you mean slotsPerWorker?",
    ]


def test_a_file_without_kind_is_refused_together_with_what_else_is_wrong() -> None:
    assert problems("{metadata: {name: a}, spec: {}}") == [
        "apiVersion: is required; add it",
        "kind: is required; add it",
        "spec: must set exactly one of pipeline, command (got 0); set one and remove the others",
    ]


def test_a_rule_is_told_at_the_field_at_fault() -> None:
    limits = {"nvidia.com/gpu": "500m"}
    assert problems(document({"command": ["x"], "workers": {"resources": {"limits": limits}}})) == [
        (
            "spec.workers.resources.limits[nvidia.com/gpu]: must ask for whole GPUs (got 500m); "
            "set nvidia.com/gpu to a whole number without a unit"
        )
    ]


def test_a_long_value_is_shortened() -> None:
    said = problems(document({"command": ["x"], "storage": {"claimName": "X" * 300}}))
    assert max(len(line) for line in said) < 250
    assert '(got "XXX' in said[0]


def test_a_problem_is_its_parts() -> None:
    with pytest.raises(SpecError) as caught:
        parse_job(document({"command": ["x"], "workers": {"replicas": 0}}))
    assert caught.value.problems == (Problem("spec.workers.replicas", "must be at least 1", "0", "set 1 or more"),)


def test_a_job_dumped_as_yaml_is_read_back() -> None:
    job = parse_job(document({"pipeline": PIPELINE, "workers": {"template": {"spec": {"x": ["1", 1, None]}}}}))
    assert parse_job(yaml.safe_dump(job.to_dict())) == job


@pytest.mark.parametrize(
    "text", ["08", "1e3", "4e123456", "010", "12:30", "2026-01-31", "yes", "~", "", "=", "0x1F", ".5"]
)
def test_text_that_looks_like_something_else_is_dumped_in_quotes(text: str) -> None:
    dumped = dump({"value": text})
    assert dumped == f"value: '{text}'\n"
    assert load_document(dumped) == yaml.safe_load(dumped) == {"value": text}


def test_a_job_of_a_newer_cluster_is_shown_without_what_is_unknown_here() -> None:
    spec = {"command": ["x"], "timeTravel": {"years": 1}, "workers": {"spares": 1}}
    stored = {**document(spec, managedFields=[]), "status": {"forecast": 1}, "new": {}}
    assert stored_job(stored).to_manifest() == document({"command": ["x"], "workers": {}})


def test_a_stored_job_need_not_keep_todays_rules() -> None:
    assert stored_job(document({})).name == "a"


def test_a_stored_job_that_cannot_be_understood_is_an_error_of_the_cluster() -> None:
    spec = {"pipeline": {**PIPELINE, "train": {"loss": "contrastive"}}}
    with pytest.raises(ClusterError) as caught:
        stored_job(document(spec))
    assert str(caught.value) == (
        "job a was stored by another version of dltrain: spec.pipeline.train.loss: must be 'crossEntropy', "
        "'bceWithLogits', 'mse' or 'huber' (got \"contrastive\"); choose one of these; upgrade this one"
    )


@pytest.mark.parametrize("name", HEAD)
def test_another_kind_of_object_is_refused(name: str) -> None:
    assert problems({**document(), name: "Pod"})[0].startswith(f"{name}: must be '{HEAD[name]}' (got \"Pod\"); write")


@pytest.mark.parametrize(
    ("make", "problems"),
    [
        pytest.param(
            lambda: Train(epochs=0, globalBatch=8),  # type: ignore[call-arg]  # the mistake
            [
                "epochs: must be at least 1 (got 0); set 1 or more",
                "globalBatch: is not a field (got 8); did you mean globalBatchSize?",
            ],
            id="two mistakes",
        ),
        pytest.param(
            lambda: Train(epochs="ten"),
            ['epochs: must be a whole number (got "ten"); write digits only'],
            id="a word for a number",
        ),
        pytest.param(
            lambda: DLTrainJob(metadata=Metadata(name="x"), spec={"workers": {"replicas": 0}}),
            ["spec.workers.replicas: must be at least 1 (got 0); set 1 or more"],
            id="below",
        ),
    ],
)
def test_models_made_in_python_are_checked_in_the_same_words(make: Callable[[], object], problems: list[str]) -> None:
    with pytest.raises(SpecError) as refused:
        make()
    assert [str(problem) for problem in refused.value.problems] == problems
