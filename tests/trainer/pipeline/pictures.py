"""Folders of small images of one colour each."""

from PIL import Image


def picture(path, colour, size=(20, 10), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def picture_folder(root, sizes=((20, 10),), mode="RGB", suffix="png"):
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
