"""So many sends through a plugged account: what `instructions` counts.

python -m benchmarks.hotpath COUNT
"""

from __future__ import annotations

import sys

import qasid
from benchmarks.message import TEXT, TO
from benchmarks.plugged import sandbox


def main() -> None:
    account = sandbox()
    for _ in range(int(sys.argv[1])):
        account.send(qasid.TextMessage(to=TO, text=TEXT))


if __name__ == "__main__":
    main()
