"""What a driver's process is told, and what it tells. The standard library must do, as in peers."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Self

__all__ = ["Job", "Outcome"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One turn of one driver.

    `driver` is its module below this package. `url` is the server's; `body` and `headers` are those
    of the request that Qasid makes for the message, for the drivers that know no provider. It sends
    for so many `seconds` from so many `workers`, threads or tasks, at once; to so many `recipients`
    in each request where the driver can do that.
    """

    driver: str
    url: str = ""
    seconds: float = 1.0
    workers: int = 1
    recipients: int = 1
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str) -> Self:
        return cls(**json.loads(text))

    def written(self) -> str:
        return json.dumps(dataclasses.asdict(self))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a turn took: seconds of CPU (user and system) and of the wall, and peak MiB of memory.

    `sends` is how many there were in it, and `messages` how many texts in each.
    """

    sends: int
    cpu: float
    wall: float
    memory: float
    messages: int = 1

    @classmethod
    def read(cls, text: str) -> Self:
        return cls(**json.loads(text))

    def written(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @property
    def cost(self) -> float:
        """Microseconds of CPU for one send."""
        return self.cpu / self.sends * 1e6

    @property
    def rate(self) -> float:
        """Sends in a second of the wall."""
        return self.sends / self.wall
