"""The page of the kill matrix: what it holds after a whole run, and after another run of some cells."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.matrix import Cell, write_page


def rows(page: Path) -> list[str]:
    return [line for line in page.read_text().splitlines() if line.startswith("| ")][2:]


def test_another_run_of_some_cells_replaces_their_rows_and_keeps_the_others_in_order(tmp_path: Path) -> None:
    page = tmp_path / "kill-matrix.md"
    write_page(
        page,
        [
            Cell("100 kills", "anywhere", 101, 0.9, 29),
            Cell("agent", "mid-epoch", 2, 6.0, 12),
            Cell("rank", "before the first step", 2, 1.5, 0),
        ],
    )
    assert ", 3 cells." in page.read_text()
    write_page(
        page,
        [
            Cell("rank", "mid-epoch", 2, 1.25, 7),
            Cell("agent", "mid-epoch", 2, 5.04, 3),
            Cell("operator", "mid-epoch", 1, None, None),
        ],
    )
    assert rows(page) == [
        "| rank | before the first step | 2 | 1.5 s | 0 |",
        "| rank | mid-epoch | 2 | 1.2 s | 7 |",
        "| agent | mid-epoch | 2 | 5.0 s | 3 |",
        "| operator | mid-epoch | 1 | - | - |",
        "| 100 kills | anywhere | 101 | 0.9 s | 29 |",
    ]
    assert ", 5 cells." in page.read_text()
