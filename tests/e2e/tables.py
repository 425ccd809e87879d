"""What `kubectl get dltj` prints of a job, at every change of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dltrain.access import lines_of
from dltrain.connection import Connection, connect
from dltrain.watch import jobs_path
from tests.e2e.live import Space

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
"""The media type by which kubectl has the server print objects (Kubernetes API concepts, "Receiving resources as
Tables")."""
ENDS = {"Succeeded", "Failed"}


@contextmanager
def printed_rows(space: Space, job: str) -> Iterator[list[dict[str, Any]]]:
    """The rows of a job, column by column, as they come; complete at the end of the block, when the job has ended."""
    rows: list[dict[str, Any]] = []
    connection = connect(kubeconfig=space.live.kubeconfig)
    started = threading.Event()
    thread = threading.Thread(target=follow, args=(connection, space.name, job, rows, started), daemon=True)
    thread.start()
    assert started.wait(10), "the watch did not start"
    yield rows
    thread.join(10)
    assert not thread.is_alive(), f"the job has not ended: {rows[-1:]}"


def follow(
    connection: Connection, namespace: str, job: str, rows: list[dict[str, Any]], started: threading.Event
) -> None:
    """Append each row until one says that the job has ended."""
    query = [("fieldSelector", f"metadata.name={job}"), ("timeoutSeconds", 600), ("watch", True)]
    request = connection._access.api.param_serialize(
        "GET", jobs_path(namespace), query_params=query, header_params={"Accept": TABLE}, auth_settings=["BearerToken"]
    )
    answer = connection._access.api.call_api(*request, _request_timeout=(10, 610)).response
    started.set()
    columns: list[str] = []
    for line in lines_of(answer.stream()):
        table = json.loads(line)["object"]
        columns = [column["name"] for column in table.get("columnDefinitions") or []] or columns
        rows.extend(dict(zip(columns, row["cells"], strict=True)) for row in table["rows"])
        if rows and rows[-1]["Phase"] in ENDS:
            answer.close()
            return
