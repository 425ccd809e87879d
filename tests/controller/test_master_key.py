"""What the Secret of the master key may hold."""

from __future__ import annotations

import base64

import pytest

from dltrain.errors import ClusterError
from dltrain_operator.master_key import MasterKeys, master_key_secret, parse_master_keys


def encoded(key: bytes) -> str:
    """A value as a Secret holds it."""
    return base64.b64encode(key).decode()


def test_a_new_secret_holds_one_random_key() -> None:
    first, second = (parse_master_keys(master_key_secret("dltrain-system")) for _ in range(2))
    assert list(first.versions) == ["1"]
    assert first.versions != second.versions


def test_the_newest_version_is_the_highest_number() -> None:
    keys = parse_master_keys({"data": {name: encoded(b"k" * 32) for name in ("2", "10", "9")}})
    assert (keys.newest, keys.versions["9"]) == ("10", b"k" * 32)
    assert keys == MasterKeys({"2": b"k" * 32, "10": b"k" * 32, "9": b"k" * 32})


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"1": encoded(b"short")}, id="a short key"),
        pytest.param({"first": encoded(b"k" * 32)}, id="a version that is no number"),
    ],
)
def test_a_secret_that_holds_something_else_is_refused(data: dict[str, str]) -> None:
    with pytest.raises(ClusterError, match="must hold versions 1, 2"):
        parse_master_keys({"data": data})
