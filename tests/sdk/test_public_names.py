"""The public names, and what importing them costs."""

import importlib
import subprocess
import sys

import pytest

import dltrain

HEAVY = {"torch", "kubernetes", "rich", "yaml", "pydantic", "typer", "horovod", "mpi4py"}


def loaded_by(code: str) -> set[str]:
    """The heavy libraries that a fresh Python has loaded after some code."""
    script = f"import sys\n{code}\nprint(*{HEAVY!r} & set(sys.modules), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


def test_the_public_names_are_these() -> None:
    assert dltrain.__all__ == [
        "AlreadyExistsError",
        "AsyncClient",
        "ChannelError",
        "Checkpoint",
        "Client",
        "ClusterError",
        "ClusterEvent",
        "DLTrainError",
        "DLTrainJob",
        "Data",
        "FunctionJob",
        "JobEvent",
        "JobFailedError",
        "JobSpec",
        "JobStatus",
        "LocalResult",
        "Metadata",
        "MissingSoftwareError",
        "Model",
        "NotFoundError",
        "Pipeline",
        "Problem",
        "Progress",
        "Results",
        "RunPolicy",
        "SpecError",
        "Storage",
        "SweepResult",
        "Train",
        "UnavailableError",
        "Uniform",
        "WaitTimeoutError",
        "Workers",
        "__version__",
        "grid",
        "job",
        "parse_job",
        "parse_job_file",
        "random",
        "report",
        "run_local",
        "sweep",
        "train",
    ]
    assert dir(dltrain) == dltrain.__all__


@pytest.mark.parametrize("name", [name for name in dltrain.__all__ if name != "__version__"])
def test_every_public_name_is_what_its_module_has(name: str) -> None:
    home = importlib.import_module(f"dltrain.{dltrain._HOMES[name]}")
    assert getattr(dltrain, name) is getattr(home, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'dltrain' has no attribute 'Klient'"):
        dltrain.Klient  # noqa: B018 - the access is what is tested


def test_the_version_is_the_distributions() -> None:
    assert dltrain.__version__ == importlib.metadata.version("dltrain")


@pytest.mark.parametrize(
    ("code", "libraries"),
    [
        pytest.param("import dltrain", set(), id="the package"),
        pytest.param("from dltrain import NotFoundError", set(), id="an error"),
        pytest.param("from dltrain import report", {"pydantic"}, id="report, in a training script"),
        pytest.param("from dltrain import parse_job", {"pydantic"}, id="the contract"),
        pytest.param("import dltrain.cli", {"typer"}, id="the command line"),
    ],
)
def test_a_name_loads_no_more_than_it_needs(code: str, libraries: set[str]) -> None:
    assert loaded_by(code) == libraries


def test_help_loads_nothing_but_the_command_line_library() -> None:
    code = "sys.argv = ['dltrain', '--help']\nfrom dltrain.cli import main\ntry:\n    main()\nexcept SystemExit: pass"
    assert loaded_by(code) == {"typer"}
