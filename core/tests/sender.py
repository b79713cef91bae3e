"""A process that sends one text for each reference, and may be killed at any moment.

python sender.py all  BASE_URL JOURNAL_URL SEED COUNT    every reference, in an order of its own
python sender.py walk BASE_URL JOURNAL_URL               killed at its first step, its second, …
python sender.py path BASE_URL JOURNAL_URL               so, too, by a route of two accounts
python sender.py stream BASE_URL JOURNAL_URL COUNT       as a stream, four batches at once
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

import qasid
import qasid.journal.store
from qasid.drivers.http_sync import RequestsTransport
from qasid.drivers.sync import Clock, SyncDriver, SystemClock
from qasid.operations import Operations
from qasid.settings import resolve

#: A lease of 3 · 2 · (0.5 + 1 + 0.2) s = 10.2 s.
OPTIONS: Final[dict[str, Any]] = {
    "connect_timeout": 0.5,
    "timeout": 1.0,
    "max_wait": 0.2,
    "delay": 0,
}


WRONG: Final = "another key"
SANDBOX: Final = "sandbox"


def message(number: int) -> qasid.TextMessage:
    """The text of one reference. Each has a recipient of its own, by which it is known again."""
    return qasid.TextMessage(
        to=f"+98912111{number:04d}", text=f"order {number}", reference=f"order-{number}"
    )


def account(base_url: str, journal_url: str, **more: Any) -> qasid.Account:
    """An account at the sandbox there, with a strict journal."""
    kept: dict[str, Any] = {"journal": "strict", "journal_url": journal_url}
    return qasid.connect("sandbox", base_url=base_url, **kept, **OPTIONS, **more)


def route(
    base_url: str,
    journal_url: str,
    *,
    order: str = "ab",
    clock: Clock | None = None,
    a: str = WRONG,
) -> qasid.Route:
    """A route of two accounts there, whose journal is strict; `a` is the key of the first."""
    kept: dict[str, Any] = {"journal": "strict", "journal_url": journal_url, **OPTIONS}
    keys = {"a": a, "b": SANDBOX}
    accounts = []
    for name in order:
        given = {"base_url": base_url, "api_key": keys[name], **kept}
        resolved = attrs.evolve(resolve("sandbox", given), account=name)
        driver = SyncDriver(RequestsTransport(base_url), clock or SystemClock())
        accounts.append(qasid.Account(Operations(resolved), driver))
    return qasid.Route("both", accounts, close_accounts=True)


def send_all(base_url: str, journal_url: str, seed: str, count: str) -> None:
    """Send them all; what nobody knows the end of is left to people."""
    numbers = [*range(2000, 2000 + int(count))]
    random.Random(seed).shuffle(numbers)
    with account(base_url, journal_url) as opened:
        for number in numbers:
            _sent(opened, message(number))


def _sent(opened: qasid.Account, text: qasid.TextMessage) -> None:
    """Send it, and again while it is known that it was not sent."""
    while True:
        try:
            opened.send(text)
        except qasid.ProviderError as error:
            if error.outcome is qasid.Outcome.NOT_PERFORMED:
                continue
        return


@attrs.frozen(eq=False)
class Mortal(SyncDriver):
    """A driver that kills its process instead of performing the first effect after `steps`."""

    steps: Iterator[int] = attrs.field(kw_only=True)

    def _perform(self, effect: Any) -> Any:
        if next(self.steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return SyncDriver._perform(self, effect)


def walk(base_url: str, journal_url: str, opening: Callable[..., qasid.Account] = account) -> None:
    """One process for each step at which it can be killed; prints a line for each."""
    for step in itertools.count():
        child = os.fork()
        if not child:
            opened = opening(base_url, journal_url)
            driver = Mortal(opened.driver.transport, steps=iter(range(step)))
            opened.with_driver(driver).send(message(2000 + step))
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{code}\n")
        if code == 0:
            return


def path(base_url: str, journal_url: str) -> None:
    """As `walk`, by a route."""
    walk(base_url, journal_url, route)


def stream(base_url: str, journal_url: str, count: str) -> None:
    """Send them all as a stream; prints the recipient of each receipt."""
    messages = (message(2000 + n) for n in range(int(count)))
    with account(base_url, journal_url) as opened:
        for receipt in opened.send_stream(messages, concurrency=4):
            sys.stdout.write(f"{receipt.to}\n")


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {"all": send_all, "walk": walk, "path": path}
    commands["stream"] = stream
    commands[sys.argv[1]](*sys.argv[2:])
