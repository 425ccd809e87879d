"""Python functions as jobs: what is shipped, what is refused, and that the shipped one runs as the function does."""

import json
import math
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import floor
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import dltrain
from dltrain.errors import SpecError
from dltrain.functions import source_of
from tests.cluster.host import state_folder
from tests.sdk.fake_api import FakeApi, Reply

CONSTANT = 3
NOWHERE = Path("/nonexistent")


@dltrain.job("fit-it", replicas=2, resources={"limits": {"cpu": 2}}, runPolicy={"backoffLimit": 0})
def fit(out: str, lr: float = 0.5, *, names: Any = ()) -> float:
    """Write what it was called with."""
    from pathlib import Path as Here  # noqa: PLC0415 - it travels with the function

    Here(out).write_text(f"{lr} {list(names)} {math.sqrt(16)} {floor(2.5)}", encoding="utf-8")
    return lr


def run(job: dltrain.DLTrainJob, folder: Path, installer: Path = NOWHERE) -> "subprocess.CompletedProcess[str]":
    """Run a job's command as a rank would.

    Args:
        job: whose command.
        folder: for temporary files.
        installer: the folder with uv, or with a Python that has pip.
    """
    python = str(installer / "python") if (installer / "python").exists() else sys.executable
    sources = str(Path(dltrain.__file__).parents[1])
    environment = {"TMPDIR": str(folder), "PYTHONPATH": sources, "PATH": str(installer), "HOME": str(folder)}
    command = [python, *(job.spec.command or ())[1:]]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=["uv", "pip"])
def installer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what installs requirements: uv in the trainer image, pip elsewhere."""
    if request.param == "uv":
        found = sorted(state_folder().parent.glob("uv-*/bin/uv"))
        if not found:
            pytest.skip("needs uv, which `make install` puts into the cache")
        return linked(found[-1], tmp_path_factory)
    folder = tmp_path_factory.mktemp("python")
    venv.create(folder, with_pip=True)
    return folder / "bin"


def linked(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but a link to a program."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / program.name).symlink_to(program)
    return folder


def test_a_decorated_function_can_still_be_called(tmp_path: Path) -> None:
    assert fit(str(tmp_path / "out"), lr=0.25) == 0.25
    assert fit.__name__ == "fit"  # type: ignore[attr-defined]  # as every function has it
    assert fit.__doc__ == "Write what it was called with."


def test_the_job_has_the_names_of_the_yaml() -> None:
    job = fit.job(out="x")
    assert job.name == "fit-it"
    assert job.to_manifest()["spec"]["workers"] == {"replicas": 2, "resources": {"limits": {"cpu": 2}}}
    assert job.spec.run_policy.backoff_limit == 0
    assert (job.spec.command or ())[:4] == ("python3", "-m", "dltrain.function", "fit")


def test_the_shipped_function_does_what_the_function_does(tmp_path: Path) -> None:
    done = run(fit.job(out=str(tmp_path / "there"), lr=0.1, names=["a", "ä"]), tmp_path)
    assert done.returncode == 0, done.stderr
    fit(str(tmp_path / "here"), lr=0.1, names=["a", "ä"])
    assert (tmp_path / "there").read_text() == (tmp_path / "here").read_text() == "0.1 ['a', 'ä'] 4.0 2"


def test_a_traceback_shows_the_functions_own_lines(tmp_path: Path) -> None:
    def fails(divisor: int) -> float:
        return 1 / divisor  # here it breaks

    done = run(dltrain.job()(fails).job(divisor=0), tmp_path)
    assert done.returncode == 1
    assert "return 1 / divisor  # here it breaks" in done.stderr
    assert "fails.py" in done.stderr


RANK = """
import json, sys
from dltrain import function

words = json.loads(sys.argv[1])
for _ in range(200):
    function.main(words)
