"""A namespace for the length of a block, with everything that is known of it told when the block fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.live import RESTRICTED, Live, Space


@contextmanager
def new_space(live: Live) -> Iterator[Space]:
    """A new namespace; its volumes, where the cluster is the tests' own, are empty ones."""
    if live.own is not None:
        live.own.recycle_volumes()
    metadata = {"generateName": "e2e-", "labels": RESTRICTED}
    space = Space(live, live.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
    try:
        space.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")  # without it, no pod
        yield space
    except BaseException as error:
        error.add_note(space.describe())
        raise
    finally:
        live.kubectl("delete", "namespace", space.name, "--wait=false")
