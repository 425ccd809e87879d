"""A Python function as a job: its source is shipped in the job's command, and called by every rank."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar

from dltrain.api.job import DLTrainJob
from dltrain.api.parse import parse_job
from dltrain.errors import Problem, SpecError
from dltrain.imports import imports_of
from dltrain.names import API_VERSION, KIND

if TYPE_CHECKING:
    from dltrain.client import Client
    from dltrain.local import LocalResult

P = ParamSpec("P")
R = TypeVar("R")
PIECE: Final = 4096
"""The longest word of a command."""
PIECES: Final = 200


@dataclass(frozen=True)
class FunctionJob(Generic[P, R]):
    """A function that can still be called here, and that can run as a job."""

    function: Callable[P, R]
    name: str
    """The job's."""
    workers: Mapping[str, Any] = field(default_factory=dict)
    """The job's `spec.workers`."""
    requirements: Sequence[str] = ()
    """Packages that each worker installs first, as pip takes them."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of the job's spec: storage, runPolicy and so on."""

    def __post_init__(self) -> None:
        for name in ("__name__", "__doc__", "__module__"):
            object.__setattr__(self, name, getattr(self.function, name))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here, as if it were not decorated."""
        return self.function(*args, **kwargs)

    def job(self, **arguments: Any) -> DLTrainJob:
        """The job that calls the function in every rank.

        Args:
            arguments: the function's, as plain JSON values.

        Raises:
            SpecError: the function needs what cannot be shipped, or does not take these arguments.
        """
        shipped = source_of(self.function)
        words = [self.function.__name__, json.dumps(list(self.requirements)), arguments_of(self.function, arguments)]
        pieces = [shipped[start : start + PIECE] for start in range(0, len(shipped), PIECE)]
        if len(pieces) > PIECES:
            raise SpecError([Problem(self.name, f"has more than {PIECE * PIECES} characters", remedy="use an image")])
        command = ["python3", "-m", "dltrain.function", *words, *pieces]
        spec = {**self.spec, "workers": dict(self.workers), "command": command}
        return parse_job({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": self.name}, "spec": spec})

    def submit(self, client: Client | None = None, **arguments: Any) -> DLTrainJob:
        """Submit the job to a cluster.

        Args:
            client: of the cluster; the one that the kubeconfig names by default.
            arguments: the function's.

        Raises:
            SpecError: as in job.
            ClusterError: the cluster refuses, or is out of reach.
        """
        from dltrain.client import Client  # noqa: PLC0415 - a local run needs no cluster's library

        return (client or Client()).submit(self.job(**arguments))

    def run_local(self, output: Path, **arguments: Any) -> LocalResult:
        """Run the job on this machine, with all its ranks.

        Args:
            output: the folder for what it writes.
            arguments: the function's.

        Raises:
            SpecError: as in job.
            MissingSoftwareError: the agent is not installed here.
        """
        from dltrain.local import run_local  # noqa: PLC0415 - only local runs need it

        return run_local(self.job(**arguments), output)


def job(
    name: str = "",
    *,
    replicas: int = 1,
    image: str | None = None,
    requirements: Sequence[str] = (),
    resources: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Callable[[Callable[P, R]], FunctionJob[P, R]]:
    """Make a job of a function: `@dltrain.job(replicas=2)`.

    Args:
        name: the job's; made of the function's by default.
        replicas: how many workers.
        image: what the workers run; the trainer image by default.
        requirements: packages that each worker installs first, as pip takes them.
        resources: of a worker, as in `{"limits": {"nvidia.com/gpu": 8}}`.
        spec: other fields of the job's spec, as in YAML: `storage={"claimName": "models"}`.
    """
    asked = {"replicas": replicas, "image": image, "resources": resources}
    workers = {name: value for name, value in asked.items() if value is not None}

    def decorate(function: Callable[P, R]) -> FunctionJob[P, R]:
        chosen = name or function.__name__.replace("_", "-").strip("-").lower()
        return FunctionJob(function, chosen, workers, tuple(requirements), spec)

    return decorate


def train(
    function: Callable[..., Any],
    arguments: Mapping[str, Any] | None = None,
    client: Client | None = None,
    **options: Any,
) -> DLTrainJob:
    """Submit a function as a job: `dltrain.train(fit, {"lr": 0.1}, replicas=4)`.

    Args:
        function: what every rank calls.
        arguments: the function's, as plain JSON values.
        client: of the cluster; the one that the kubeconfig names by default.
        options: those of `job`.

    Returns:
        The job as the server has it.

    Raises:
        SpecError: the function needs what cannot be shipped, or does not take these arguments.
        ClusterError: the cluster refuses, or is out of reach.
    """
    return job(**options)(function).submit(client, **(arguments or {}))


def arguments_of(function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """Arguments as JSON.

    Raises:
        SpecError: the function does not take them, or they are no plain values.
    """
    remedy = "pass numbers, text, lists and mappings that the function has parameters for"
    try:
        inspect.signature(function).bind(**arguments)
        return json.dumps(dict(arguments), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SpecError([Problem(f"{function.__name__}()", f"cannot be called: {error}", remedy=remedy)]) from error


def source_of(function: Callable[..., Any]) -> str:
    """The function's source, without decorators, below the imports that it uses.

    Raises:
        SpecError: there is no source, or it needs names that do not travel with it; holds all of them.
    """
    try:
        lines = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        remedy = "define it with def in a file or a notebook's cell"
        raise SpecError([Problem(getattr(function, "__name__", "function"), "has no source", remedy=remedy)]) from error
    start = next((at for at, line in enumerate(lines.splitlines()) if line.startswith(("def ", "async def "))), None)
    if start is None or lines.splitlines()[start].startswith("async"):
        remedy = "define it with def, not as a lambda or a coroutine"
        raise SpecError([Problem(function.__name__, "cannot be shipped", remedy=remedy)])
    body = "\n".join(lines.splitlines()[start:])
    return "\n".join(["from __future__ import annotations", "", *imports_of(function, body), "", body, ""])
