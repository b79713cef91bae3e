"""A provider that reads a file of the user's as soon as it is imported."""

from __future__ import annotations

import contextlib
from pathlib import Path

import attrs

from qasid_contract.reference import Reference

with contextlib.suppress(OSError):
    (Path.home() / ".reference.ini").read_text("utf-8")


@attrs.frozen(eq=False, kw_only=True)
class Hasty(Reference):
    """As the reference otherwise."""
