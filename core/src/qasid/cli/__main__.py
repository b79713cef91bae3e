"""``python -m qasid.cli``."""

from __future__ import annotations

import sys

from qasid.cli import main

sys.exit(main())
