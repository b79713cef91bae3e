"""So many sends through a plugged account: what `instructions` counts.

python -m benchmarks.hotpath COUNT
"""

from __future__ import annotations

import gc
import sys

import qasid
from benchmarks.message import TEXT, TO
from benchmarks.plugged import sandbox


def main() -> None:
    account = sandbox()
    # What was loaded is not looked through again: a full collection costs as much as many sends,
    # and any change could move it into the part that is counted or out of it.
    gc.freeze()
    for _ in range(int(sys.argv[1])):
        account.send(qasid.TextMessage(to=TO, text=TEXT))


if __name__ == "__main__":
    main()