"""


def test_ranks_that_start_at_once_do_not_read_what_another_is_writing(tmp_path: Path) -> None:
    words = json.dumps(["quick", "[]", "{}", "def quick():\n    return 1\n"])
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(dltrain.__file__).parents[1])}
    ranks = [
        subprocess.Popen([sys.executable, "-c", RANK, words], env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [(rank.communicate()[1], rank.returncode) for rank in ranks] == [("", 0)] * 4
    assert [file.name for file in tmp_path.glob("dltrain-*/*")] == ["quick.py"]


def written(name: str, text: str, folder: Path) -> Callable[..., Any]:
    """The function of a name that the text of a module defines."""
    namespace: dict[str, Any] = {"__name__": "written"}
    file = folder / "written.py"
    file.write_text(text)
    exec(compile(text, str(file), "exec", dont_inherit=True), namespace)
    return namespace[name]


def test_a_long_function_is_shipped_in_pieces(tmp_path: Path) -> None:
    lines = "\n".join(f"    total += {number}  # {'x' * 60}" for number in range(500))
    text = f"def long(out):\n    total = 0\n{lines}\n    open(out, 'w').write(str(total))\n"
    job = dltrain.job()(written("long", text, tmp_path)).job(out=str(tmp_path / "out"))
    assert len(job.spec.command or ()) > 10
    assert run(job, tmp_path).returncode == 0
    assert (tmp_path / "out").read_text() == str(sum(range(500)))


def keeps_records(out: str) -> None:
    """Use what looks up the module that a class is from, when the class is made and later."""

    @dataclass
    class Record:
        rate: float
        coder: json.JSONEncoder | None = None

    Path(out).write_text(json.dumps([asdict(Record(0.5)), str(get_type_hints(Record))]), encoding="utf-8")


def test_a_shipped_function_can_define_dataclasses(tmp_path: Path) -> None:
    done = run(dltrain.job()(keeps_records).job(out=str(tmp_path / "there")), tmp_path)
    assert done.returncode == 0, done.stderr
    keeps_records(str(tmp_path / "here"))
    assert (tmp_path / "there").read_text() == (tmp_path / "here").read_text()


MANY = ", ".join(f"json.name_{number}" for number in range(300))
"""More names than the instructions for them have room for without a prefix."""


@pytest.mark.parametrize(
    ("imports", "used"),
    [
        pytest.param("import concurrent.futures", "concurrent.futures.wait([])", id="a submodule"),
        pytest.param("import xml.dom.minidom", "xml.dom.minidom.Document", id="a submodule of a submodule"),
        pytest.param("import email.mime.text\nimport email as e", "e.mime.text.MIMEText", id="by another name"),
        pytest.param("import xml.dom.minidom\nfrom xml import dom", "dom.minidom.Document", id="a package in one"),
        pytest.param(
            "import xml.dom.minidom\nfrom xml import dom\nimport json as xml",
            "(dom.minidom.Document, xml.JSONEncoder)",
            id="the package's name is another module's",
        ),
        pytest.param(
            "import concurrent.futures\nimport concurrent as c",
            "(c.futures.Future, (lambda: concurrent.futures.Executor)())",
            id="by two names",
        ),
        pytest.param(
            "import concurrent.futures\nimport json", f"(len(()) and [{MANY}], concurrent.futures.Future)", id="late"
        ),
        pytest.param("import os.path as p", "p.join('a', 'b')", id="a submodule that is another module"),
    ],
)
def test_submodules_are_loaded_in_a_rank_as_here(imports: str, used: str, tmp_path: Path) -> None:
    write = f"with open(out, 'w') as file:\n        file.write(repr({used}))"
    ask = written("ask", f"{imports}\n\ndef ask(out):\n    {write}\n", tmp_path)
    done = run(dltrain.job()(ask).job(out=str(tmp_path / "there")), tmp_path)
    assert done.returncode == 0, done.stderr
    ask(str(tmp_path / "here"))
    assert (tmp_path / "there").read_text() == (tmp_path / "here").read_text()


def uses_constant() -> int:
    """Use a name of this module."""
    return CONSTANT


def uses_local_function() -> Any:
    """Use a function of this module."""
    return uses_constant()


def uses_nothing_known() -> Any:
    """Use a name that does not exist."""
    return nowhere  # type: ignore[name-defined]  # noqa: F821 - which is the point


def uses_what_can_be_imported() -> Any:
    """Use a module and a function of one."""
    return json.dumps([floor(1.5)])


@pytest.mark.parametrize(
    ("function", "said"),
    [
        pytest.param(
            uses_constant,
            "uses_constant(): uses CONSTANT, which is a int of its module and does not travel with it; define or "
            "import it inside the function, or make it a parameter",
            id="a constant of its module",
        ),
        pytest.param(
            uses_local_function,
            "uses_local_function(): uses uses_constant, which is a function of its module and does not travel with it; "
            "define or import it inside the function, or make it a parameter",
            id="a function of its module",
        ),
        pytest.param(
            uses_nothing_known,
            "uses_nothing_known(): uses nowhere, which is not defined and does not travel with it; define or import it "
            "inside the function, or make it a parameter",
            id="an unknown name",
        ),
        pytest.param(
            lambda: 1, "<lambda>: cannot be shipped; define it with def, not as a lambda or a coroutine", id="a lambda"
        ),
        pytest.param(len, "len: has no source; define it with def in a file or a notebook's cell", id="no source"),
    ],
)
def test_what_does_not_travel_is_refused_before_anything_runs(function: Any, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        source_of(function)
    assert str(caught.value) == said


def test_a_variable_of_the_function_around_is_refused() -> None:
    outside = 1

    def inner() -> int:
        return outside

    with pytest.raises(SpecError, match="uses outside, which is a variable of the function around it"):
        source_of(inner)


def test_imported_names_travel_as_imports() -> None:
    assert source_of(uses_what_can_be_imported).splitlines()[:4] == [
        "from __future__ import annotations",
        "",
        "from math import floor as floor",
        "import json as json",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param({"wrong": 1}, r"fit\(\): cannot be called: missing a required argument: 'out'", id="a wrong name"),
        pytest.param({"out": Path("x")}, "not JSON serializable; pass numbers, text", id="no plain value"),
        pytest.param({"out": float("nan")}, "cannot be called: Out of range float", id="not a number"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        fit.job(**arguments)


def wheel(folder: Path) -> Path:
    """A package `answers`, as a wheel."""
    file = folder / "answers-1-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("answers.py", "ANSWER = 42\n")
        archive.writestr("answers-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: answers\nVersion: 1\n")
        archive.writestr("answers-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("answers-1.dist-info/RECORD", "")
    return file


def test_requirements_are_installed_once_where_the_function_finds_them(tmp_path: Path, installer: Path) -> None:
    def ask(out: str) -> None:
        from pathlib import Path as Here  # noqa: PLC0415 - it travels with the function

        import answers  # type: ignore[import-not-found]  # noqa: PLC0415 - it is not here

        Here(out).write_text(str(answers.ANSWER), encoding="utf-8")

    job = dltrain.job(requirements=[str(wheel(tmp_path))])(ask).job(out=str(tmp_path / "out"))
    first = run(job, tmp_path, installer)
    assert first.returncode == 0, first.stderr
    (tmp_path / "answers-1-py3-none-any.whl").unlink()
    assert run(job, tmp_path, installer).returncode == 0, "the second rank needs no wheel"
    assert (tmp_path / "out").read_text() == "42"


def test_requirements_that_cannot_be_installed_end_the_job_at_once(tmp_path: Path) -> None:
    done = run(dltrain.job(requirements=["/nonexistent.whl"])(uses_what_can_be_imported).job(), tmp_path)
    assert done.returncode == 64
    assert "the function's requirements cannot be installed: /nonexistent.whl" in done.stderr


def test_train_submits(fake_api: FakeApi, fake_client: dltrain.Client) -> None:
    where = "POST /apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs"
    manifest = dltrain.job("sized", replicas=4)(uses_what_can_be_imported).job().to_manifest()
    fake_api.routes[where] = lambda _: Reply(manifest)
    made = dltrain.train(uses_what_can_be_imported, client=fake_client, name="sized", replicas=4)
    assert (made.name, made.spec.workers.replicas) == ("sized", 4)
    assert [asked for asked, _ in fake_api.asked] == [where]
