"""`--set PATH=VALUE` changes a job file, and is validated like the file itself."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dltrain.errors import SpecError
from dltrain.overrides import load_job, put
from tests.sdk.builders import PIPELINE, document

SPEC = {"pipeline": {**PIPELINE, "data": {"source": "fashion-mnist", "transforms": [{"normalize": {}}]}}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A job file."""
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(document(SPEC)))
    return path


def value_at(value: Any, *way: Any) -> Any:
    """What stands at a place of a manifest."""
    for step in way:
        value = value[step]
    return value


@pytest.mark.parametrize(
    ("override", "way", "value"),
    [
        pytest.param("spec.pipeline.train.epochs=7", ("spec", "pipeline", "train", "epochs"), 7, id="a new field"),
        pytest.param("spec.pipeline.model.name=resnet18", ("spec", "pipeline", "model", "name"), "resnet18", id="text"),
        pytest.param("metadata.name=b", ("metadata", "name"), "b", id="the name"),
        pytest.param("spec.runPolicy.suspend=true", ("spec", "runPolicy", "suspend"), True, id="a truth value"),
        pytest.param(
            "spec.pipeline.train.optimizer.lr=1e-3", ("spec", "pipeline", "train", "optimizer", "lr"), 0.001, id="lr"
        ),
        pytest.param(
            "spec.workers.resources.limits[nvidia.com/gpu]=2",
            ("spec", "workers", "resources", "limits", "nvidia.com/gpu"),
            2,
            id="a key with dots",
        ),
        pytest.param(
            "spec.pipeline.data.limit={train: 10, test: 5}",
            ("spec", "pipeline", "data", "limit"),
            {"train": 10, "test": 5},
            id="a mapping",
        ),
        pytest.param(
            "spec.pipeline.data.transforms=[]", ("spec", "pipeline", "data", "transforms"), [], id="an empty list"
        ),
        pytest.param(
            "metadata.annotations.note=a=b",
            ("metadata", "annotations", "note"),
            "a=b",
            id="an equals sign in the value",
        ),
    ],
)
def test_an_override_changes_one_field(file: Path, override: str, way: tuple[Any, ...], value: Any) -> None:
    assert value_at(load_job(file, [override]).to_manifest(), *way) == value
    rest = yaml.safe_load(file.read_text())
    assert load_job(file).to_manifest() == rest


def test_an_entry_of_a_list_is_named_by_its_position(file: Path) -> None:
    with pytest.raises(SpecError, match=r"spec\.pipeline\.data\.transforms\[0\]\.x: is not a field"):
        load_job(file, ["spec.pipeline.data.transforms[0].x=1"])


def test_the_last_of_several_overrides_wins(file: Path) -> None:
    overrides = ["spec.workers.replicas=2", "spec.workers.replicas=3", "spec.workers.slotsPerWorker=2"]
    assert load_job(file, overrides).spec.workers.world_size == 6


ALIASED = """
apiVersion: dltrain.io/v1alpha1
kind: DLTrainJob
metadata: {name: a, labels: &words {team: vision}, annotations: *words}
spec:
  pipeline:
    data: {source: digits, transforms: [&center {normalize: {}}, *center]}
    model: {name: cnn}
"""


@pytest.mark.parametrize(
    ("override", "way", "value", "other"),
    [
        pytest.param("metadata.labels.team=text", ("metadata", "labels"), {"team": "text"}, "annotations", id="first"),
        pytest.param(
            "metadata.annotations.team=text", ("metadata", "annotations"), {"team": "text"}, "labels", id="last"
        ),
        pytest.param(
            "spec.pipeline.data.transforms[1].normalize.columns=[a]",
            ("spec", "pipeline", "data", "transforms"),
            [{"normalize": {}}, {"normalize": {"columns": ["a"]}}],
            None,
            id="in a list",
        ),
    ],
)
def test_an_override_changes_one_of_the_places_that_share_a_yaml_alias(
    tmp_path: Path, override: str, way: tuple[str, ...], value: Any, other: str | None
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(ALIASED)
    made = load_job(file, [override]).to_manifest()
    assert value_at(made, *way) == value
    assert other is None or made["metadata"][other] == {"team": "vision"}


def test_a_value_is_not_changed_by_what_is_set_inside_of_it() -> None:
    optimizer = {"lr": 0.1}
    document: dict[str, Any] = {"spec": {}}
    put(document, ("spec", "optimizer"), optimizer, "spec.optimizer")
    put(document, ("spec", "optimizer", "lr"), 0.2, "spec.optimizer.lr")
    assert (document, optimizer) == ({"spec": {"optimizer": {"lr": 0.2}}}, {"lr": 0.1})


def test_null_removes_a_field(file: Path) -> None:
    job = load_job(file, ["spec.storage.claimName=x", "spec.storage=null", "spec.pipeline=", "spec.command=[a]"])
    assert job.to_manifest() == document({"command": ["a"]})


def test_a_file_that_is_valid_with_its_overrides_only_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(document({})))
    assert load_job(file, ["spec.command=[true-false]"]).spec.command == ("true-false",)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        pytest.param(
            "spec.pipeline.train.epochs",
            "--set: must have the form PATH=VALUE (got spec.pipeline.train.epochs); write spec.FIELD=VALUE",
            id="no value",
        ),
        pytest.param(
            "=1",
            "--set: '' is not a path, as in spec.pipeline.train.epochs or limits[nvidia.com/gpu]; correct the path",
            id="no path",
        ),
        pytest.param(
            "spec..x=1",
            "--set: 'spec..x' is not a path, as in spec.pipeline.train.epochs or limits[nvidia.com/gpu]; "
            "correct the path",
            id="two dots",
        ),
        pytest.param(
            "spec.pipeline.train.epochs=[1",
            '--set spec.pipeline.train.epochs: must be followed by a YAML value (got "[1"); put text in quotes',
            id="no YAML",
        ),
        pytest.param(
            "spec.pipeline.train.epochs=0",
            "spec.pipeline.train.epochs: must be at least 1 (got 0); set 1 or more",
            id="out of range",
        ),
        pytest.param(
            "spec.pipeline.trian.epochs=1",
            "spec.pipeline.trian: is not a field; did you mean train?",
            id="a typing error",
        ),
        pytest.param(
            "spec.pipeline.model.name.x=1",
            "spec.pipeline.model.name.x: does not lead to a field of this job; correct the path",
            id="below a text",
        ),
        pytest.param(
            "spec.pipeline.data.transforms[3]={}",
            "spec.pipeline.data.transforms[3]: does not lead to a field of this job; correct the path",
            id="beyond a list",
        ),
    ],
)
def test_an_override_that_cannot_be_is_said(file: Path, override: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_job(file, [override])
    assert str(caught.value) == said
