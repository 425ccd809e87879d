"""The kill matrix: whatever breaks, whenever: the job completes, to the bit as if nothing had been.

The short form runs a few cells; `make e2e-chaos` runs all of them and writes docs/kill-matrix.md.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import pytest

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from tests.cluster.cluster import Cluster
from tests.cluster.host import wait_for
from tests.e2e.faults import FAULTS, MOMENTS, Fault
from tests.e2e.live import Live, Space
from tests.e2e.matrix import Cell, write_page
from tests.e2e.scene import RANK, Scene, processes
from tests.e2e.spaces import new_space
from tests.e2e.training import BATCH, EPOCHS, SAMPLES, Account, account, counted_job, hurry, resumed, submit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ALL: Final = os.environ.get("CHAOS") == "all"
PAGE: Final = os.environ.get("CHAOS_PAGE")
STEPS: Final = EPOCHS * SAMPLES // BATCH
SHORT: Final = {
    ("rank", "mid-epoch"),
    ("agent", "during a checkpoint"),
    ("member-pod", "during evaluation"),
}
CELLS: Final = [(fault, moment) for fault in FAULTS for moment in MOMENTS if ALL or (fault.name, moment) in SHORT]
KILLS: Final = 100 if ALL else 5
COMPRESSION: Final = "during compression"
COMPRESS: Final = {"steps": [{"prune": {"method": "channel", "ratio": 0.25, "fineTuneEpochs": 1}}]}
VALIDATION: Final = 0.02
RESULTS: Final[list[Cell]] = []


@pytest.fixture(scope="module")
def own(installed: Live) -> Cluster:
    """The tests' own cluster."""
    if installed.own is None:
        pytest.skip("only the tests' own cluster may be broken")
    return installed.own


@pytest.fixture(scope="module")
def undisturbed(installed: Live, own: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Account]:
    """What the job of a moment comes to when nothing breaks."""
    del own

    @cache
    def found(moment: str) -> Account:
        with new_space(installed) as space:
            submit(space, job_of("undisturbed", moment))
            done = space.client.wait("undisturbed", timeout=240)
            assert (done.status.phase, done.status.attempt) == ("Succeeded", 1), done.status.failure
            return account(space, done, tmp_path_factory.mktemp("undisturbed"))

    return lambda moment: found(moment if moment == COMPRESSION else "")


@pytest.fixture(scope="module", autouse=True)
def page() -> Iterator[None]:
    """Write down what was found, where that is asked for."""
    yield
    if PAGE and RESULTS:
        write_page(Path(PAGE), RESULTS)


def job_of(name: str, moment: str) -> DLTrainJob:
    """The job that is disturbed; compression is a stage of its own."""
    job = counted_job(name, runPolicy={"backoffLimit": 2 * KILLS})
    if moment != COMPRESSION:
        return job
    document: dict[str, Any] = job.to_manifest()
    pipeline = document["spec"]["pipeline"]
    pipeline["compress"] = COMPRESS
    pipeline["data"]["split"] = {"validation": VALIDATION}  # which gates look at
    return parse_job(document)


@pytest.mark.parametrize(
    ("fault", "moment"), CELLS, ids=[f"{fault.name}-{moment.replace(' ', '-')}" for fault, moment in CELLS]
)
def test_a_job_comes_to_the_same(  # noqa: PLR0917 - fixtures and a cell
    space: Space, own: Cluster, undisturbed: Callable[[str], Account], fault: Fault, moment: str, tmp_path: Path
) -> None:
    name = f"{fault.name}-{moment.replace(' ', '-')}"[:40]
    scene = Scene(space, own, name)
    submit(space, job_of(name, moment))
    with ExitStack() as mended:
        MOMENTS[moment](scene)
        at, step = datetime.now(UTC), scene.step()
        fault.happen(scene, mended)
        done = space.client.wait(name, timeout=300)
        back = resumed(space, name, at)
    kept = account(space, done, tmp_path)
    assert (done.status.phase, kept.steps, kept.uses) == ("Succeeded", tuple(range(1, STEPS + 1)), {1})
    expected = undisturbed(moment)
    assert kept.losses == expected.losses, "to the bit"
    assert (kept.accuracy, kept.rows) == (expected.accuracy, expected.rows)
    if not fault.restarts:
        assert done.status.attempt == 1, done.status.last_restart
    seconds = (back[0] - at).total_seconds() if back is not None else None
    lost = max(0, step - back[1]) if back is not None else None
    RESULTS.append(Cell(fault.name, moment, done.status.attempt, seconds, lost))
    space.client.delete(name, wait=True, timeout=90)
    wait_for("everything of it to be deleted", lambda: not space.owned(), 60)
    pods = [f"{name}-{index}-{number + 1}" for index in (0, 1) for number in range(8)]
    wait_for("its processes to end", lambda: not any(list(processes(pod)) for pod in pods), 60)


def reached(scene: Scene, step: int) -> bool:
    """Whether the training is at a step, or past it."""
    return scene.step() >= step


@pytest.mark.timeout(600 + 15 * KILLS)
def test_many_kills_in_one_job_cost_a_snapshot_interval_each(space: Space, own: Cluster, tmp_path: Path) -> None:
    chance = random.Random(6)
    scene = Scene(space, own, "killed")
    epochs = 2 * KILLS + 10  # more than the kills need, however long it takes to look at it and to kill
    submit(space, counted_job("killed", epochs=epochs, runPolicy={"backoffLimit": 2 * KILLS}))
    lost: list[int] = []
    took: list[float] = []
    for _ in range(KILLS):
        before = scene.step()
        wait_for("training to go on", partial(reached, scene, before + 1), 60, pause=0.02)
        target = scene.step() + chance.randrange(20, 60)
        wait_for("some steps", partial(reached, scene, target), 60, pause=0.02)
        at, step = datetime.now(UTC), scene.step()
        scene.kill(chance.randrange(2), RANK)
        wait_for("training to go on", partial(resumed, space, "killed", at), 60)
        back = resumed(space, "killed", at)
        assert back is not None
        lost.append(max(0, step - back[1]))
        took.append((back[0] - at).total_seconds())
    hurry(space, space.client.get("killed"))
    done = space.client.wait("killed", timeout=300)
    kept = account(space, done, tmp_path)
    assert (done.status.phase, done.status.attempt) == ("Succeeded", KILLS + 1)
    assert (kept.steps, kept.uses) == (tuple(range(1, epochs * SAMPLES // BATCH + 1)), {1})
    RESULTS.append(Cell(f"{KILLS} kills", "anywhere", done.status.attempt, sorted(took)[len(took) // 2], max(lost)))
    assert sorted(lost)[len(lost) // 2] <= 30, f"steps lost: {lost}"
