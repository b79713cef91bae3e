"""A call that must not succeed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from qasid.errors import QasidError

__all__ = ["refusal"]

E = TypeVar("E", bound=QasidError)


def refusal(call: Callable[[], Any], *kinds: type[E]) -> E:
    """The error of one of these kinds that `call` raises. Any other, or none, is a failure."""
    due = " or ".join(kind.__name__ for kind in kinds)
    try:
        call()
    except kinds as error:
        return error
    except Exception as error:
        words = f"{due} was due, and not {type(error).__name__}: {error}"
        raise AssertionError(words) from error
    raise AssertionError(f"{due} was due, and nothing was raised")
