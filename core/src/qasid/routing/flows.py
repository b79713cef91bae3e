"""What a route does, as flows over the operations of its accounts: once for both drivers."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, TypeVar

import attrs

from qasid.effects import Flow, Request, Tick
from qasid.errors import (
    InvalidRecipient,
    ProviderError,
    QasidError,
    SettingsError,
    UnsupportedOperation,
)
from qasid.operations import Message, Operations, Sending
from qasid.phone import e164
from qasid.policies.course import Course
from qasid.policies.passage import Attempt
from qasid.routing.breaker import State
from qasid.routing.bulk import Bulk, Tell
from qasid.routing.health import Health
from qasid.routing.members import Member, Passed, exhausted, path
from qasid.routing.policies import Cheapest, Choice, Healthiest, Policy, Subject
from qasid.routing.promises import Promise, promise
from qasid.routing.rules import goes_on
from qasid.routing.tables import refusal
from qasid.values import (
    Acquired,
    Activation,
    Cancelled,
    Credential,
    DeliveryReport,
    InboundMessage,
    InboxQuery,
    Money,
    NumberOrder,
    Offer,
    OtpOrder,
    OtpTicket,
    OtpVerdict,
    Receipt,
    Released,
    ReleaseReason,
)

if TYPE_CHECKING:
    from qasid.journal.records import Asked

__all__ = ["Explanation", "Order", "Routing"]

T = TypeVar("T")
Order: TypeAlias = "Message | OtpOrder | NumberOrder"

#: How many recipients of codes a route remembers the account of.
_REMEMBERED: Final = 10_000


@attrs.frozen
class Explanation:
    """What a route would do: its accounts in order, each with the reason. Nothing was sent."""

    route: str
    operation: str
    choices: tuple[Choice, ...]

    def __str__(self) -> str:
        lines = (
            f"{'asked' if c.takes else 'skipped'} {c.account}: {c.words}" for c in self.choices
        )
        return "\n".join(lines)


class Routing:
    """The operations of a route, each a flow. What goes by any of its accounts is decided here.

    An operation is one flow however many accounts it asks. Its record under a reference is one,
    too, and each account writes it for itself: see `qasid.routing.promises`.
    """

    def __init__(self, name: str, members: Sequence[Member], policy: Policy) -> None:
        self.name = name
        self.members = {member.name: member for member in members}
        self.policy = policy
        self._standing = tuple(self.members)
        self._codes: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Nothing of its own."""

    def can(self, hook: str) -> bool:
        """Whether any of the accounts has the hook."""
        return any(member.can(hook) for member in self.members.values())

    # What goes by the first account that does it.

    def send(self, message: Message, *, repeat_unknown: bool = False) -> Flow[Receipt]:
        """Send one message."""
        message = attrs.evolve(message, to=e164(message.to))
        promised = self._promise("send", [message], repeat_unknown=repeat_unknown)
        subject = Subject(operation="send", to=message.to)

        def make(operations: Operations) -> Flow[Receipt]:
            return operations.send(message)

        recall = functools.partial(promised.recall, [message])
        return (yield from self._first(subject, make, recall, repeat_unknown=repeat_unknown))

    def otp(self, order: OtpOrder, *, repeat_unknown: bool = False) -> Flow[OtpTicket]:
        """Send a one-time password, and remember by which account."""
        order = attrs.evolve(order, to=e164(order.to))
        promised = self._promise("otp", [order], repeat_unknown=repeat_unknown)
        subject = Subject(operation="otp", to=order.to)

        def make(operations: Operations) -> Flow[OtpTicket]:
            return operations.otp(order)

        recall = functools.partial(promised.recall, [order])
        ticket = yield from self._first(subject, make, recall, repeat_unknown=repeat_unknown)
        self._remember(order.to, ticket.account)
        return ticket

    def acquire(
        self,
        order: NumberOrder,
        attempts: list[Attempt] | None = None,
        *,
        repeat_unknown: bool = False,
    ) -> Flow[Acquired]:
        """Rent numbers, all of them at one account."""
        promised = self._promise("acquire_number", [order], repeat_unknown=repeat_unknown)
        prices = yield from self._prices(order)
        subject = Subject(operation="acquire_number", prices=prices)

        def make(operations: Operations) -> Flow[Acquired]:
            return operations.acquire(order, attempts)

        recall = functools.partial(promised.recall, [order])
        return (yield from self._first(subject, make, recall, repeat_unknown=repeat_unknown))

    def _promise(self, hook: str, requests: Iterable[Asked], *, repeat_unknown: bool) -> Promise:
        members = self.members.values()
        return promise(self.name, hook, members, requests, repeat_unknown=repeat_unknown)

    def _first(
        self,
        subject: Subject,
        make: Callable[[Operations], Flow[T]],
        recall: Callable[[], Flow[Sequence[Any]]],
        *,
        repeat_unknown: bool,
    ) -> Flow[T]:
        """What the first account that does it gives; where none does, what `recall` knows of it.

        Another process may have done it, and breakers keep those away who would tell.
        """
        passed: list[Passed] = []
        for name in self._asked((yield from self._examined(subject))):
            member = self.members[name]
            try:
                found = yield from member.tried(make)
            except QasidError as error:
                if not goes_on(error, repeat_unknown=repeat_unknown):
                    raise
                passed.append(Passed(name, error))
            else:
                if not isinstance(found, Passed):
                    yield from member.fell_back(subject.operation, path(passed))
                    return found
                passed.append(found)
        (recorded,) = yield from recall()
        if isinstance(recorded, QasidError):
            raise recorded
        if recorded is None:
            raise exhausted(self.name, passed)
        result: T = recorded
        return result

    def send_many(
        self,
        messages: Iterable[Message],
        tell: Tell | None = None,
        *,
        repeat_unknown: bool = False,
        course: Course | None = None,
    ) -> Flow[list[Receipt]]:
        """Send messages, in as many rounds as it takes; a receipt each, in order.

        `tell` is called with receipts as soon as nothing more comes after them. `course` is that
        of the stream which the messages are a part of.
        """
        if not self.can("send"):
            raise self._cannot("send")
        messages = [*messages]
        promised = self._promise("send", messages, repeat_unknown=repeat_unknown)
        subject = yield from self._examined(Subject(operation="send"))
        bulk = Bulk(
            self.name, self.members, self._asked, subject, tell, repeat_unknown, promised, course
        )
        return (yield from bulk.send(messages))

    def sending(self, *, repeat_unknown: bool = False) -> Sending:
        """How a stream is sent: in batches of the widest account, as many at once as suit all."""
        able = [m.operations.sending() for m in self.members.values() if m.can("send")]
        if not able:
            raise self._cannot("send")
        course = Course()
        return Sending(
            account=self.name,
            size=max(each.size for each in able),
            places=min(each.places for each in able),
            most=min(each.most for each in able),
            course=course,
            send=functools.partial(self.send_many, repeat_unknown=repeat_unknown, course=course),
        )

    # What belongs to the account of a receipt, a ticket or an activation.

    def fetch(self, inbox: Activation | InboxQuery) -> Flow[list[InboundMessage]]:
        """Read messages of a rented number, or the inbox where only one account has any."""
        member = self._owner("fetch_sms", inbox.account if isinstance(inbox, Activation) else None)
        return member.run(member.operations.fetch(inbox))

    def wait(
        self,
        activation: Activation,
        *,
        since: datetime | None,
        sender: str | None,
        pattern: str | None,
        timeout: float,
    ) -> Flow[InboundMessage]:
        """Wait for a message."""
        member = self._owner("fetch_sms", activation.account)
        flow = member.operations.wait(
            activation, since=since, sender=sender, pattern=pattern, timeout=timeout
        )
        return member.run(flow)

    def follow(
        self,
        inbox: Activation | InboxQuery,
        tell: Callable[[InboundMessage], object],
        *,
        trouble: Callable[[ProviderError], object] | None,
        timeout: float,
    ) -> Flow[None]:
        """Tell of each message once."""
        member = self._owner("fetch_sms", inbox.account if isinstance(inbox, Activation) else None)
        flow = member.operations.follow(inbox, tell, trouble=trouble, timeout=timeout)
        return member.run(flow)

    def owner(self, activation: Activation) -> Operations:
        """The operations of the account whose number it is, if it can be asked for messages."""
        return self._owner("fetch_sms", activation.account).operations

    @property
    def pool_size(self) -> int:
        """How many requests may be under way at once, over all accounts."""
        return sum(member.operations.pool_size for member in self.members.values())

    def receive(
        self, request: Request, activation: Activation
    ) -> Flow[list[InboundMessage | DeliveryReport]]:
        """Read what was posted to the callback address of a number."""
        member = self._owner("parse_webhook", activation.account)
        return member.run(member.operations.receive(request, activation))

    def release(self, activation: Activation, reason: ReleaseReason) -> Flow[Released]:
        """Give a number back."""
        member = self._owner("release", activation.account)
        return member.run(member.operations.release(activation, reason))

    def cancel_scheduled(self, batch_id: str, account: str | None = None) -> Flow[Cancelled]:
        """Take back what was scheduled."""
        member = self._owner("cancel_scheduled", account)
        return member.run(member.operations.cancel_scheduled(batch_id))

    def verify_otp(self, to: str, code: str, account: str | None = None) -> Flow[OtpVerdict]:
        """Ask whether the code is right, where it was sent by."""
        with self._lock:
            known = account or self._codes.get(e164(to))
        member = self._owner("verify_otp", known)
        return member.run(member.operations.verify_otp(to, code))

    def delivery_status(self, receipts: Sequence[Receipt]) -> Flow[list[DeliveryReport]]:
        """Tell where messages are, by one question to each account."""
        groups: dict[str, list[int]] = {}
        for index, receipt in enumerate(receipts):
            member = self._owner("delivery_status", receipt.account)
            groups.setdefault(member.name, []).append(index)
        found: list[tuple[int, DeliveryReport]] = []
        for name, places in groups.items():
            member = self.members[name]
            asked = [receipts[index] for index in places]
            reports = yield from member.run(member.operations.delivery_status(asked))
            member.record.reported((yield Tick()), reports)
            found += [(places[min(i, len(places) - 1)], r) for i, r in enumerate(reports)]
        return [report for _, report in sorted(found, key=lambda pair: pair[0])]

    def note_reports(
        self, reports: Iterable[DeliveryReport | InboundMessage], account: str
    ) -> Flow[None]:
        """Note the reports of one account that came another way."""
        if account not in self.members:
            raise refusal(
                self.name,
                "account",
                f"{account!r} is none of this route's",
                f"name one of: {', '.join(self.members)}",
            )
        known = [report for report in reports if isinstance(report, DeliveryReport)]
        self.members[account].record.reported((yield Tick()), known)

    def health(self) -> Flow[dict[str, Health]]:
        """How each account has been doing."""
        now = yield Tick()
        return {name: member.record.health(now) for name, member in self.members.items()}

    def _owner(self, hook: str, account: str | None) -> Member:
        able = [member for member in self.members.values() if member.can(hook)]
        if account in self.members:
            self.members[account].operations.line.require(hook)
            return self.members[account]
        if account is None and len(able) == 1:
            return able[0]
        if not able:
            raise self._cannot(hook)
        problem = "is not told" if account is None else f"{account!r} is none of this route's"
        raise SettingsError(
            f"{problem}, and {hook} is asked where it was begun",
            account=self.name,
            field="account",
            remedy=f"name one of: {', '.join(member.name for member in able)}",
        )

    def _remember(self, to: str, account: str | None) -> None:
        with self._lock:
            self._codes[to] = account or ""
            self._codes.move_to_end(to)
            if len(self._codes) > _REMEMBERED:
                self._codes.popitem(last=False)

    # Of all accounts, or of none.

    def offers(self, service: str | None, country: str | None) -> Flow[list[Offer]]:
        """The offers of every account that has any, in order; each tells its account."""
        able = [member for member in self.members.values() if member.can("offers")]
        if not able:
            raise self._cannot("offers")
        found: list[Offer] = []
        for member in able:
            found += yield from member.run(member.operations.offers(service, country))
        return found

    def authenticate(self) -> Flow[Credential]:
        """Refused: it is an account's."""
        self._is_no_account("credential")

    def exchange_code(self, code: str) -> Flow[Credential]:
        """Refused: it is an account's."""
        self._is_no_account("login")

    def logout(self) -> Flow[bool]:
        """Refused: it is an account's."""
        self._is_no_account("login")

    def balance(self) -> Flow[Money]:
        """Refused: currencies do not add up."""
        self._is_no_account("balance")

    def parse_webhook(self, request: Request) -> list[InboundMessage | DeliveryReport]:
        """Refused: nobody can tell whose it is."""
        self._is_no_account("webhook")

    @property
    def info(self) -> NoReturn:
        """Refused."""
        self._is_no_account("provider")

    @property
    def line(self) -> NoReturn:
        """Refused."""
        self._is_no_account("provider")

    def _is_no_account(self, what: str) -> NoReturn:
        raise UnsupportedOperation(
            f"the route {self.name!r} has no {what} of its own; ask its accounts, which are in"
            f" `accounts` ({', '.join(self.members)})"
        )

    # Decisions.

    def explain(self, order: Order) -> Flow[Explanation]:
        """Tell what would be done, and why. Nothing is sent and nothing is drawn."""
        operation = _operation(order)
        to = None if isinstance(order, NumberOrder) else e164(order.to)
        now = yield Tick()
        subject = Subject(operation=operation, to=to, drawing=False)
        health = yield from self.health()
        choices = self.policy.rank(self._order(health), attrs.evolve(subject, health=health))
        known = [attrs.evolve(choice, health=health[choice.account]) for choice in choices]
        seen = [self._seen(choice, operation, now) for choice in known]
        return Explanation(self.name, operation, tuple(sorted(seen, key=lambda c: not c.takes)))

    def _seen(self, choice: Choice, operation: str, now: float) -> Choice:
        """The policy's choice, in the light of what the account can, and of its breaker."""
        member = self.members[choice.account]
        if not member.can(operation):
            return attrs.evolve(choice, takes=False, because=f"its provider has no {operation}")
        breaker, state = member.breaker, member.breaker.state(now)
        if not choice.takes or state is State.CLOSED:
            return choice
        if state is State.HALF_OPEN:
            return attrs.evolve(choice, because=f"{choice.because}; one call at a time, as a probe")
        wait = breaker.wait(now)
        return attrs.evolve(choice, takes=False, because=f"breaker open for another {wait:.0f} s")

    def _examined(self, subject: Subject) -> Flow[Subject]:
        """The subject with the health of the accounts, where the policy wants to know."""
        if isinstance(self.policy, Healthiest):
            subject = attrs.evolve(subject, health=(yield from self.health()))
        return subject

    def _order(self, health: Mapping[str, Health], *, keep: bool = False) -> tuple[str, ...]:
        """The accounts in the order that they stand in, from which a policy goes out."""
        if not isinstance(self.policy, Healthiest):
            return self._standing
        with self._lock:
            order = self.policy.standing(self._standing, health)
            self._standing = order if keep else self._standing
        return order

    def _asked(self, subject: Subject) -> list[str]:
        """The accounts to be asked, in order. Raises where there is none."""
        choices = self.policy.rank(self._order(subject.health, keep=True), subject)
        if not any(choice.takes for choice in choices):
            raise InvalidRecipient(f"no account of the route {self.name!r} takes this recipient")
        names = [choice.account for choice in choices if choice.takes]
        able = [name for name in names if self.members[name].can(subject.operation)]
        if not able:
            raise self._cannot(subject.operation)
        return able

    def _cannot(self, hook: str) -> UnsupportedOperation:
        return UnsupportedOperation(
            f"no account of the route {self.name!r} has {hook}, or is meant for it; nothing was"
            f" sent (accounts: {', '.join(self.members)})"
        )

    def _prices(self, order: NumberOrder) -> Flow[dict[str, Money | None]]:
        """What the order costs at each account, where the policy wants to know."""
        prices: dict[str, Money | None] = {}
        if isinstance(self.policy, Cheapest):
            now = yield Tick()
            for name, member in self.members.items():
                tells = member.can("acquire_number") and member.can("offers")
                if tells and not member.breaker.wait(now):
                    prices[name] = yield from member.run(_price(member.operations, order))
        return prices


def _operation(order: Order) -> str:
    if isinstance(order, NumberOrder):
        return "acquire_number"
    return "otp" if isinstance(order, OtpOrder) else "send"


def _price(operations: Operations, order: NumberOrder) -> Flow[Money | None]:
    """The most that all services of the order may cost together. None where it is not known."""
    total: Money | None = None
    for service in order.services:
        try:
            offers = yield from operations.offers(service, order.country)
            dearest = max(offer.price for offer in offers if offer.price is not None)
            total = dearest if total is None else total + dearest
        except (QasidError, ValueError):  # none, or of several currencies
            return None
    return total
