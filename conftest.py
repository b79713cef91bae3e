"""The pages whose code is run: see `docs/blocks.py`. And patience: the machine may be busy."""

from __future__ import annotations

import hypothesis

from blocks import pages

hypothesis.settings.register_profile("patient", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("patient")

pytest_collect_file = pages("README.md", "docs/*.md", "docs/*/*.md").pytest()
