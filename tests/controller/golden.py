"""`python -m tests.controller.golden`: keep what this release makes of three jobs, as input of the next one's tests.

Run it before a release, and whenever a test says that the files differ from what is made now; those of earlier releases
stay as they are.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import dltrain
from dltrain import names
from tests.apiserver import PROFILES, ApiServer, programs_folder
from tests.controller.cluster import OperatorProcess, Space, install, now
from tests.controller.test_life import coordinator, says

FOLDER: Final = Path(__file__).parent / "golden"
KINDS: Final = {"pods": "Pod", "configmaps": "ConfigMap", "services": "Service", "networkpolicies": "NetworkPolicy"}
PROFILE: Final = {"environment": {"NCCL_DEBUG": "WARN"}, "resources": {"limits": {"cpu": 1}}}


def running(space: Space, folder: Path) -> None:
    """A job with a profile that runs in its second attempt: a worker was lost and replaced."""
    space.submit("a", profile="golden")
    space.await_pods("a-0-1", "a-1-1")
    with coordinator(space, folder) as peer:
        space.run("a-0-1", "a-1-1")
        peer.say(says("running"))
        space.await_phase("Running")
        space.end("a-1-1", 137)
        space.await_pods("a-1-2")
        space.run("a-1-2")
        peer.say(says("running", 2))
        space.await_phase("Running")


def suspended(space: Space, folder: Path) -> None:
    """A job that ran and holds no pods."""
    running(space, folder)
    space.set_policy("a", suspend=True)
    space.await_phase("Suspended")


def succeeded(space: Space, folder: Path) -> None:
    """A job that has ended; its pods stay for their logs."""
    running(space, folder)
    space.end("a-1-2", 0)
    space.end("a-0-1", 0, says("succeeded", 2).model_dump_json())
    space.await_phase("Succeeded")


STAGES: Final[tuple[Callable[[Space, Path], None], ...]] = (running, suspended, succeeded)


def kept(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    """An object as it is kept."""
    metadata = {name: value for name, value in item["metadata"].items() if name != "managedFields"}
    return {**item, "apiVersion": item.get("apiVersion", VERSIONS.get(kind, "v1")), "kind": kind, "metadata": metadata}


VERSIONS: Final = {"NetworkPolicy": "networking.k8s.io/v1"}


def record(server: ApiServer, folder: Path) -> None:
    """Play all stages and write what there is at the end of each."""
    head = {"apiVersion": names.API_VERSION, "kind": names.PROFILE_KIND, "metadata": {"name": "golden"}}
    server.request("POST", PROFILES, {**head, "spec": PROFILE})
    for stage in STAGES:
        space = Space(server, server.make_namespace(f"{stage.__name__}-"))
        with tempfile.TemporaryDirectory() as scratch:
            stage(space, Path(scratch))
        children = [kept(kind, item) for plural, kind in KINDS.items() for item in space.items(plural)]
        objects = [each for each in children if each["metadata"].get("ownerReferences")]
        found = {"recorded": now(), "job": kept(names.KIND, space.job()), "objects": objects}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{stage.__name__}.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Write the files of this release."""
    with tempfile.TemporaryDirectory() as scratch:
        server = ApiServer(Path(scratch), programs_folder())
        try:
            server.start()
            server.install_crd()
            install(server)
            operator = OperatorProcess(server)
            operator.start()
            record(server, FOLDER / dltrain.__version__)
            operator.stop()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
