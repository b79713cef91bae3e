"""The pages whose code is run: see `docs/blocks.py`."""

from __future__ import annotations

from blocks import pages

pytest_collect_file = pages("README.md", "docs/*.md", "docs/*/*.md").pytest()
