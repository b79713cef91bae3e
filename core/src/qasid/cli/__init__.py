"""The command `qasid`. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from qasid._version import VERSION

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code (see `qasid.cli.exits`)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:  # before click is imported: scripts ask for it
        print(f"qasid {VERSION}")  # noqa: T201
        return 0
    from qasid.cli.running import run

    return run(given)
