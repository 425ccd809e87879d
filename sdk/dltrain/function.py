"""Running a shipped function: what `python3 -m dltrain.function` does in every rank of such a job.

Arguments: the function's name, its requirements and its arguments in JSON, then its source in pieces.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from dltrain.names import EXIT_DO_NOT_RETRY

MODULE: Final = "dltrain_shipped"
"""The module that a shipped function is in: a name that no package has, so that it hides none."""


def main(words: Sequence[str]) -> None:
    """Install what the function requires, then call it.

    Args:
        words: the command line.
    """
    name, requirements, arguments, *pieces = words
    folder = Path(tempfile.gettempdir())
    install(json.loads(requirements), folder)
    script = script_of(name, "".join(pieces), folder)
    sys.argv = [str(script)]
    vars(module_of(script))[name](**json.loads(arguments))


def script_of(name: str, source: str, folder: Path) -> Path:
    """A file with a function's source, so that tracebacks show its lines; all ranks of a machine have the same one."""
    script = folder / f"dltrain-{digest(source)}" / f"{name}.py"
    script.parent.mkdir(exist_ok=True)
    own = script.with_name(f"{name}-{os.getpid()}.py")
    own.write_text(source, encoding="utf-8")
    own.replace(script)  # in one step: another rank may be reading it
    return script


class Loader(SourceFileLoader):
    """Loads a script, and writes no bytecode beside it: that is out of date once another rank writes the script."""

    def set_data(self, *_: Any, **__: Any) -> None:
        """Leave the file alone."""


def module_of(script: Path) -> ModuleType:
    """A script as a module, which stays known by its name: dataclasses, for one, look up where a class is from."""
    loader = Loader(MODULE, str(script))
    spec = spec_from_file_location(MODULE, script, loader=loader)
    assert spec, "there is a loader"
    module = module_from_spec(spec)
    sys.modules[MODULE] = module  # before it runs, as with every import
    loader.exec_module(module)
    return module


def install(requirements: Sequence[str], folder: Path) -> None:
    """Install packages, once for all ranks of a machine, where this process finds them."""
    if not requirements:
        return
    target = folder / f"dltrain-packages-{digest(*requirements)}"
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / "installed").exists():
            if subprocess.run([*installer(), "--target", str(target), *requirements], check=False).returncode:
                sys.stderr.write(f"the function's requirements cannot be installed: {', '.join(requirements)}\n")
                sys.exit(EXIT_DO_NOT_RETRY)
            (target / "installed").touch()
    sys.path.insert(0, str(target))


def installer() -> list[str]:
    """The start of an installer's command line: uv, which the trainer image has, or pip."""
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--no-cache", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]


def digest(*texts: str) -> str:
    """A short name for some texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


if __name__ == "__main__":
    main(sys.argv[1:])
