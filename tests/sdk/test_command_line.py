"""The command line as such: help, examples, exit codes and job files."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from dltrain.cli.app import COMMANDS, app
from dltrain.cli.exits import exit_code
from dltrain.errors import (
    AlreadyExistsError,
    ChannelError,
    ClusterError,
    DLTrainError,
    JobFailedError,
    MissingSoftwareError,
    NotFoundError,
    SpecError,
    UnavailableError,
    WaitTimeoutError,
)
from tests.sdk.builders import EXAMPLES, PIPELINE, document
from tests.sdk.command_line import CommandLine

EXAMPLE = re.compile(r"Example: (dltrain .*)")


def write(folder: Path, content: dict[str, Any], name: str = "job.yaml") -> str:
    """A job file."""
    file = folder / name
    file.write_text(yaml.safe_dump(content))
    return str(file)


def test_the_commands_are_these(dltrain: CommandLine) -> None:
    names = [
        *("init", "validate", "plan", "run", "submit"),
        *("list", "status", "watch", "logs", "explain", "events", "top"),
        *("artefacts", "suspend", "resume", "scale", "delete", "doctor", "diff", "convert"),
        *("predict", "models", "transforms", "ui", "completion", "version"),
    ]
    assert list(COMMANDS) == names
    shown = dltrain("--help").out
    assert [line.split()[0] for line in shown.partition("Commands:\n")[2].splitlines()] == names


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example_that_parses(dltrain: CommandLine, name: str) -> None:
    for option in ("--help", "-h"):
        done = dltrain(name, option)
        assert (done.code, done.err) == (0, "")
    found = EXAMPLE.search(done.out)
    assert found is not None
    program, command, *arguments = shlex.split(found[1])
    assert (program, command) == ("dltrain", name)
    typer.main.get_group(app).commands[name].make_context(name, arguments)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_into_eighty_columns_without_broken_sentences(dltrain: CommandLine, name: str) -> None:
    lines = dltrain(*filter(None, [name]), "--help").out.splitlines()[1:]  # below the usage
    assert [line for line in lines if len(line) > 80 or line.endswith("...")] == []


@pytest.mark.parametrize(
    ("name", "usage", "arguments"),
    [
        ("list", "[OPTIONS]", []),
        ("status", "[OPTIONS] NAME", ["NAME"]),
        ("init", "[OPTIONS] [FILE]", ["FILE"]),
        ("validate", "[OPTIONS] FILE...", ["FILE"]),
        ("diff", "[OPTIONS] JOB JOB", ["JOB", "JOB"]),
        ("predict", "[OPTIONS] MODEL SAMPLES", ["MODEL", "SAMPLES"]),
    ],
)
def test_arguments_are_called_the_same_in_the_usage_and_below(
    dltrain: CommandLine, name: str, usage: str, arguments: list[str]
) -> None:
    lines = dltrain(name, "--help").out.splitlines()
    assert lines[0] == f"Usage: dltrain {name} {usage}"
    below = lines[lines.index("Arguments:") + 1 : lines.index("Options:") - 1] if arguments else []
    assert [line.split()[0] for line in below if line.startswith("  ") and line[2] != " "] == arguments


def seconds_of(*arguments: str) -> float:
    """What a fresh Python takes of a processor, at best."""

    def once() -> float:
        before = os.times()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    return min(once() for _ in range(5))


def test_help_takes_no_more_than_three_tenths_of_a_second() -> None:
    library = seconds_of("-c", "import typer.main")  # what tells how busy this machine is
    assert seconds_of("-m", "dltrain", "--help") <= max(0.3, 1.4 * library)


def test_the_help_tells_the_exit_codes(dltrain: CommandLine) -> None:
    told = " ".join(dltrain("--help").out.split())
    assert (
        "Exit codes: 0 done, 1 the job failed, 2 wrong usage or an invalid job, 3 the cluster refused or is out of "
        "reach, 4 the time is up, 130 interrupted."
    ) in told


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (JobFailedError("a", "x"), 1),
        (SpecError([]), 2),
        (MissingSoftwareError("x"), 2),
        (ClusterError("x"), 3),
        (NotFoundError("x"), 3),
        (AlreadyExistsError("x"), 3),
        (UnavailableError("x"), 3),
        (ChannelError("x"), 3),
        (WaitTimeoutError("x"), 4),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, DLTrainError) else None,
)
def test_every_error_has_an_exit_code(error: DLTrainError, code: int) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "Usage: dltrain", id="nothing"),
        pytest.param(["subm"], "No such command 'subm'. Did you mean 'submit'", id="a command that nearly exists"),
        pytest.param(["status"], "Missing argument 'NAME'", id="an argument missing"),
        pytest.param(["list", "--outptu", "json"], "No such option: --outptu", id="an option that does not exist"),
        pytest.param(["list", "-o", "xml"], "'xml' is not one of 'json', 'yaml', 'name'", id="an unknown format"),
        pytest.param(
            ["logs", "a", "--rank", "-1"], "Invalid value for '--rank': Input should be greater", id="a negative rank"
        ),
        pytest.param(
            ["delete", "a", "--timeout", "-1"],
            "Invalid value for '--timeout': Input should be greater",
            id="a negative timeout",
        ),
        pytest.param(
            ["run", "job.yaml", "--resume", "/none"], "/none is not the folder of an earlier run", id="resume"
        ),
        pytest.param(
            ["run", "job.yaml", "--resume", "/tmp", "--output-dir", "x"], "leave out --output-dir", id="two folders"
        ),
        pytest.param(["validate", "/none.yaml"], "cannot read /none.yaml", id="a file that does not exist"),
        pytest.param(["run", "/none.yaml"], "cannot read /none.yaml", id="a job that does not exist"),
        pytest.param(
            ["submit", "/none.yaml"], "cannot read /none.yaml", id="a job that does not exist, without cluster"
        ),
    ],
)
def test_wrong_usage_is_exit_code_2(dltrain: CommandLine, arguments: list[str], said: str) -> None:
    done = dltrain(*arguments)
    assert done.code == 2
    assert said in done.out + done.err


@pytest.mark.parametrize(
    "name", ["list", "status", "watch", "logs", "explain", "events", "top", "suspend", "resume", "delete"]
)
def test_without_a_kubeconfig_there_is_one_clear_line_and_exit_code_3(dltrain: CommandLine, name: str) -> None:
    done = dltrain(name, *([] if name in {"list", "top"} else ["a"]))
    assert (done.code, done.out, done.err) == (
        3,
        "",
        "dltrain: no kubeconfig at /nonexistent/kubeconfig; pass --kubeconfig or set KUBECONFIG\n",
    )


def test_valid_files_are_said_to_be_valid(dltrain: CommandLine, tmp_path: Path) -> None:
    named = write(tmp_path, document({"command": ["x"], "workers": {"replicas": 3}}))
    unnamed = write(tmp_path, {**document(), "metadata": {"generateName": "try-"}}, "other.yaml")
    done = dltrain("validate", named, unnamed)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{named}: valid: a, 3 ranks\n{unnamed}: valid: try-..., 1 rank\n"


def test_every_example_is_valid(dltrain: CommandLine) -> None:
    assert dltrain("validate", *map(str, EXAMPLES)).code == 0


def test_one_broken_file_does_not_hide_the_others(dltrain: CommandLine, tmp_path: Path) -> None:
    broken = write(tmp_path, document({"command": []}), "broken.yaml")
    valid = write(tmp_path, document())
    done = dltrain("validate", broken, valid)
    assert (done.code, done.out) == (2, f"{valid}: valid: a, 1 rank\n")
    assert done.err == f"{broken}: spec.command: must have 1 or more entries (got 0); add what is missing\n"


@pytest.mark.parametrize("arguments", [["version"], ["--version"]], ids=["command", "option"])
def test_the_version_is_told(dltrain: CommandLine, arguments: list[str]) -> None:
    assert re.fullmatch(r"dltrain \d+\.\d+\.\d+, Python 3\.\d+\.\d+\n", dltrain(*arguments).out)


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    file = write(tmp_path, document())
    command = f"{sys.executable} -m dltrain validate {(file + ' ') * 400} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env=os.environ)
    assert (done.stdout, done.stderr) == (f"{file}: valid: a, 1 rank\n", "")


def test_python_m_dltrain_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "dltrain", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: dltrain [OPTIONS] COMMAND")


def test_a_pipeline_is_valid_with_an_override_only(dltrain: CommandLine, tmp_path: Path) -> None:
    file = write(tmp_path, document({"pipeline": {**PIPELINE, "train": {"epochs": 0}}}))
    assert dltrain("submit", file).code == 2
    done = dltrain("submit", file, "--set", "spec.pipeline.train.epochs=1")
    assert (done.code, done.err.partition(" at ")[0]) == (3, "dltrain: no kubeconfig")
