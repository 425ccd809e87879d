"""What the roles for users let them do, asked of an API server that checks rights."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dltrain import names
from tests.apiserver import ApiServer
from tests.chart.rendering import ROOT, Manifest, named, objects, program, render
from tests.sdk.test_docs import blocks

ROLES = "/apis/rbac.authorization.k8s.io/v1"
ELASTIC = {
    "workers": {"replicas": 2},
    "command": ["python", "train.py"],
    "elastic": {"minReplicas": 1, "maxReplicas": 4},
}


def of_the_chart(name: str) -> list[Manifest]:
    """The rules of one of the chart's roles."""
    rules: list[Manifest] = named(objects(render()))[f"ClusterRole/{name}"]["rules"]
    return rules


def of_the_page() -> list[Manifest]:
    """The rules of the role that docs/install.md has for users."""
    page = "\n---\n".join(blocks((ROOT / "docs/install.md").read_text(), "yaml"))
    (role,) = (each for each in objects(page) if each.get("metadata", {}).get("name") == "dltrain-user")
    rules: list[Manifest] = role["rules"]
    return rules


def bound(server: ApiServer, user: str, namespace: str, rules: list[Manifest]) -> None:
    """Let a user do in a namespace what some rules say."""
    role = {"metadata": {"name": user}, "rules": rules}
    server.request("POST", f"{ROLES}/namespaces/{namespace}/roles", role)
    binding = {
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    server.request("POST", f"{ROLES}/namespaces/{namespace}/rolebindings", binding)


def scaled_by(server: ApiServer, user: str, namespace: str) -> subprocess.CompletedProcess[str]:
    """What `kubectl scale`, as docs/elastic.md has it, comes to for a user."""
    job: dict[str, Any] = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": "elastic"}}
    server.request("POST", f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.PLURAL}", {**job, "spec": ELASTIC})
    command: list[str | Path] = [program("kubectl"), "--kubeconfig", server.kubeconfig, "--as", user, "-n", namespace]
    return subprocess.run(
        [*command, "scale", "dltj/elastic", "--replicas=4"], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(lambda: of_the_chart("dltrain-edit"), id="the chart's dltrain-edit"),
        pytest.param(of_the_page, id="the role of docs-install"),
    ],
)
def test_whoever_may_run_jobs_may_scale_them_with_kubectl(
    api_server: ApiServer, namespace: str, rules: Callable[[], list[Manifest]]
) -> None:
    bound(api_server, "jane", namespace, rules())
    done = scaled_by(api_server, "jane", namespace)
    assert (done.returncode, done.stderr) == (0, "")


def test_whoever_may_see_jobs_only_may_not_scale_them(api_server: ApiServer, namespace: str) -> None:
    bound(api_server, "joe", namespace, of_the_chart("dltrain-view"))
    assert 'cannot patch resource "dltrainjobs/scale"' in scaled_by(api_server, "joe", namespace).stderr


def test_profiles_are_seen_by_those_who_see_everything() -> None:
    listed = [rule["resources"] for rule in of_the_chart("dltrain-view") if "list" in rule["verbs"]]
    assert set(itertools.chain.from_iterable(listed)) == {names.PLURAL, names.PROFILE_PLURAL}
