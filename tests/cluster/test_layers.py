"""The sizes of an image's layers."""

import json
from pathlib import Path

from tests.cluster.layers import digest_in, layer_lines, layers_of

MANIFEST = {"layers": [{"size": 80 << 20}, {"size": 1 << 19}], "config": {"digest": "sha256:c"}}
CONFIG = {
    "history": [
        {"created_by": ""},
        {"created_by": "ENV A=b", "empty_layer": True},
        {"created_by": "RUN /bin/sh -c --mount=type=cache,target=/x   pip install # buildkit"},
    ]
}
LINES = ["     80.0 MiB  the base", "      0.5 MiB  RUN pip install", "     80.5 MiB  in 2 layers, uncompressed"]


def test_each_layer_has_its_size_and_what_made_it() -> None:
    assert layer_lines(MANIFEST, CONFIG) == LINES


def test_an_image_is_found_by_what_its_build_has_said(tmp_path: Path) -> None:
    index = {"manifests": [{"digest": "sha256:b"}, {"digest": "sha256:other"}]}
    for name, content in (("a" * 64, index), ("b", MANIFEST), ("c", CONFIG)):
        (tmp_path / name).write_text(json.dumps(content))
    log = f"#20 exporting manifest sha256:{'b' * 64}\n#20 exporting manifest list sha256:{'a' * 64} 0.0s done\n"
    assert layers_of(tmp_path, digest_in(log)) == LINES
