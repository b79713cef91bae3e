"""Once under a reference, by whichever account: a promise that one journal keeps for all of them.

Each account writes down what it tries, as it does without a route, and in the same row: what one
performed is given again by all others, and what is not known of one is tried by none. That holds
where they keep one journal together. Where they do not, a reference is refused before anything is
tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from qasid.effects import Flow
from qasid.policies.journal import Journaling
from qasid.routing.members import Member
from qasid.routing.tables import refusal

if TYPE_CHECKING:
    from qasid.journal.records import Asked

__all__ = ["Promise", "promise"]


@attrs.frozen(eq=False)
class Promise:
    """What a route owes to requests of one kind; without a `journal` there is no reference."""

    hook: str
    journal: Journaling | None

    def recall(self, requests: Sequence[Asked], *, wait: bool = True) -> Flow[list[Any]]:
        """What is recorded of each request: a result or an error, or None.

        What another process is at is waited for; without `wait` it is None.
        """
        named = [i for i, request in enumerate(requests) if request.reference is not None]
        found: list[Any] = [None] * len(requests)
        if self.journal is not None and named:
            asked = [requests[i] for i in named]
            recorded = yield from self.journal.recall(self.hook, asked, wait=wait)
            for i, item in zip(named, recorded, strict=True):
                found[i] = item
        return found


def promise(
    route: str,
    hook: str,
    members: Iterable[Member],
    requests: Iterable[Asked],
    *,
    repeat_unknown: bool,
) -> Promise:
    """What is owed to these requests. Raises `SettingsError` where it could not be kept."""
    able = [member for member in members if member.can(hook)]
    if not able or all(request.reference is None for request in requests):
        return Promise(hook, None)
    if repeat_unknown:
        problem = "does again what may have been done, and a reference forbids that"
        raise refusal(route, "repeat_unknown", problem, "leave out one of the two")
    journals = [member.operations.journal for member in able]
    addresses = [journal.address for journal in journals]
    if None in addresses or any(address != addresses[0] for address in addresses):
        names = ", ".join(member.name for member in able)
        problem = f"is given, but the accounts {names} do not keep one journal together"
        remedy = 'give each of them journal = "on" or "strict", and the same journal_url'
        raise refusal(route, "reference", problem, remedy)
    return Promise(hook, journals[0])
