"""The worker's side of a proxy's connection: signals come from it, and the end of the process goes to it."""

from __future__ import annotations

import asyncio
import json
import signal

from dltrain_agent.processes import Exit, Process


async def answer(writer: asyncio.StreamWriter, ended: Exit) -> None:
    """Tell a proxy how its process ended."""
    writer.write(json.dumps({"code": ended.code, "signal": ended.signal}).encode() + b"\n")
    await writer.drain()


async def pass_on_signals(reader: asyncio.StreamReader, process: Process) -> None:
    """Send a rank the signals that its proxy got; SIGKILL once the proxy is gone, for Open MPI killed it."""
    while line := await reader.readline():
        process.signal(int(json.loads(line)["signal"]))
    process.signal(signal.SIGKILL)
