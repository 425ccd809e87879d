"""`dltrain init`: a commented job file, by options or by asking."""

import io
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import pytest

from dltrain.api.data import NAMED_SOURCES, Data
from dltrain.api.evaluate import METRICS_OF
from dltrain.api.parse import parse_job, parse_job_file
from dltrain.cli import wishes as options
from dltrain.starter import METHODS, NAMED_NUMBERS, TASK_IS_SAID, Wishes, completed, starter
from tests.sdk.command_line import CommandLine

Answer = Callable[..., None]


class Terminal(io.StringIO):
    """What a person types."""

    def isatty(self) -> bool:
        """That it is a terminal."""
        return True


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Types lines, one a question."""
    return lambda *lines: monkeypatch.setattr(sys, "stdin", Terminal("".join(f"{line}\n" for line in lines)))


def test_init_writes_a_valid_commented_job(dltrain: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    done = dltrain("init", str(file), "--model", "mlp", "--gpus", "2", "--workers", "3", "--claim", "models", "--yes")
    assert (done.code, done.err) == (0, "")
    job = parse_job_file(file)
    assert (job.spec.workers.world_size, job.spec.pipeline.model.name) == (6, "mlp")  # type: ignore[union-attr]  # it is set
    assert job.spec.storage is not None
    assert file.read_text().count("#") > 5
    assert dltrain("init", str(file), "--yes").code == 2
    assert dltrain("init", str(file), "--yes", "--force").code == 0
    assert parse_job_file(file).name == "my-job"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param("python3 train.py --lr 0.1 a:b", ("python3", "train.py", "--lr", "0.1", "a:b"), id="words"),
        pytest.param(
            "python3 -c \"print('a  b', 1)\" 'it is'", ("python3", "-c", "print('a  b', 1)", "it is"), id="quotes"
        ),
        pytest.param(r"cat my\ file FILE", ("cat", "my file", "FILE"), id="the word FILE"),
        pytest.param(
            "echo '\U0001f600 \u00e9' '' {a} '#'", ("echo", "\U0001f600 \u00e9", "", "{a}", "#"), id="letters"
        ),
        pytest.param(f"echo '{'long ' * 40}'", ("echo", "long " * 40), id="a long word"),
    ],
)
def test_a_command_is_divided_as_a_shell_does_it(
    dltrain: CommandLine, tmp_path: Path, command: str, words: tuple[str, ...]
) -> None:
    file = tmp_path / "job.yaml"
    assert dltrain("init", str(file), "--command", command, "--yes").err == ""
    assert parse_job_file(file).spec.command == words


def test_a_command_that_cannot_be_divided_is_one_error(dltrain: CommandLine, tmp_path: Path) -> None:
    done = dltrain("init", str(tmp_path / "job.yaml"), "--command", "python3 -c 'print(1)", "--yes")
    assert (done.code, done.out, (tmp_path / "job.yaml").exists()) == (2, "", False)
    assert done.err == (
        "dltrain: spec.command: is no line that a shell understands: No closing quotation (got python3 -c 'print(1)); "
        "correct quotes and backslashes\n"
    )


def test_the_file_is_named_in_the_commands_at_its_head(dltrain: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "FILE of mine.yaml"
    assert dltrain("init", str(file), "--command", "cat FILE", "--yes").code == 0
    assert [line.partition(":")[2].strip() for line in file.read_text().splitlines()[:3]] == [
        f"dltrain run '{file}'",
        f"dltrain validate '{file}'",
        f"dltrain submit '{file}' --wait --follow",
    ]


@pytest.mark.parametrize(
    ("options", "data", "model"),
    [
        pytest.param(
            ("--data", "file:///data/rows.csv", "--target", "price"),
            {"source": "file:///data/rows.csv", "format": "csv", "target": ["price"]},
            "mlp",
            id="csv",
        ),
        pytest.param(
            ("--data", "s3://sets/2026/Rows.PARQUET", "--target", "low, high price"),
            {"source": "s3://sets/2026/Rows.PARQUET", "format": "parquet", "target": ["low", "high price"]},
            "mlp",
            id="parquet",
        ),
        pytest.param(
            ("--data", "pvc://claim/FILE.npz"), {"source": "pvc://claim/FILE.npz", "format": "npz"}, "cnn", id="npz"
        ),
        pytest.param(
            ("--data", "file:///flowers", "--format", "image-folder", "--model", "resnet18"),
            {
                "source": "file:///flowers",
                "format": "image-folder",
                "transforms": [{"resize": {"height": 64, "width": 64}}, {"normalize": {}}],  # else they differ in size
            },
            "resnet18",
            id="a folder",
        ),
        pytest.param(
            ("--data", "file:///rows.csv", "--target", "price", "--task", "regression"),
            {"source": "file:///rows.csv", "format": "csv", "target": ["price"], "task": "regression"},
            "mlp",
            id="numbers",
        ),
        pytest.param(
            ("--data", "file:///rows", "--format", "csv", "--target", "y"),
            {"source": "file:///rows", "format": "csv", "target": ["y"]},
            "mlp",
            id="an end that says nothing",
        ),
        pytest.param(("--data", "wine"), {"source": "wine"}, "mlp", id="a named table"),
    ],
)
def test_init_for_data_of_ones_own(
    dltrain: CommandLine, tmp_path: Path, options: tuple[str, ...], data: dict[str, Any], model: str
) -> None:
    file = tmp_path / "job.yaml"
    assert dltrain("init", str(file), *options, "--yes").err == ""
    made = parse_job_file(file).to_manifest()["spec"]["pipeline"]
    assert (made["data"], made["model"]) == ({"transforms": [{"normalize": {}}], **data}, {"name": model})


def learning(text: str) -> tuple[str, str, tuple[str, ...] | None]:
    """Loss, optimizer and metrics of a job file."""
    pipeline = parse_job(text).spec.pipeline
    assert pipeline is not None
    return pipeline.train.loss, pipeline.train.optimizer.name, pipeline.evaluate.metrics


CLASSES = ("crossEntropy", "sgd", ("accuracy",))
NUMBERS = ("mse", "adam", ("mse", "r2"))
LABELS = ("bceWithLogits", "sgd", ("averagePrecision", "rocAuc"))


@pytest.mark.parametrize("source", NAMED_SOURCES)
def test_loss_optimizer_and_metrics_follow_from_a_named_set(source: str) -> None:
    assert learning(starter(Wishes(data=source))) == (NUMBERS if source in ("diabetes", "sunspots") else CLASSES)


@pytest.mark.parametrize(
    ("task", "expected"),
    [("", CLASSES), ("classification", CLASSES), ("regression", NUMBERS), ("multilabel", LABELS)],
)
def test_loss_optimizer_and_metrics_follow_from_the_task(task: str, expected: tuple[Any, ...]) -> None:
    assert learning(starter(Wishes(data="file:///x.csv", target="y", task=task))) == expected


def test_every_task_has_a_method() -> None:
    assert set(METHODS) == set(METRICS_OF)
    assert set(NAMED_NUMBERS) <= set(NAMED_SOURCES)


def test_a_hint_is_one_that_the_data_can_follow() -> None:
    hints = {data: "augment" in starter(Wishes(data=data)) for data in ("digits", "wine", "sunspots")}
    assert hints == {"digits": True, "wine": False, "sunspots": False}
    with_task = [starter(Wishes(data="file:///x.csv", target="y", task=task)) for task in ("", "regression")]
    assert ["# task" in text for text in with_task] == [True, False]


def allowed(option: Any) -> set[str]:
    """The words that an option, or a field of the contract, may have."""
    return {word for choice in get_args(option) for word in get_args(choice)}


def test_the_options_know_the_formats_and_tasks_of_the_contract() -> None:
    fields = Data.model_fields
    assert allowed(get_args(options.DataFormat)[0]) == allowed(fields["format"].annotation)
    assert allowed(get_args(options.Task)[0]) == allowed(fields["task"].annotation)
    assert set(TASK_IS_SAID) < allowed(fields["format"].annotation)


def test_a_format_that_no_answer_could_mend_is_refused_before_a_question(
    dltrain: CommandLine, typed: Answer, tmp_path: Path
) -> None:
    typed("first", "", "file:///rows", "file:///other")
    done = dltrain("init", str(tmp_path / "job.yaml"), "--format", "tsv")
    assert (done.code, done.out) == (2, "")
    assert "'tsv' is not one of 'idx', 'npz', 'image-folder', 'csv', 'parquet'" in done.err


def test_what_an_option_has_said_is_not_asked_for_even_if_it_is_none(
    dltrain: CommandLine, typed: Answer, tmp_path: Path
) -> None:
    typed("first", "", "digits", "mlp", "1", "1", "")
    done = dltrain("init", str(tmp_path / "job.yaml"), "--gpus", "0")
    assert (done.code, done.err, "GPUs" in done.out) == (0, "", False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(
            ("--data", "file:///flowers"),
            "format: must be given exactly when source is an address (got source file:///flowers)",
            id="no format",
        ),
        pytest.param(
            ("--data", "file:///rows.csv"),
            "target: must be given exactly when format is csv or parquet (got format csv)",
            id="no target",
        ),
        pytest.param(
            ("--data", "digits", "--format", "npz"),
            "format: must be given exactly when source is an address (got source digits)",
            id="a format of a named set",
        ),
        pytest.param(
            ("--data", "file:///x.npz", "--target", "y"),
            "target: must be given exactly when format is csv or parquet (got format npz)",
            id="a target of no table",
        ),
    ],
)
def test_what_is_missing_of_the_data_or_too_much_is_told(
    dltrain: CommandLine, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    done = dltrain("init", str(tmp_path / "job.yaml"), *options, "--yes")
    assert (done.code, (tmp_path / "job.yaml").exists()) == (2, False)
    assert done.err.startswith(f"dltrain: spec.pipeline.data.{said}; ")


def test_init_refuses_what_makes_no_job(dltrain: CommandLine, tmp_path: Path) -> None:
    done = dltrain("init", str(tmp_path / "job.yaml"), "--name", "No Name", "--yes")
    assert (done.code, (tmp_path / "job.yaml").exists()) == (2, False)
    assert "metadata.name: must be at most 52 lower-case letters" in done.err


def test_init_asks_for_what_no_option_says(dltrain: CommandLine, typed: Answer, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    typed("first", "", "mlp", "0", "models")
    done = dltrain("init", str(file), "--epochs", "1", "--workers", "2", "--data", "digits")
    assert (done.code, done.err) == (0, "")
    assert ("GPUs of each pod" in done.out, "How many pods" in done.out) == (True, False)
    made = parse_job_file(file)
    assert made.spec.storage is not None
    assert (made.name, made.spec.workers.replicas, made.spec.storage.claim_name) == ("first", 2, "models")


def test_an_answer_that_makes_no_job_is_asked_for_again(dltrain: CommandLine, typed: Answer, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    typed("No Name", "fine", "", "cifar10", "digits", "mlp", "0", "1", "2", "0", "")
    done = dltrain("init", str(file))
    assert done.code == 0
    problems = [line.split(": must")[0].strip() for line in done.err.splitlines()]
    assert problems == ["metadata.name", "spec.pipeline.data.source", "spec.pipeline.train.epochs"]
    made = parse_job_file(file)
    assert made.spec.pipeline is not None
    assert (made.name, made.spec.pipeline.data.source, made.spec.pipeline.model.name) == ("fine", "digits", "mlp")


def test_who_has_a_program_is_not_asked_for_data(dltrain: CommandLine, typed: Answer, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    typed("mine", "python3 train.py", "2", "0", "")
    done = dltrain("init", str(file))
    assert (done.code, "The data" in done.out) == (0, False)
    assert parse_job_file(file).spec.command == ("python3", "train.py")


def test_of_an_address_format_target_and_task_are_asked_for(
    dltrain: CommandLine, typed: Answer, tmp_path: Path
) -> None:
    file = tmp_path / "job.yaml"
    typed("first", "", "file:///rows.csv", "", "", "price, size", "numbers", "regression", "", "1", "1", "0", "")
    done = dltrain("init", str(file))
    assert done.code == 0
    assert "idx, npz, image-folder, csv or parquet [csv]: " in done.out
    assert [line.partition(" (")[0].partition(";")[0] for line in done.err.splitlines()] == [
        "  spec.pipeline.data.target: must be given exactly when format is csv or parquet",
        "  spec.pipeline.data.task: must be 'classification', 'regression' or 'multilabel'",
    ]
    pipeline = parse_job_file(file).spec.pipeline
    assert pipeline is not None
    assert (pipeline.data.format, pipeline.data.target, pipeline.model.name) == ("csv", ("price", "size"), "mlp")
    assert (pipeline.data.task, pipeline.train.loss) == ("regression", "mse")


def test_a_target_is_asked_for_tables_only(dltrain: CommandLine, typed: Answer, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    typed("first", "", "", "pictures", "image-folder", "", "1", "1", "0", "")
    done = dltrain("init", str(file), "--data", "file:///flowers")
    assert (done.code, "The columns to predict" in done.out) == (0, False)
    assert [line.partition(" (")[0].partition("; ")[0] for line in done.err.splitlines()] == [
        "  spec.pipeline.data.format: must be given exactly when source is an address",
        "  spec.pipeline.data.format: must be 'idx', 'npz', 'image-folder', 'csv' or 'parquet'",
    ]
    pipeline = parse_job_file(file).spec.pipeline
    assert pipeline is not None
    assert (pipeline.data.format, pipeline.data.target) == ("image-folder", None)


def test_an_answer_that_later_ones_cannot_mend_is_asked_for_again(
    dltrain: CommandLine, typed: Answer, tmp_path: Path
) -> None:
    file = tmp_path / "job.yaml"
    typed("first", "", "digits", "file:///rows", "npz", "csv", "", "mlp", "1", "1", "0", "")
    done = dltrain("init", str(file), "--target", "y")
    assert done.code == 0
    assert [line.partition(" (got ")[2].partition(")")[0] for line in done.err.splitlines()] == [
        "format none",
        "format npz",
    ]
    assert parse_job_file(file).to_manifest()["spec"]["pipeline"]["data"] == {
        "source": "file:///rows",
        "format": "csv",
        "target": ["y"],
        "task": "classification",
        "transforms": [{"normalize": {}}],
    }


def test_a_command_that_cannot_be_divided_is_asked_for_again(
    dltrain: CommandLine, typed: Answer, tmp_path: Path
) -> None:
    file = tmp_path / "job.yaml"
    typed("first", "cat 'x", "cat 'x y'", "1", "0", "")
    done = dltrain("init", str(file))
    assert (done.code, done.err.count("No closing quotation")) == (0, 1)
    assert parse_job_file(file).spec.command == ("cat", "x y")


def test_the_help_tells_the_defaults(dltrain: CommandLine) -> None:
    options = dltrain("init", "--help").out.partition("Options:")[2]
    told = {each.split()[0]: "".join(each.split()) for each in options.split("  --")[1:]}
    chosen = {name: value for name, value in asdict(completed(Wishes())).items() if value != ""}
    assert [name for name, value in chosen.items() if not re.search(f"Default:{value}[.;]", told[name])] == []
