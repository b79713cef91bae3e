"""The command `qasid`. Data goes to stdout, everything else to stderr."""

from __future__ import annotations

import atexit
import gc
import sys

from qasid._version import VERSION

TYPE_CHECKING = False  # as `typing` has it, whose import takes longer than `--version`
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code (see `qasid.cli.exits`)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:  # before click is imported: scripts ask for it
        return _version()
    try:
        _keep_what_is_loaded()
        from qasid.cli.running import run
    except KeyboardInterrupt:  # Ctrl-C while it is still being loaded
        return 130
    return run(given)


def _keep_what_is_loaded() -> None:
    """Modules and classes are no garbage: to look for it among them took a tenth of a send."""
    gc.set_threshold(20_000)  # new objects, where Python has 700
    atexit.register(gc.freeze)


def _version() -> int:
    try:
        print(f"qasid {VERSION}", flush=True)  # noqa: T201
    except OSError as error:
        from qasid.cli.running import unwritable

        return unwritable(error)
    return 0
