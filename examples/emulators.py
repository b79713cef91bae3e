"""Emulators that are processes of their own, as `qasid emulate` starts them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import attrs

import qasid

__all__ = ["Served", "served"]


@attrs.frozen
class Served:
    """Where an emulator listens, the settings that get in, and the address of its back doors."""

    url: str
    settings: dict[str, Any]
    control: str

    def knock(self, door: str, **members: Any) -> Any:
        """Knock at a back door, which no provider has: post the members, or get what there is."""
        body = json.dumps(members).encode() if members else None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.control}/{door}", body, timeout=10) as reply:
            return json.loads(reply.read())

    @property
    def credit(self) -> qasid.Money:
        """The account's credit as the emulator itself knows it."""
        books = self.knock("balance")
        return qasid.Money(str(books["amount"]), books["currency"])

    @property
    def phones(self) -> list[tuple[str, str]]:
        """Each message that a phone got: its number as the provider writes it, and the text."""
        return [(item["to"], item["text"]) for item in self.knock("outbox")]

    @property
    def numbers(self) -> dict[str, str]:
        """The state of each number that was rented, by its id."""
        return {item["id"]: item["state"] for item in self.knock("activations")}


@contextlib.contextmanager
def served(name: str, *options: str) -> Iterator[Served]:
    """Serve a provider's emulator for the time of a `with` block. Raises RuntimeError."""
    words = [sys.executable, "-m", "qasid.cli", "emulate", name, "--port", "0", "--json", *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line.startswith(b"{"):
                raise RuntimeError(f"the emulator of {name} does not come up")
            yield Served(**json.loads(line))
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()  # nothing, where it has ended
