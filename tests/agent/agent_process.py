"""An agent on one of the tests' machines, or an observer of its coordinator: `python -m tests.agent.agent_process`."""

from __future__ import annotations

import asyncio
import logging
import ssl
import sys
from pathlib import Path

from dltrain.api.channel import GroupStatus, Observe
from dltrain.api.parse import parse_job_file
from dltrain.channel import channel_context, open_channel
from dltrain.errors import ChannelError
from dltrain.heartbeat import heartbeats
from dltrain.names import CONTROL_PORT
from dltrain_agent.__main__ import run
from dltrain_agent.settings import Settings

OWN = Path("/mnt")
"""Where each machine has a file system of its own."""


async def agent(folder: Path, index: int, incarnation: int, past_attempts: int) -> int:
    """Be an agent of the job in a folder; its exit code."""
    job = parse_job_file(folder / "job.json")
    (OWN / "workspace").mkdir()
    settings = Settings(
        job=job,
        job_file=folder / "job.json",
        index=index,
        incarnation=incarnation,
        past_attempts=past_attempts,
        pod=f"{job.name}-{index}-{incarnation}",
        node=f"machine{index}",
        output=folder / "out",
        workspace=OWN / "workspace",
        identity=folder / "worker",
        termination_log=OWN / "termination-log",
        sockets=OWN / "sockets",
    )
    return await run(settings)


async def observer(folder: Path, host: str, replicas: int) -> int:
    """Print what the coordinator says, a status a line, until the connection ends."""
    identity = folder / "observer"
    context = channel_context(ssl.Purpose.SERVER_AUTH, identity / "ca.crt", identity / "tls.crt", identity / "tls.key")
    channel = None
    while channel is None:
        try:
            channel = await open_channel(host, CONTROL_PORT, context)
        except ChannelError:
            await asyncio.sleep(0.1)  # it does not listen yet; who waits for its words has a deadline
    async with heartbeats(channel):
        await channel.send(Observe(replicas=replicas))
        async for message in channel:
            if isinstance(message, GroupStatus):
                print(message.model_dump_json(by_alias=True), flush=True)  # noqa: T201 - this is what it is for
    return 0


def main() -> None:
    """Be what the arguments say."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s agent: %(message)s", stream=sys.stderr)
    role, folder, *rest = sys.argv[1:]
    if role == "agent":
        sys.exit(asyncio.run(agent(Path(folder), *map(int, rest))))
    sys.exit(asyncio.run(observer(Path(folder), rest[0], int(rest[1]))))


if __name__ == "__main__":
    main()
