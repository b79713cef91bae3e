"""What Qasid costs, beside the bare libraries and its peers, in one run on one machine.

`python -m benchmarks run` measures and writes a report; `python -m benchmarks compare OLD NEW`
sets two reports of one machine side by side. `nox -s bench` makes the environments for it.
"""

from pathlib import Path

ROOT = Path(__file__).parent.parent  # from where the processes are started
