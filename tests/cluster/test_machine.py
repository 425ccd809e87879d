"""A machine is found by what its first process was started with."""

from pathlib import Path

import pytest

from tests.cluster.machine import is_init

HOME = Path("/state/run/machines/node1")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        pytest.param(["python3", "-S", "/here/tests/cluster/init.py", str(HOME)], True, id="of this checkout"),
        pytest.param(["python3", "-S", "/there/tests/cluster/init.py", str(HOME)], True, id="of another checkout"),
        pytest.param(
            ["python3", "-S", "/here/tests/cluster/init.py", "/state/run/machines/node2"], False, id="another"
        ),
        pytest.param(["cat", str(HOME)], False, id="another program"),
        pytest.param([str(HOME)], False, id="one word"),
        pytest.param([], False, id="a kernel thread"),
    ],
)
def test_a_machine_is_found_by_its_init_and_its_folder(words: list[str], found: bool) -> None:
    assert is_init(words, HOME) is found
