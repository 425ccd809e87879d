"""What an installation of the operator adds to every job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dltrain_operator.children.gang import GangScheduler

DEFAULT_IMAGE: Final = "dltrain/trainer:0.1.0"
DEFAULT_NAMESPACE: Final = "dltrain-system"


@dataclass(frozen=True, slots=True)
class Site:
    """The defaults that no job can know."""

    image: str
    """The image of jobs that name none."""
    namespace: str
    """Where the operator runs, and dials coordinators from."""
    key_version: str
    """The newest version of the master key; new jobs get it."""
    gangs: GangScheduler = "none"
    """Whose PodGroups jobs get."""
