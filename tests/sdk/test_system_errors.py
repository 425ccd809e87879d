"""What the operating system refuses to the command line: a line, a remedy and exit code 2, never a traceback."""

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dltrain.cli import in_one_line
from dltrain.cli.page import reason_of
from tests.sdk.builders import condition, document
from tests.sdk.command_line import CommandLine, Done
from tests.sdk.fake_api import FakeApi, Reply
from tests.sdk.test_connection import JOB


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(
            PermissionError(errno.EACCES, "Permission denied", "/root/model"),
            "/root/model: Permission denied; choose another place, or have its permissions changed",
            id="rights",
        ),
        pytest.param(
            OSError(errno.EROFS, "Read-only file system", Path("/usr/model")),
            "/usr/model: Read-only file system; choose a place that can be written to",
            id="read-only",
        ),
        pytest.param(OSError(errno.EIO, "Input/output error", "x"), "x: Input/output error", id="no known remedy"),
        pytest.param(OSError(errno.EMFILE, "Too many open files"), "Too many open files", id="no file"),
        pytest.param(OSError("odd"), "odd", id="words only"),
        pytest.param(TimeoutError(), "TimeoutError", id="no words"),
    ],
)
def test_an_error_is_told_with_file_reason_and_remedy(error: OSError, said: str) -> None:
    assert in_one_line(error) == said


def test_a_file_in_a_folder_that_does_not_exist(dltrain: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "missing" / "job.yaml"
    said = f"dltrain: {file}: No such file or directory; check the path; its folder must be there already\n"
    assert dltrain("init", str(file), "--yes") == Done(2, "", said)


def test_a_folder_in_the_place_of_a_file(dltrain: CommandLine, tmp_path: Path) -> None:
    said = f"dltrain: {tmp_path}: Is a directory; name a file in that folder\n"
    assert dltrain("init", str(tmp_path), "--yes", "--force") == Done(2, "", said)


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A folder that cannot be made, by whomever: there is a file in its way."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "folder"


def test_a_local_run_that_has_no_place(dltrain: CommandLine, tmp_path: Path, blocked: Path) -> None:
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(document()))
    said = f"dltrain: {blocked}: Not a directory; choose another path; a part of this one is no folder\n"
    assert dltrain("run", str(tmp_path / "job.yaml"), "--output-dir", str(blocked)) == Done(2, "", said)
    said = f"dltrain: {blocked.parent}: File exists; choose another path; this one is no folder\n"
    assert dltrain("run", str(tmp_path / "job.yaml"), "--output-dir", str(blocked.parent)) == Done(2, "", said)


def test_artefacts_that_have_no_place(dltrain: CommandLine, fake_api: FakeApi, tmp_path: Path, blocked: Path) -> None:
    (tmp_path / "bucket").mkdir()
    status = {"conditions": [condition("Complete")], "results": {"artifacts": f"file://{tmp_path}/bucket"}}
    fake_api.routes[JOB] = lambda _: Reply({**document(namespace="ml"), "status": status})
    said = f"dltrain: {blocked}: Not a directory; choose another path; a part of this one is no folder\n"
    file = str(fake_api.kubeconfig(tmp_path))
    assert dltrain("artefacts", "a", "--to", str(blocked), "--kubeconfig", file) == Done(2, "", said)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_that_is_taken(fake_api: FakeApi, tmp_path: Path, taken: int) -> None:
    command = [sys.executable, "-m", "dltrain", "ui", "--kubeconfig", str(fake_api.kubeconfig(tmp_path))]
    done = subprocess.run([*command, "--port", str(taken)], capture_output=True, text=True, timeout=60, check=False)
    said = f"dltrain: 127.0.0.1:{taken}: Address already in use; choose another --port or --bind\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(
            OSError(
                errno.EADDRNOTAVAIL, "error while attempting to bind on address ('192.0.2.1', 8470): cannot assign"
            ),
            "Cannot assign requested address",
            id="another machine's address",
        ),
        pytest.param(
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known", id="no name"
        ),
        pytest.param(OSError("could not bind on any address"), "could not bind on any address", id="words only"),
    ],
)
def test_why_an_address_cannot_be_listened_on_is_told_without_repeating_it(error: OSError, said: str) -> None:
    assert reason_of(error) == said


def test_an_address_that_nobody_reads_ends_the_server_in_silence(fake_api: FakeApi, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dltrain", "ui", "--port", "0", "--kubeconfig", str(fake_api.kubeconfig(tmp_path))]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as nobody:
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_output_onto_a_full_disk() -> None:
    with Path("/dev/full").open("w") as disk:
        command = [sys.executable, "-m", "dltrain", "version"]
        done = subprocess.run(command, stdout=disk, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    said = "dltrain: No space left on device; make room there, or choose another place\n"
    assert (done.returncode, done.stderr) == (2, said)
