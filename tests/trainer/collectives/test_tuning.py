"""Horovod's own settings, and what a job may say of communication."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from dltrain.api.communication import Communication, HorovodTuning
from dltrain_trainer.distributed.tuning import VARIABLES, horovod_environment


def test_every_setting_has_its_variable() -> None:
    assert set(VARIABLES) == set(HorovodTuning.model_fields)


def test_settings_become_variables_in_horovods_units() -> None:
    tuning = HorovodTuning.model_validate(
        {
            "hierarchicalAllreduce": True,
            "cycleMilliseconds": 2.5,
            "fusionMebibytes": 64,
            "cacheCapacity": 2048,
            "ncclStreams": 2,
        }
    )
    assert horovod_environment(tuning, {}) == {
        "HOROVOD_HIERARCHICAL_ALLREDUCE": "1",
        "HOROVOD_CYCLE_TIME": "2.5",
        "HOROVOD_FUSION_THRESHOLD": "67108864",
        "HOROVOD_CACHE_CAPACITY": "2048",
        "HOROVOD_NUM_NCCL_STREAMS": "2",
    }


def test_a_setting_of_zero_or_false_is_a_setting() -> None:
    tuning = HorovodTuning(hierarchical_allreduce=False, fusion_mebibytes=0)
    expected = {"HOROVOD_HIERARCHICAL_ALLREDUCE": "0", "HOROVOD_FUSION_THRESHOLD": "0"}
    assert horovod_environment(tuning, {"HOROVOD_CYCLE_TIME": "1"}) == expected


@pytest.mark.parametrize("tuning", [None, HorovodTuning()], ids=["none", "empty"])
def test_what_is_absent_is_left_to_horovod_but_for_a_shorter_cycle(tuning: HorovodTuning | None) -> None:
    assert horovod_environment(tuning, {}) == {"HOROVOD_CYCLE_TIME": "0.3"}


def test_a_cycle_of_the_environments_own_stays() -> None:
    assert horovod_environment(None, {"HOROVOD_CYCLE_TIME": "5"}) == {}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"powerSgd": {}}, id="options of a compression that is not chosen"),
        pytest.param({"compression": "topK"}, id="no such compression"),
        pytest.param({"compression": "powerSgd", "powerSgd": {"rank": 0}}, id="a rank of zero"),
        pytest.param({"bucketMebibytes": 0}, id="empty buckets"),
        pytest.param({"horovod": {"cycleMilliseconds": -1}}, id="a negative time"),
    ],
)
def test_a_setting_out_of_bounds_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Communication.model_validate(fields)
