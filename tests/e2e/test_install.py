"""dltrain is installed by one command, with no more rights than it needs."""

import pytest

from tests.e2e.live import MANIFESTS, SYSTEM, Live

pytestmark = pytest.mark.e2e

ACCOUNT = f"system:serviceaccount:{SYSTEM}:dltrain-operator"


def test_installing_again_changes_nothing(installed: Live) -> None:
    lines = installed.kubectl("apply", "-k", MANIFESTS).splitlines()
    assert [line for line in lines if not line.endswith(" unchanged")] == []


@pytest.mark.parametrize(
    ("verb", "what", "answer"),
    [
        ("create", "pods", "yes"),
        ("create", "secrets", "yes"),
        ("get", "secrets", "no"),
        ("list", "secrets", "no"),
        ("create", "pods --subresource=exec", "no"),
        ("get", "pods --subresource=log", "no"),
        ("update", "dltrainjobs.dltrain.io", "no"),
        ("create", "clusterroles.rbac.authorization.k8s.io", "no"),
    ],
)
def test_the_operators_rights(installed: Live, verb: str, what: str, answer: str) -> None:
    said = installed.kubectl("auth", "can-i", verb, *what.split(), "-n", "default", f"--as={ACCOUNT}", check=False)
    assert said.split()[-1] == answer


def test_kubectl_knows_the_short_name_the_category_and_the_fields(installed: Live) -> None:
    line = next(line for line in installed.kubectl("api-resources", "-o", "wide").splitlines() if "dltj" in line)
    assert line.split()[:5] == ["dltrainjobs", "dltj", "dltrain.io/v1alpha1", "true", "DLTrainJob"]
    assert line.split()[-1] == "all"
    told = installed.kubectl("explain", "dltj.spec.workers.replicas")
    assert "How many worker pods to run;" in told
