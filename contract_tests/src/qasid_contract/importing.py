"""Import one module and tell what else that does: ``python -m qasid_contract.importing MODULE``.

It is run in an interpreter of its own, as a module is imported only once. The home directory is
an empty one, so that nothing in it is needed, and everything that is looked for there is told.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

__all__ = ["imported", "main"]

_FORBIDDEN: Final = (
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.startfile",
    "os.system",
    "socket.",
    "subprocess.Popen",
    "_thread.start_new_thread",
)


@functools.cache
def imported(module: str) -> dict[str, Any]:
    """What happens: `events`, `modules` that are new, `seconds` of the processor, or `error`."""
    command = [sys.executable, "-m", "qasid_contract.importing", module]
    with tempfile.TemporaryDirectory() as home:
        path = os.pathsep.join(filter(None, sys.path))
        environment = {**os.environ, "HOME": home, "USERPROFILE": home, "PYTHONPATH": path}
        done = subprocess.run(  # noqa: S603, it is this interpreter
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
    if done.returncode:
        return {"error": done.stderr.strip().rpartition("\n")[2]}
    told: dict[str, Any] = json.loads(done.stdout.rpartition("\n")[2])
    return told


def main(module: str) -> None:
    """Import the module in this interpreter; the last line of the output is the report."""
    events: list[str] = []
    time.sleep = lambda seconds: events.append("time.sleep")
    before, began = {*sys.modules}, time.process_time()
    sys.addaudithook(functools.partial(_audit, events, str(Path.home())))
    importlib.import_module(module)
    report = {
        "seconds": time.process_time() - began,
        "events": [*events],
        "modules": sorted({*sys.modules} - before),
    }
    sys.stdout.write("\n" + json.dumps(report))


def _audit(events: list[str], home: str, event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN):
        events.append(event)
    elif event in {"open", "os.listdir", "os.scandir"} and _below(home, arguments[0]):
        events.append(f"{event} in the home directory")


def _below(home: str, path: object) -> bool:
    return isinstance(path, str | bytes) and Path(os.fsdecode(path)).is_relative_to(home)


if __name__ == "__main__":
    main(sys.argv[1])
