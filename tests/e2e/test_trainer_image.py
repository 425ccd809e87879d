"""What the trainer image has on a node: Horovod with NCCL's operations, and nothing to build with."""

from __future__ import annotations

import json

import pytest

from tests.e2e.jobs import pod
from tests.e2e.live import Space

pytestmark = pytest.mark.e2e

LOOK = """
import json, os, shutil
import horovod.torch as hvd
built = {name: bool(getattr(hvd, f"{name}_built")()) for name in ("nccl", "mpi", "cuda")}
tools = ("gcc", "cc", "g++", "make", "cmake", "nvcc", "git", "pip")
print(json.dumps({"built": built, "tools": [tool for tool in tools if shutil.which(tool)], "root": os.getuid() == 0}))
"""


def test_the_image_has_horovod_with_nccl_and_no_build_tools(space: Space) -> None:
    space.apply(pod("look", ["python3", "-c", LOOK]))
    space.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/look", "--timeout=120s")
    told = json.loads(space.kubectl("logs", "look"))
    assert told == {"built": {"nccl": True, "mpi": True, "cuda": True}, "tools": [], "root": False}
