"""The library below buckets, where it would not do by itself what a caller needs."""

from __future__ import annotations

import asyncio
import gc

from dltrain.api.storage import S3
from dltrain.bucket.system import s3_system
from tests.buckets import BUCKET, BucketServer


async def test_a_file_system_that_nobody_needs_leaves_nothing_in_the_caller_s_loop(buckets: BucketServer) -> None:
    files = s3_system(S3(endpoint=buckets.address))
    await asyncio.to_thread(files.ls, BUCKET)
    mine, loop = asyncio.all_tasks(), files.loop
    del files
    gc.collect()
    assert asyncio.all_tasks() == mine
    closing = asyncio.run_coroutine_threadsafe(others_end(), loop)
    await asyncio.wait_for(asyncio.wrap_future(closing), 10)


async def others_end() -> None:
    """Return when what the loop that this runs in does now is done."""
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
