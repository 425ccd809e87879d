"""What holds for every valid job."""

import json
from typing import Any

from hypothesis import given, settings

from dltrain.api.document import dump
from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job, stored_job
from dltrain.api.wording import dotted, location_of
from dltrain.cli.options import Format
from dltrain.cli.scripts import job_for_scripts
from tests.sdk.strategies import JOBS, places

quickly = settings(deadline=None, max_examples=60)


@quickly
@given(JOBS)
def test_a_manifest_gives_the_same_job(document: dict[str, Any]) -> None:
    job = parse_job(document)
    assert parse_job(job.to_manifest()) == job
    assert parse_job(job.to_manifest()).to_manifest() == job.to_manifest()


@quickly
@given(JOBS)
def test_yaml_and_json_give_the_same_job(document: dict[str, Any]) -> None:
    job = parse_job(document)
    assert parse_job(json.dumps(document)) == job
    assert parse_job(dump(document)) == job


@quickly
@given(JOBS)
def test_what_is_printed_for_scripts_gives_the_same_job(document: dict[str, Any]) -> None:
    job = parse_job(document)
    assert parse_job(job_for_scripts(job, Format.JSON)) == job
    assert parse_job(job_for_scripts(job, Format.YAML)) == job


@quickly
@given(JOBS)
def test_what_the_cluster_has_stored_is_the_same_job(document: dict[str, Any]) -> None:
    assert stored_job(document) == parse_job(document)


@quickly
@given(JOBS)
def test_a_path_is_the_way_that_it_was_written_from(document: dict[str, Any]) -> None:
    for way in places(document):
        assert location_of(dotted(way)) == way


@quickly
@given(JOBS)
def test_the_yaml_of_a_job_makes_the_same_job(document: dict[str, Any]) -> None:
    job = parse_job(document)
    assert DLTrainJob.from_yaml(job.to_yaml()) == job
