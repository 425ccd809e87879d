"""What the API server's answers mean, in our own words; the answers of a real one are in test_broken_jobs."""

from typing import Any

import pytest

from dltrain.client import Client
from dltrain.errors import ClusterError, Problem, SpecError, UnavailableError
from dltrain.refusals import Answer, ExpiredError, refusal
from tests.sdk.builders import job
from tests.sdk.fake_api import FakeApi, Reply, failure

JOBS = "POST /apis/dltrain.io/v1alpha1/namespaces/ml/dltrainjobs"
STRICT = 'DLTrainJob in version "v1alpha1" cannot be handled as a DLTrainJob: strict decoding error: '


def refused(api: FakeApi, client: Client, reply: Reply) -> tuple[Problem, ...]:
    """The problems that submitting a job ends with."""
    api.routes[JOBS] = lambda _: reply
    with pytest.raises(SpecError) as caught:
        client.submit(job())
    return caught.value.problems


def invalid(*causes: tuple[str, str]) -> Reply:
    """A refusal with a cause a field."""
    return failure(422, "invalid", "Invalid", causes=[{"field": field, "message": text} for field, text in causes])


@pytest.mark.parametrize(
    ("field", "message", "said"),
    [
        pytest.param(
            "spec.checkpoint.keep",
            "Invalid value: 1.5: spec.checkpoint.keep in body should be less than or equal to 1000",
            "spec.checkpoint.keep: must be at most 1000 (got 1.5); set 1000 or less",
            id="a range",
        ),
        pytest.param(
            "spec.workers.image",
            "Too long: may not be more than 512 bytes",
            "spec.workers.image: must have at most 512 characters; shorten it",
            id="a length, without the value",
        ),
        pytest.param(
            "spec.pipeline.data.transforms",
            "Too many: 40: must have at most 32 items",
            "spec.pipeline.data.transforms: must have 32 or fewer entries (got 40); remove some",
            id="a list",
        ),
        pytest.param(
            "spec.runPolicy.cleanPodPolicy",
            'Unsupported value: "None": supported values: "Running", "All"',
            "spec.runPolicy.cleanPodPolicy: must be 'Running' or 'All' (got \"None\"); choose one of these",
            id="a choice",
        ),
        pytest.param(
            "spec.storage.claimName",
            'Invalid value: "a\\"b: c": spec.storage.claimName in body should match \'^[a-z]+$\'',
            'spec.storage.claimName: must be the name of a PersistentVolumeClaim (got "a\\"b: c"); '
            "write lower-case letters, digits, dashes and dots",
            id="a form, with quotes and a colon in the value",
        ),
        pytest.param(
            "spec.new.name",
            "Invalid value: \"x\": spec.new.name in body should match '^[a-z]+$'",
            'spec.new.name: must match ^[a-z]+$ (got "x"); write it in that form',
            id="a field that is unknown here",
        ),
        pytest.param(
            "metadata.labels",
            'Invalid value: "a b": a valid label must be an empty string',
            'metadata.labels: a valid label must be an empty string (got "a b"); correct the value',
            id="a rule of Kubernetes",
        ),
        pytest.param(
            "spec",
            "Invalid value: must keep a rule (got 2); do so",
            "spec: must keep a rule (got 2); do so",
            id="a rule of a newer cluster",
        ),
        pytest.param(
            "spec.workers",
            "Forbidden: quota exceeded",
            "spec.workers: quota exceeded; correct the value",
            id="a webhook",
        ),
        pytest.param("", "go away", "document: go away; correct the value", id="no field and no form"),
    ],
)
def test_a_cause_is_said_in_our_words(
    fake_api: FakeApi, fake_client: Client, field: str, message: str, said: str
) -> None:
    assert [str(problem) for problem in refused(fake_api, fake_client, invalid((field, message)))] == [said]


def test_that_not_all_was_checked_is_no_problem_of_its_own(fake_api: FakeApi, fake_client: Client) -> None:
    rest = ("<nil>", "Invalid value: null: some validation rules were not checked because the object was invalid")
    told = refused(fake_api, fake_client, invalid(("spec.command", "Required value"), rest))
    assert told == (Problem("spec.command", "is required", remedy="add it"),)


def test_our_own_words_stand_for_what_kubernetes_says_of_the_same_field(fake_api: FakeApi, fake_client: Client) -> None:
    theirs = ("metadata.name", 'Invalid value: "A": a lowercase RFC 1123 subdomain must consist of')
    ours = ("metadata.name", "Invalid value: \"A\": metadata.name in body should match '^[a-z]$'")
    told = refused(fake_api, fake_client, invalid(theirs, ours))
    assert [(problem.path, problem.value, problem.remedy) for problem in told] == [
        ("metadata.name", '"A"', "choose such a name")
    ]


def test_a_refusal_without_causes_is_told_as_it_is(fake_api: FakeApi, fake_client: Client) -> None:
    assert refused(fake_api, fake_client, failure(422, "no", "Invalid")) == (
        Problem("", "no", remedy="correct the value"),
    )


@pytest.mark.parametrize(
    ("message", "said"),
    [
        pytest.param(
            f'{STRICT}unknown field "spec.runPolicy.suspend", unknown field "spec.runPolicy.retries"',
            "spec.runPolicy.suspend: is not a field that the cluster knows; the cluster has an older dltrain: "
            "upgrade it (`kubectl apply -k manifests/` installs dltrain), or remove the field\n"
            "spec.runPolicy.retries: is not a field; remove it; known here: activeDeadlineSeconds, backoffLimit, "
            "cleanPodPolicy, lostPodsPerHour, managedBy, startupDeadlineSeconds, suspend, ttlSecondsAfterFinished",
            id="fields that the cluster, or nobody, knows",
        ),
    ],
)
def test_unknown_fields_are_named(fake_api: FakeApi, fake_client: Client, message: str, said: str) -> None:
    assert "\n".join(map(str, refused(fake_api, fake_client, failure(400, message, "BadRequest")))) == said


def test_another_bad_request_is_told_as_it_is(fake_api: FakeApi, fake_client: Client) -> None:
    fake_api.routes[JOBS] = lambda _: failure(400, "the namespace does not match", "BadRequest")
    with pytest.raises(ClusterError, match=r"refused \(HTTP 400\): the namespace does not match"):
        fake_client.submit(job())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (302, ClusterError),
        (410, ExpiredError),
        (429, UnavailableError),
        (500, UnavailableError),
        (504, UnavailableError),
    ],
)
def test_the_kind_of_an_answer(code: int, kind: type[Any]) -> None:
    assert type(refusal(Answer(code, "words", "https://x"))) is kind
