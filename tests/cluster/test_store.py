"""What the image store keeps."""

from __future__ import annotations

from tests.cluster.store import without_name

LISTING = """\
REF                                TYPE                                       DIGEST     SIZE      PLATFORMS   LABELS
docker.io/dltrain/trainer:0.1.0    application/vnd.oci.image.manifest.v1+json sha256:new 6.5 GiB   linux/amd64 managed
localhost/pause:1                  application/vnd.oci.image.manifest.v1+json sha256:two 1.4 MiB   linux/amd64 managed
sha256:configuration-of-new        application/vnd.oci.image.manifest.v1+json sha256:new 6.5 GiB   linux/amd64 managed
sha256:configuration-of-old        application/vnd.oci.image.manifest.v1+json sha256:old 6.5 GiB   linux/amd64 managed
sha256:configuration-of-pause      application/vnd.oci.image.manifest.v1+json sha256:two 1.4 MiB   linux/amd64 managed
"""


def test_an_image_that_its_name_has_left_is_not_kept() -> None:
    assert without_name(LISTING) == ["sha256:configuration-of-old"]


def test_a_store_without_images_has_none_to_remove() -> None:
    assert without_name(LISTING.splitlines()[0] + "\n") == []
