"""A new user's first hour: the wheel in a fresh environment, a local job that ends, a job submitted to a cluster."""

from pathlib import Path

import pytest
import yaml

from tests.apiserver import ApiServer
from tests.wheel import Installed, install_wheel, uv

pytestmark = pytest.mark.skipif(uv() is None, reason="needs uv, which `make install` puts into the cache")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a fresh environment."""
    return install_wheel(tmp_path_factory.mktemp("wheel"))


def done(installed: Installed, folder: Path, *words: str, **environment: str) -> str:
    """What a command prints; it must succeed."""
    found = installed.run(*words, cwd=folder, environment=environment)
    assert found.returncode == 0, f"{words}: {found.stdout[-2000:]}{found.stderr[-2000:]}"
    return found.stdout


def test_the_wheel_is_what_is_imported_and_has_its_data(installed: Installed, tmp_path: Path) -> None:
    code = (
        "import dltrain, dltrain_agent, dltrain_trainer, dltrain_operator, importlib.resources as r\n"
        "print(dltrain.__file__)\n"
        "print(all((r.files('dltrain') / name).is_file() for name in ('py.typed', 'ui/static/index.html')))"
    )
    where, has_data = done(installed, tmp_path, "python", "-c", code).split()
    assert Path(where).is_relative_to(installed.folder)
    assert has_data == "True"


def test_from_nothing_to_a_finished_local_job(installed: Installed, tmp_path: Path) -> None:
    options = ["--command", "python3 -c \"print('trained')\"", "--workers", "2", "--yes"]
    done(installed, tmp_path, "dltrain", "init", "job.yaml", *options)
    assert "valid: my-job, 2 ranks" in done(installed, tmp_path, "dltrain", "validate", "job.yaml")
    assert "2: 2 pods of 1" in done(installed, tmp_path, "dltrain", "plan", "job.yaml")
    told = done(installed, tmp_path, "dltrain", "run", "job.yaml")
    assert "my-job succeeded" in told
    assert sorted(line for line in told.splitlines() if "trained" in line) == [
        "[rank 0] trained",
        "[rank 1] trained",
    ]


def test_from_there_to_a_submitted_cluster_job(
    installed: Installed, tmp_path: Path, api_server: ApiServer, namespace: str
) -> None:
    content = yaml.safe_load(api_server.kubeconfig.read_text())
    content["contexts"][0]["context"]["namespace"] = namespace
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(content))

    def dltrain(*words: str) -> str:
        return done(installed, tmp_path, *words, KUBECONFIG=str(kubeconfig))

    dltrain("dltrain", "init", "job.yaml", "--name", "first", "--claim", "models", "--yes")
    assert dltrain("dltrain", "submit", "job.yaml") == f"{namespace}/first submitted\n"
    assert dltrain("kubectl-dltrain", "list", "-o", "name") == "first\n"
    assert "no operator has taken it up yet" in dltrain("dltrain", "status", "first")
    assert "No operator has taken the job up yet" in dltrain("dltrain", "explain", "first")
    dltrain("dltrain", "delete", "first")
