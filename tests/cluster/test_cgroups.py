"""Where control groups are, and when a folder of theirs counts as removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.cgroups import hierarchies, remove_empty

V1 = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\ncgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n"
V2 = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0\n"
OTHER = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n/dev/vda / ext4 rw 0 0\n"


@pytest.mark.parametrize(
    ("mounts", "found"),
    [
        pytest.param(OTHER, [], id="no control groups"),
        pytest.param(OTHER + V2, ["unified"], id="version 2"),
        pytest.param(OTHER + V1, ["memory", "cpuset"], id="version 1"),
        pytest.param(OTHER + V1 + V2, ["memory", "cpuset", "unified"], id="both"),
    ],
)
def test_every_hierarchy_is_found(tmp_path: Path, mounts: str, found: list[str]) -> None:
    file = tmp_path / "mounts"
    file.write_text(mounts)
    assert hierarchies(file) == [Path("/sys/fs/cgroup", name) for name in found]


def test_this_machine_has_a_hierarchy() -> None:
    assert [root for root in hierarchies() if not root.is_dir()] == []
    assert hierarchies()


def test_a_folder_is_removed_once_it_is_empty(tmp_path: Path) -> None:
    folder = tmp_path / "node1"
    (folder / "pod").mkdir(parents=True)
    assert [remove_empty(path) for path in (folder, folder / "pod", folder, folder)] == [False, True, True, True]
