"""PID 1 of a machine: mounts its disks, names it, then reaps orphans for ever.

Run as a plain script, `init.py HOME`, inside namespaces of its own; HOME/started says that the machine is up.
"""

import os
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    """Boot, then wait for children."""
    home = Path(sys.argv[1])
    for command in (
        ["mount", "-t", "proc", "proc", "/proc"],
        ["mount", "-t", "tmpfs", "-o", "mode=755", "run", "/run"],
        ["mount", "--bind", str(home / "var"), "/var"],
        ["hostname", home.name],
        ["ip", "link", "set", "lo", "up"],
    ):
        subprocess.run(command, check=True)
    for folder in ("/var/log", "/var/lib", "/var/tmp", "/run/lock"):
        Path(folder).mkdir(exist_ok=True)
    (home / "started").touch()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(1)


if __name__ == "__main__":
    main()
