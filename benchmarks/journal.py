"""What the journal costs: a send with it `off`, `on` and `strict`, as a ratio to `off`.

The three take turns within one run, as absolute times differ from machine to machine and disks even
more. *Plugged*, the sandbox's emulator answers in this process: what is left is our own time.
*Loopback* is the same emulator over HTTP on this machine. Medians of single sends, wall time, since
a commit is mostly waiting; a provider on the internet takes far longer than any of this.

    python benchmarks/journal.py [sends of each mode] [address of a PostgreSQL database]
"""

from __future__ import annotations

import contextlib
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import qasid
from qasid.serving import serve
from qasid_sandbox.emulator import SandboxEmulator

MODES = ("off", "on", "strict")
TO = "+989121112233"
TURN = 25  # sends until it is the next one's turn, on a new account whose limit holds none up


def seconds(account: qasid.Account, count: int) -> Iterator[float]:
    """How long each of some sends takes."""
    for _ in range(count):
        before = time.perf_counter()
        account.send(qasid.TextMessage(to=TO, text="Your parcel is here."))
        yield time.perf_counter() - before


def measured(base_url: str, journal_url: str, count: int) -> dict[str, float]:
    """The median of each mode, in milliseconds."""
    found: dict[str, list[float]] = {mode: [] for mode in MODES}
    for _ in range(max(1, count // TURN)):
        for mode in MODES:
            kept: dict[str, Any] = {"journal": mode, "journal_url": journal_url}
            with qasid.connect("sandbox", base_url=base_url, **kept) as account:
                _, *times = seconds(account, 1 + TURN)  # the first opens connection and journal
            found[mode] += times
    return {mode: statistics.median(times) * 1e3 for mode, times in found.items()}


def show(title: str, found: dict[str, float]) -> None:
    for mode, median in found.items():
        print(f"{title}: {mode} {median:.2f} ms, ratio {median / found['off']:.1f}")


@contextlib.contextmanager
def places(address: str | None) -> Iterator[dict[str, str]]:
    """The journals to measure with."""
    with tempfile.TemporaryDirectory() as folder:
        found = {"SQLite": f"sqlite:///{Path(folder)}/journal.sqlite3"}
        yield found | ({"PostgreSQL": address} if address else {})


def main() -> None:
    logging.getLogger("qasid").setLevel(logging.ERROR)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with places(sys.argv[2] if len(sys.argv) > 2 else None) as journals:
        for name, url in journals.items():
            show(f"{name}, plugged", measured("emulator://sandbox", url, count))
            with serve(SandboxEmulator()) as server:
                show(f"{name}, loopback", measured(server.url, url, count))


if __name__ == "__main__":
    main()
