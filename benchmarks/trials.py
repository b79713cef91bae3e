"""Programs of ours that measure themselves, as what they find is more than CPU and time."""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["TRIALS", "Trial"]


@attrs.frozen(kw_only=True)
class Trial:
    """A module below this package, and what it is told: a `kind` of account and some sizes.

    `sizes` are names of a plan's fields.
    """

    group: str
    kind: str
    module: str
    sizes: tuple[str, ...]

    @property
    def key(self) -> str:
        """``group: kind``."""
        return f"{self.group}: {self.kind}"


def _both(group: str, module: str, *sizes: str) -> list[Trial]:
    return [Trial(group=group, kind=k, module=module, sizes=sizes) for k in ("sync", "async")]


TRIALS: Final = (
    *_both("waiting", "waiting", "numbers", "waiting"),
    *_both("numbers", "waiting", "numbers"),
    *_both("bulk", "bulk", "messages"),
)
