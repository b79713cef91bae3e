"""What the figures are of: they are compared on one machine only.

python -m benchmarks.machine
"""

from __future__ import annotations

import json
import os
import platform
import ssl
from importlib import metadata
from pathlib import Path
from typing import Final

__all__ = ["LIBRARIES", "described", "differences", "versions"]

LIBRARIES: Final = (
    "qasid", "qasid-deftsms", "aiohttp", "attrs", "click", "pluggy", "requests", "stevedore",
    "urllib3",
)  # fmt: skip


def described() -> dict[str, str]:
    """The machine, its system and the interpreter. It has no name: that is nobody's business."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()},"
        f" {platform.python_compiler()}",
        "openssl": ssl.OPENSSL_VERSION,
    }


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """In what two descriptions differ, as ``field: one, other``."""
    names = [*one, *(name for name in other if name not in one)]
    pairs = [(name, one.get(name, "-"), other.get(name, "-")) for name in names]
    return [f"{name}: {first} / {second}" for name, first, second in pairs if first != second]


def versions() -> dict[str, str]:
    """Of Qasid and of what stands beneath it."""
    return {name: metadata.version(name) for name in LIBRARIES}


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    lines = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return lines[0] if lines else platform.machine()


def _memory() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{pages / 2**30:.0f} GiB"


if __name__ == "__main__":  # in the environment that is measured
    print(json.dumps({"machine": described(), "versions": versions()}))
