"""`dltrain init`: a commented job file, by options or by asking."""

import io
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from dltrain.api.parse import parse_job_file
from dltrain.starter import Wishes
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


def test_init_for_a_program_of_ones_own(dltrain: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    assert dltrain("init", str(file), "--command", "python3 train.py --lr 0.1 a:b", "--yes").code == 0
    assert parse_job_file(file).spec.command == ("python3", "train.py", "--lr", "0.1", "a:b")


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


def test_the_help_tells_the_defaults(dltrain: CommandLine) -> None:
    options = dltrain("init", "--help").out.partition("Options:")[2]
    told = {each.split()[0]: "".join(each.split()) for each in options.split("  --")[1:]}
    chosen = {name: value for name, value in asdict(Wishes()).items() if value != ""}
    assert [name for name, value in chosen.items() if f"Default:{value}." not in told[name]] == []
