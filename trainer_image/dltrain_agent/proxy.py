"""Stands where Open MPI expects a process of its own, while the agent runs the real one; imports next to nothing.

    proxy.py SOCKET rank              started by prted for each slot: the agent starts the rank
    proxy.py SOCKET daemon HOST LINE  started by mpirun as its remote shell: the agent of that host starts prted

It sends what it was given to the agent, passes on the signals it gets, and ends as the real process ended.
Run with `python -S -E`: no site packages, so that it starts in a hundredth of a second.
"""

import os
import signal
import socket
import sys
from json import dumps, loads

AGENT_GONE = 125
"""Exit code when the agent closed the connection without saying how the process ended."""


def die_by(number: int) -> None:
    """End by a signal, as the real process did, without a core file of one's own."""
    if number != signal.SIGKILL:  # which cannot be handled in the first place
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def main() -> int:
    """Run the exchange; returns the exit code."""
    address, kind, *line = sys.argv[1:]
    agent = socket.socket(socket.AF_UNIX)
    agent.connect(address)

    def pass_on(number: int, _frame: object) -> None:
        try:
            agent.sendall(dumps({"signal": number}).encode() + b"\n")
        except OSError:  # the agent is gone, and its processes with it: what is read next says so
            return

    agent.sendall(dumps({"kind": kind, "line": line, "environment": dict(os.environ)}).encode() + b"\n")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, pass_on)
    try:
        answer = agent.makefile().readline()
    except OSError:
        answer = ""
    if not answer:
        return AGENT_GONE
    ended = loads(answer)
    if ended["signal"] in {signal.SIGKILL, signal.SIGTERM}:
        die_by(ended["signal"])
    return int(128 + ended["signal"] if ended["signal"] else ended["code"])


if __name__ == "__main__":
    sys.exit(main())
