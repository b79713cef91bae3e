"""Who is measured doing what."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

from benchmarks.message import BATCH

__all__ = ["CASES", "DELAY", "IN_FLIGHT", "OURS", "PEERS", "SLOW_TLS", "Case"]

Place: TypeAlias = Literal["plain", "tls", "closing", "delayed", "nowhere"]

#: The environment of Qasid and of the bare libraries beneath it; each peer's has its name.
OURS: Final = "qasid"
#: Seconds that the delayed server waits.
DELAY: Final = 0.1
THREADS: Final = 32
TASKS: Final = 64
IN_FLIGHT: Final = 256

PEERS: Final = (
    "apprise", "ippanel", "kavenegar", "melipayamak", "notifiers", "smsactivate", "twilio",
)  # fmt: skip
#: The peers that the goal over HTTPS is set against.
SLOW_TLS: Final = ("apprise", "notifiers", "kavenegar", "smsactivate")
_TLS_ONLY: Final = ("kavenegar",)
_LISTS: Final = ("ippanel", "kavenegar", "melipayamak")
_BARE: Final = ("raw_socket", "http_client", "bare_requests", "bare_aiohttp")
_QASID: Final = ("qasid_transport", "qasid_sync", "qasid_async")


@attrs.frozen(kw_only=True)
class Case:
    """One driver in one group of comparable ones; `recipients` is of each request."""

    group: str
    driver: str
    place: Place
    workers: int = 1
    recipients: int = 1

    @property
    def key(self) -> str:
        """``group: driver``."""
        return f"{self.group}: {self.driver}"

    @property
    def environment(self) -> str:
        """The environment that it runs in."""
        return self.driver if self.driver in PEERS else OURS

    @property
    def module(self) -> str:
        """Below this package."""
        return f"{'peers' if self.driver in PEERS else 'drivers'}.{self.driver}"


def _all(group: str, drivers: tuple[str, ...], place: Place, **more: int) -> list[Case]:
    return [Case(group=group, driver=driver, place=place, **more) for driver in drivers]


CASES: Final = (
    *_all("http", _BARE + _QASID, "plain"),
    *_all("http", tuple(peer for peer in PEERS if peer not in _TLS_ONLY), "plain"),
    *_all("https", _BARE + _QASID + PEERS, "tls"),
    *_all("connection", ("bare_requests", "qasid_sync"), "closing"),
    *_all("own", ("plugged_sandbox", "plugged_deftsms"), "nowhere"),
    *_all("threads", ("bare_requests", "qasid_sync"), "plain", workers=THREADS),
    *_all("tasks", ("bare_aiohttp", "qasid_async"), "plain", workers=TASKS),
    *_all(
        "delayed",
        ("bare_stream", "bare_requests", "bare_aiohttp", "qasid_sync", "qasid_async"),
        "delayed",
        workers=IN_FLIGHT,
    ),
    *_all("list", ("qasid_many",), "tls"),
    *_all("list", _LISTS, "tls", recipients=BATCH),
)
