"""Whether what only some uses of dltrain need is installed."""

from __future__ import annotations

import importlib.util

from dltrain.errors import MissingSoftwareError


def require(use: str, *modules: str) -> None:
    """See that modules can be imported, without importing them.

    Args:
        use: what needs them, as the start of a sentence.
        modules: the modules.

    Raises:
        MissingSoftwareError: some cannot.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingSoftwareError(
            f"{use} needs {', '.join(missing)}, which this Python does not have; `make install` in a checkout of "
            "dltrain installs all of it"
        )
