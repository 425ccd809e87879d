"""A new user on a real cluster: the wheel in a fresh environment, a job that is submitted, followed and explained."""

from pathlib import Path

import pytest

from dltrain.watch import job_path
from tests.e2e.jobs import example
from tests.e2e.live import Space
from tests.sdk.builders import job
from tests.wheel import install_wheel, uv

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(uv() is None, reason="needs uv, which `make install` puts there")]


def test_a_job_is_written_submitted_followed_and_looked_at(space: Space, tmp_path: Path) -> None:
    installed = install_wheel(tmp_path)
    where = ["-n", space.name, "--kubeconfig", str(space.live.kubeconfig)]

    def dltrain(*words: str) -> str:
        found = installed.run("dltrain", *words, cwd=tmp_path, environment={})
        assert found.returncode == 0, f"{words}: {found.stdout[-3000:]}{found.stderr[-3000:]}"
        return found.stdout

    options = ["--name", "first", "--command", "python3 -c \"print('trained')\"", "--workers", "2", "--yes"]
    dltrain("init", "job.yaml", *options)
    small = ["--set", "spec.workers.resources.limits={cpu: 500m, memory: 512Mi}"]
    followed = dltrain("submit", "job.yaml", "--follow", "--timeout", "120", *small, *where)
    assert {"[rank 0] trained", "[rank 1] trained"} <= set(followed.splitlines())
    assert "Phase:      Succeeded" in followed
    assert dltrain("logs", "first", "--rank", "1", "--tail", "1", *where) == "[rank 1] trained\n"
    assert dltrain("explain", "first", *where).startswith("The job is complete.")
    assert dltrain("watch", "first", *where).startswith("first  Succeeded")
    assert dltrain("list", "-o", "name", *where) == "first\n"
    dltrain("delete", "first", "--wait", "--timeout", "60", *where)


def test_what_a_job_has_stored_is_copied_to_this_machine(space: Space, tmp_path: Path) -> None:
    space.apply(example("01-fashion-cnn", "storage.yaml"))
    text = "hello " * 300_000
    code = "import os, pathlib; here = pathlib.Path(os.environ['DLTRAIN_OUTPUT_DIR'], 'deep'); here.mkdir(parents=True)"
    code += f"; (here / 'file').write_text('hello ' * {len(text) // 6})"
    made = job({"command": ["python3", "-c", code], "storage": {"claimName": "models"}}, name="stores")
    client = space.client
    client.submit(made)
    client.wait("stores", timeout=120)
    results = {"artifacts": f"pvc://models/stores-{client.get('stores').metadata.uid[:8]}"}
    client._connection.request(
        "PATCH", f"{job_path(space.name, 'stores')}/status", body={"status": {"results": results}}
    )
    files = client.download("stores", tmp_path / "copy")
    assert files == [tmp_path / "copy" / "deep" / "file", tmp_path / "copy" / "logs" / "attempt-1" / "rank-0.log"]
    assert [file.read_text() for file in files] == [text, ""]
    assert "reader" not in space.kubectl("get", "pods", "-o", "name")


def test_a_function_runs_on_the_cluster(space: Space, tmp_path: Path) -> None:
    installed = install_wheel(tmp_path)
    script = tmp_path / "train.py"
    script.write_text(
        "import dltrain\n\n\n"
        "@dltrain.job('function', replicas=2)\n"
        "def fit(times):\n"
        "    from mpi4py import MPI\n\n"
        "    print('rank', MPI.COMM_WORLD.rank, 'of', MPI.COMM_WORLD.size, 'times', times)\n\n\n"
        f"client = dltrain.Client({space.name!r}, kubeconfig={str(space.live.kubeconfig)!r})\n"
        "job = fit.submit(client, times=3)\n"
        "print(client.wait(job.name, timeout=120).status.phase)\n"
        "print(*client.logs(job.name), sep='\\n')\n"
        "print([pod.ranks for pod in client.pods(job.name)])\n"
    )
    found = installed.run("python", str(script), cwd=tmp_path, environment={})
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines[0] == "Succeeded"
    assert {f"[rank {rank}] rank {rank} of 2 times 3" for rank in (0, 1)} <= set(lines)
    assert lines[-1] == "[(0,), (1,)]"
