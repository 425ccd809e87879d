"""Every reader of foreign bytes refuses what it does not take in its own words, and never otherwise.

`make fuzz` tries for ten minutes; what it finds is kept in tests/fuzz/corpus, and tried here for ever after.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.fuzz.mutations import mutations
from tests.fuzz.targets import TARGETS, tried

CORPUS = Path(__file__).parent / "corpus"
EXAMPLES = 25
every_target = pytest.mark.parametrize("name", TARGETS)


@every_target
def test_sound_inputs_are_taken(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    for data in target.sound:
        if name in {"manifest", "model", "channel"}:  # sound by their form; their content is of nothing, or ends
            tried(target, data, tmp_path)
        else:
            target.feed(data, tmp_path)


@every_target
def test_what_was_found_once_is_not_found_again(name: str, tmp_path: Path) -> None:
    for file in sorted((CORPUS / name).glob("*")):
        tried(TARGETS[name], file.read_bytes(), tmp_path)


@every_target
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_changed_inputs_are_taken_or_refused(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"fuzz-{name}"
    folder.mkdir(exist_ok=True)
    tried(TARGETS[name], data.draw(mutations(TARGETS[name].sound)), folder)


def test_a_reader_that_fails_otherwise_is_found(tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        tried(replace(TARGETS["report"], refusals=()), b"{}", tmp_path)
