"""The loop's thread ends without a word about what Dask leaves on it, and with one about everything else."""

from __future__ import annotations

import asyncio
import gc

import pytest

from scalable.targets.loop import LoopThread


@pytest.mark.parametrize(
    ("error", "words"), [(TimeoutError("Timeout"), 0), (ValueError("a bug"), 1)], ids=["timer", "bug"]
)
def test_only_a_timer_that_goes_off_at_the_end_is_not_told(
    error: Exception, words: int, caplog: pytest.LogCaptureFixture
) -> None:
    thread = LoopThread()
    left: asyncio.Future[None] = asyncio.Future(loop=thread.loop.asyncio_loop)
    thread.loop.add_callback(left.set_exception, error)
    thread.stop()
    del left
    gc.collect()
    assert len(caplog.messages) == words
