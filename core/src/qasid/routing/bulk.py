"""Many messages through a route: in rounds, each message by accounts of its own."""

from __future__ import annotations

import functools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import attrs

from qasid.effects import Call, Flow
from qasid.errors import ProviderError, QasidError
from qasid.operations import Message, Operations, of_batch
from qasid.phone import e164
from qasid.policies.course import Course
from qasid.routing.members import Member, Passed, exhausted, path
from qasid.routing.policies import Subject
from qasid.routing.promises import Promise
from qasid.routing.rules import goes_on, rule_of
from qasid.values import Receipt

__all__ = ["Bulk", "Tell"]

Tell: TypeAlias = Callable[[list[Receipt]], object]


@attrs.define
class _Parcel:
    """One message: where it stands in the list, who is still to be asked, and who was."""

    index: int
    message: Message
    left: deque[str]
    passed: list[Passed] = attrs.field(factory=list)


@attrs.define
class Bulk:
    """Messages on their way, and by place the receipts of those whose way is over.

    `asked` gives the accounts for one message, in order; `subject` is what is
    asked, but for its recipient. `tell` gets receipts as they are final; `course` is that of the
    stream which the messages are a part of, if they are.
    """

    route: str
    members: Mapping[str, Member]
    asked: Callable[[Subject], Sequence[str]]
    subject: Subject
    tell: Tell | None
    repeat_unknown: bool
    promised: Promise
    course: Course | None = None
    _receipts: dict[int, Receipt] = attrs.field(factory=dict, init=False)
    _lost: list[_Parcel] = attrs.field(factory=list, init=False)

    def send(self, messages: Iterable[Message]) -> Flow[list[Receipt]]:
        """Send them in as many rounds as it takes; a receipt each, in order."""
        parcels = yield from self._recorded((yield from self._parcels(messages)), wait=False)
        while parcels:
            parcels = yield from self._round(parcels)
        yield from self._lose()
        return [self._receipts[index] for index in sorted(self._receipts)]

    def _parcels(self, messages: Iterable[Message]) -> Flow[list[_Parcel]]:
        refused: dict[int, Receipt] = {}
        parcels: list[_Parcel] = []
        for index, message in enumerate(messages):
            try:
                left = self.asked(attrs.evolve(self.subject, to=e164(message.to)))
            except ProviderError as error:
                refused[index] = Receipt(to=message.to, error=error)
            else:
                message = attrs.evolve(message, to=e164(message.to))
                parcels.append(_Parcel(index, message, deque(left)))
        yield from self._end(refused)
        return parcels

    def _recorded(self, parcels: Sequence[_Parcel], *, wait: bool) -> Flow[list[_Parcel]]:
        """Give what is recorded of them; those of which nothing is are left."""
        messages = [parcel.message for parcel in parcels]
        found = yield from self.promised.recall(messages, wait=wait)
        known = [(p, end) for p, end in zip(parcels, found, strict=True) if end is not None]
        yield from self._end({parcel.index: _receipt(parcel, end) for parcel, end in known})
        return [p for p, end in zip(parcels, found, strict=True) if end is None]

    def _round(self, parcels: Sequence[_Parcel]) -> Flow[list[_Parcel]]:
        """Give each message to the next account on its list; those that may go on are left."""
        again: list[_Parcel] = []
        for name, group in _by_next(parcels).items():
            for parcel, end in (yield from self._sent(self.members[name], group)):
                if isinstance(end, Receipt) and self._is_final(end):
                    self._receipts[parcel.index] = end
                    continue
                parcel.passed.append(end if isinstance(end, Passed) else Passed(name, end.error))
                (again if parcel.left else self._lost).append(parcel)
        return again

    def _lose(self) -> Flow[None]:
        """End those that no account sent; breakers may have kept those away who know of them."""
        lost = yield from self._recorded(self._lost, wait=True)
        ends = [(parcel, exhausted(self.route, parcel.passed)) for parcel in lost]
        yield from self._end({parcel.index: _receipt(parcel, end) for parcel, end in ends})

    def _sent(
        self, member: Member, group: Sequence[_Parcel]
    ) -> Flow[Sequence[tuple[_Parcel, Receipt | Passed]]]:
        hear = None if self.tell is None else functools.partial(self._hear, self.tell)

        def make(operations: Operations) -> Flow[list[Receipt]]:
            return operations.send_many((parcel.message for parcel in group), hear, self.course)

        found = yield from member.tried(make, _lesson)
        if isinstance(found, Passed):
            return [(parcel, found) for parcel in group]
        ends = list(zip(group, found, strict=True))
        accepted = Counter(path(parcel.passed) for parcel, end in ends if end.accepted)
        for over, count in accepted.items():
            yield from member.fell_back("send", over, count)
        return ends

    def _is_final(self, receipt: Receipt) -> bool:
        """Whether no other account is asked after that."""
        error = receipt.error
        return error is None or not goes_on(error, repeat_unknown=self.repeat_unknown)

    def _hear(self, tell: Tell, receipts: list[Receipt]) -> None:
        """What an account calls after each of its batches."""
        final = [receipt for receipt in receipts if self._is_final(receipt)]
        if final:
            tell(final)

    def _end(self, receipts: dict[int, Receipt]) -> Flow[None]:
        """Note receipts of no account, and tell of them."""
        self._receipts |= receipts
        if receipts and self.tell is not None:
            yield Call(functools.partial(self.tell, [*receipts.values()]))


def _receipt(parcel: _Parcel, end: Receipt | QasidError) -> Receipt:
    return (
        Receipt(to=parcel.message.to, error=of_batch(end)) if isinstance(end, QasidError) else end
    )


def _by_next(parcels: Sequence[_Parcel]) -> Mapping[str, list[_Parcel]]:
    groups: dict[str, list[_Parcel]] = {}
    for parcel in parcels:
        groups.setdefault(parcel.left.popleft(), []).append(parcel)
    return groups


def _lesson(receipts: Sequence[Receipt]) -> QasidError | None:
    """What a bulk tells of the provider: it works where it took any of it."""
    errors = [receipt.error for receipt in receipts if receipt.error is not None]
    if len(errors) < len(receipts):
        return None
    return next((error for error in errors if rule_of(error).counts), errors[0])
