"""Folders of small images of one colour each."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image


def picture(path: Path, colour: int | tuple[int, ...], size: tuple[int, int] = (20, 10), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def picture_folder(
    root: Path, sizes: Sequence[tuple[int, int]] = ((20, 10),), mode: str = "RGB", suffix: str = "png"
) -> Path:
    for index in range(12):
        colour = (index * 20, 0, 0) if mode == "RGB" else index * 20
        for split in ("train", "test"):
            picture(
                root / split / ("cat" if index % 2 else "dog") / f"{index}.{suffix}",
                colour,
                sizes[index % len(sizes)],
                mode,
            )
    return root
