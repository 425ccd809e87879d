"""The schemas that are fetched once for all processes of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chart.schemas import keep


def fetched(folder: Path, text: str) -> Path:
    """A folder as it is after fetching."""
    folder.mkdir()
    (folder / "pod.json").write_text(text)
    return folder


def test_what_two_processes_have_fetched_at_one_time_is_kept_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for text in ("first", "second"):
        keep(fetched(tmp_path / text, text), home)
    assert (home / "pod.json").read_text() == "first"


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        keep(fetched(tmp_path / "new", ""), tmp_path / "missing" / "home")
