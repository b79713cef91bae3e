"""What everybody sends: one text to one mobile, or to a hundred."""

from __future__ import annotations

from typing import Final

TO: Final = "+989121112233"
TEXT: Final = "Your code is 123456"
BATCH: Final = 100  # recipients of one request, where a list of them may be given
RECIPIENTS: Final = tuple(f"+9891200{place:05}" for place in range(BATCH))
