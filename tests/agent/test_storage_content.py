"""What is sent, in which order, and what is deleted; pure."""

import resource
import threading
from pathlib import Path

import pytest

from dltrain_agent.storage.content import (
    Version,
    Work,
    brought_back,
    is_checkpoint,
    outdated,
    scan,
    whole_checkpoints,
    work_of,
)
from dltrain_trainer.checkpoint import Checkpoints


def step(number: int) -> str:
    return f"checkpoints/step-{number:08}"


def checkpoint(number: int) -> list[str]:
    return [f"{step(number)}/{name}" for name in ("manifest.json", "state.json", "state.safetensors")]


def versions(*names: str, changed: int = 1) -> dict[str, Version]:
    return {name: Version(3, changed) for name in names}


def test_records_go_first_then_indexes_then_checkpoints_from_the_oldest_manifests_last() -> None:
    names = [*checkpoint(20), *checkpoint(10), "results.json", "metrics.jsonl", "compression/product-1.safetensors"]
    assert work_of(versions(*names), {}) == Work(
        ("compression/product-1.safetensors", "metrics.jsonl"),
        ("results.json",),
        tuple(
            (number, tuple(f"{step(number)}/{name}" for name in ("state.json", "state.safetensors", "manifest.json")))
            for number in (10, 20)
        ),
    )


def test_only_what_has_changed_is_sent() -> None:
    sent = versions("metrics.jsonl", "results.json", *checkpoint(10))
    local = {**sent, "metrics.jsonl": Version(4, 2)}
    assert work_of(local, sent).names == ("metrics.jsonl",)


def test_a_checkpoint_without_a_manifest_is_not_sent_yet() -> None:
    assert work_of(versions(*checkpoint(10)[1:]), {}).names == ()


def test_a_checkpoint_that_was_done_again_is_sent_again_as_a_whole() -> None:
    sent = versions(*checkpoint(10))
    local = {**sent, f"{step(10)}/state.safetensors": Version(3, 2)}
    assert set(work_of(local, sent).names) == set(checkpoint(10))


@pytest.mark.parametrize(
    ("remote", "here", "kept"),
    [
        pytest.param([10, 20, 30, 40], [40], [30, 40], id="older than the newest two"),
        pytest.param([10, 20, 90], [20], [10, 20, 90], id="a newer one was passed over and does not count"),
        pytest.param([10, 20, 30], [], [10, 20, 30], id="nothing was made here yet"),
    ],
)
def test_old_checkpoints_are_deleted(remote: list[int], here: list[int], kept: list[int]) -> None:
    known = [name for number in remote for name in checkpoint(number)]
    local = [name for number in here for name in checkpoint(number)]
    gone = outdated(known, local, known, keep=2)
    assert sorted(set(known) - set(gone)) == sorted(name for number in kept for name in checkpoint(number))


def test_of_a_deleted_checkpoint_the_manifest_goes_first() -> None:
    known = [*checkpoint(10), *checkpoint(20)]
    assert outdated(known, checkpoint(20), [], keep=1)[0] == f"{step(10)}/manifest.json"


def test_what_was_sent_and_has_gone_from_the_disk_is_deleted_and_nothing_else() -> None:
    sent = ["compression/product-1.safetensors", "metrics.jsonl"]
    assert outdated([], ["metrics.jsonl"], sent, keep=1) == ["compression/product-1.safetensors"]


def test_a_new_pod_needs_records_but_neither_logs_nor_marks() -> None:
    remote = ["metrics.jsonl", "logs/attempt-1/rank-0.log", ".owner.json", *checkpoint(10)]
    assert brought_back(remote) == ["metrics.jsonl"]


def test_the_files_of_the_trainer_s_checkpoints_are_known(tmp_path: Path) -> None:
    Checkpoints(tmp_path / "checkpoints", keep=1, training={}).store(10, b"")
    assert all(map(is_checkpoint, scan(tmp_path)))
    assert len(scan(tmp_path)) == 3


def test_a_script_s_own_files_go_whatever_their_folder_is_called() -> None:
    assert work_of(versions("checkpoints/step-1/model.pt"), {}).names == ("checkpoints/step-1/model.pt",)


def test_checkpoints_are_whole_with_a_manifest() -> None:
    assert list(whole_checkpoints([*checkpoint(10), *checkpoint(20)[1:]])) == [10]


def test_files_that_are_being_written_are_not_seen(tmp_path: Path) -> None:
    for name in ("a", ".a.tmp", "checkpoints/.writing-step-1/state.json", "deep/b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert sorted(scan(tmp_path)) == ["a", "deep/b"]


def test_folders_that_come_and_go_meanwhile_do_not_end_the_look(tmp_path: Path) -> None:
    Checkpoints(tmp_path / "checkpoints", keep=1, training={}).store(10, b"")
    over = threading.Event()

    def come_and_go() -> None:
        """What the trainer does for each checkpoint."""
        writing, whole = (tmp_path / "checkpoints" / name for name in (".writing-step-00000020", "step-00000020"))
        while not over.is_set():
            writing.mkdir()
            writing.rename(whole)
            whole.rmdir()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        assert {len(scan(tmp_path)) for _ in range(2000)} == {3}
    finally:
        over.set()
        thread.join()


def test_what_cannot_be_looked_at_does_not_count_as_removed(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            scan(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
