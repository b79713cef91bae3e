"""One driver's turn, in a process of its own.

A driver is a module with `opened(job)`, a context manager that gives a function which sends once
and raises if that failed; an async one gives a coroutine function. Opening and the first sends
of each worker are not measured.

    python -m benchmarks.turn JOB
"""

from __future__ import annotations

import asyncio
import importlib
import resource
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from benchmarks.job import Job, Outcome

WARM: Final = 3  # sends of each worker that open its connection


class Meter:
    """What this process takes from `start` to `stop`. `end` is when workers have to stop."""

    def start(self, seconds: float) -> None:
        self.cpu = time.process_time()
        self.wall = time.perf_counter()
        self.end = self.wall + seconds

    def stop(self, sends: int, messages: int) -> Outcome:
        cpu, wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
        cpu, wall = round(cpu, 7), round(wall, 7)
        return Outcome(sends=sends, cpu=cpu, wall=wall, memory=peak(), messages=messages)


def peak() -> float:
    """MiB of memory at most. Linux counts what was before `exec` into `ru_maxrss`, so not that."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024 * 1024 if sys.platform == "darwin" else 1024)


def repeat(send: Callable[[], object], meter: Meter) -> int:
    count = 0
    while time.perf_counter() < meter.end:
        send()
        count += 1
    return count


def alone(send: Callable[[], object], job: Job, messages: int) -> Outcome:
    meter = Meter()
    for _ in range(WARM):
        send()
    meter.start(job.seconds)
    return meter.stop(repeat(send, meter), messages)


def threads(send: Callable[[], object], job: Job, messages: int) -> Outcome:
    meter, counts = Meter(), []
    ready = threading.Barrier(job.workers, lambda: meter.start(job.seconds))

    def work() -> None:
        for _ in range(WARM):
            send()
        ready.wait()
        counts.append(repeat(send, meter))

    workers = [threading.Thread(target=work) for _ in range(job.workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if len(counts) < job.workers:
        raise RuntimeError(f"{job.workers - len(counts)} threads failed")
    return meter.stop(sum(counts), messages)


async def tasks(send: Callable[[], Awaitable[object]], job: Job, messages: int) -> Outcome:
    meter = Meter()

    async def work() -> int:
        count = 0
        while time.perf_counter() < meter.end:
            await send()
            count += 1
        return count

    for _ in range(WARM):
        await asyncio.gather(*(send() for _ in range(job.workers)))
    meter.start(job.seconds)
    return meter.stop(sum(await asyncio.gather(*(work() for _ in range(job.workers)))), messages)


async def awaited(driver: Any, job: Job, messages: int) -> Outcome:
    async with driver.opened(job) as send:
        return await tasks(send, job, messages)


def taken(job: Job) -> Outcome:
    """What the job's driver took."""
    driver = importlib.import_module(f"{__package__}.{job.driver}")
    messages: int = getattr(driver, "MESSAGES", job.recipients)
    opening = driver.opened(job)
    if not isinstance(opening, AbstractContextManager):
        return asyncio.run(awaited(driver, job, messages))
    with opening as send:
        return (alone if job.workers == 1 else threads)(send, job, messages)


if __name__ == "__main__":
    print(taken(Job.read(sys.argv[1])).written())
