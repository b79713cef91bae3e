"""Import ends the process, as of a script."""

import sys

sys.exit(3)
