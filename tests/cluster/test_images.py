"""When an image has to be built again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.images import OPERATOR, ROOT, TRAINER, Image, content_hash, files_of

SOURCES = ("pyproject.toml", "sdk")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small project."""
    (tmp_path / "sdk").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / "sdk" / "a.py").write_text("1")
    return tmp_path


def test_the_same_sources_have_the_same_hash_wherever_they_are(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "sdk").mkdir()
    (other / "sdk" / "a.py").write_text("1")
    (other / "pyproject.toml").write_text("[project]")
    assert content_hash(SOURCES, checkout) == content_hash(SOURCES, other)


def change_content(root: Path) -> None:
    (root / "sdk" / "a.py").write_text("2")


def rename(root: Path) -> None:
    (root / "sdk" / "a.py").rename(root / "sdk" / "b.py")


def add(root: Path) -> None:
    (root / "sdk" / "b.py").touch()


def move_between_files(root: Path) -> None:
    (root / "sdk" / "a.py").write_text("[project]")
    (root / "pyproject.toml").write_text("1")


@pytest.mark.parametrize("change", [change_content, rename, add, move_between_files])
def test_a_change_of_the_sources_changes_the_hash(checkout: Path, change: Callable[[Path], None]) -> None:
    before = content_hash(SOURCES, checkout)
    change(checkout)
    assert content_hash(SOURCES, checkout) != before


def compile_python(root: Path) -> None:
    (root / "sdk" / "__pycache__").mkdir()
    (root / "sdk" / "__pycache__" / "a.pyc").touch()


def change_another_folder(root: Path) -> None:
    (root / "docs").mkdir()
    (root / "docs" / "a.md").touch()


@pytest.mark.parametrize("change", [compile_python, change_another_folder])
def test_what_no_image_holds_does_not_change_the_hash(checkout: Path, change: Callable[[Path], None]) -> None:
    before = content_hash(SOURCES, checkout)
    change(checkout)
    assert content_hash(SOURCES, checkout) == before


@pytest.mark.parametrize("image", [OPERATOR, TRAINER], ids=lambda image: image.name)
def test_every_source_of_an_image_exists_and_is_in_its_build_context(image: Image) -> None:
    """What .dockerignore leaves out cannot be copied by a Dockerfile."""
    admitted = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert [source for source in image.sources if not list(files_of(ROOT / source))] == []
    assert set(image.sources) - {".dockerignore"} <= admitted
    assert (ROOT / image.dockerfile).is_relative_to(ROOT / Path(image.dockerfile).parts[0])
    assert Path(image.dockerfile).parts[0] in image.sources
