"""What an account can do, as flows: written once, run by either driver."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from qasid.effects import Call, Flow, Now, Request, Sleep, Tick
from qasid.errors import (
    AuthenticationFailed,
    BudgetExceeded,
    InsufficientCredit,
    InvalidRequest,
    JournalUnavailable,
    NumberExpired,
    NumberNotFound,
    Outcome,
    PermissionDenied,
    PluginError,
    ProtocolError,
    ProviderError,
    ProviderUnavailable,
    QasidError,
    RateLimited,
    ReleaseRefused,
    SettingsError,
    WaitTimeout,
)
from qasid.line import Line
from qasid.phone import e164
from qasid.policies.course import Course, heeding
from qasid.policies.journal import Journaling, persisting
from qasid.policies.passage import Attempt, surely_not_performed
from qasid.policies.rates import useful
from qasid.rentals import Fallback, Inheriting, Rentals, user_rentals
from qasid.reporting import Listeners, Reporter
from qasid.settings import Resolved
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
    TemplateMessage,
    TextMessage,
)

if TYPE_CHECKING:
    from qasid.journal.records import Answer, Operation
    from qasid.vault import Vault

__all__ = ["GONE", "Message", "Operations", "Sending", "of_batch", "ready"]

T = TypeVar("T")
Message = TextMessage | TemplateMessage

_log = logging.getLogger("qasid")

#: A number that is not to be had back: there is nothing left to release.
GONE: Final = (ReleaseRefused, NumberExpired, NumberNotFound)

# After one of these the rest of a bulk would fail the same way.
_HOPELESS: Final = (
    AuthenticationFailed,
    PermissionDenied,
    InsufficientCredit,
    JournalUnavailable,
)

# What a hook may give as a list: the usual one first, as to ask an abstract class takes long.
_SEVERAL: Final = (list, Sequence)
_TEXT: Final = (str, bytes)

# Of the book of rentals, wherever it is.
_UNWRITTEN: Final = (SettingsError, JournalUnavailable)


@attrs.frozen(eq=False, kw_only=True)
class Sending:
    """How a stream is sent: in batches of `size` messages, `places` of them at once.

    `places` may be set to `most`, which is the `pool_size` of `account`.
    """

    account: str
    size: int
    places: int
    most: int
    course: Course
    send: Callable[[Sequence[Message]], Flow[list[Receipt]]]


class Operations:
    """The operations of one account, each a flow.

    Without `rentals` it keeps a book of its own: in the journal if it has one, and else in memory,
    or if `shared` that of the user. Into the journal comes, if `inherits`, what the account has in
    the user's.
    """

    def __init__(
        self,
        resolved: Resolved,
        rentals: Rentals | None = None,
        wrappers: Iterable[object] = (),
        listeners: Iterable[object] = (),
        vault: Vault | None = None,
        shared: bool = False,
        inherits: bool = False,
    ) -> None:
        self.name = resolved.account
        self.options = resolved.options
        self.line = Line(resolved, wrappers, vault)
        self.info = self.line.info
        self._reporter = Reporter(self.name, resolved.provider_name, Listeners(listeners))
        free = rentals is None or isinstance(rentals, Fallback)
        self.journal = Journaling(resolved, counts=free)
        self._closes_rentals = rentals is None
        self.rentals = self._journaled(inherits) or rentals or _own(shared)

    def close(self) -> None:
        """Close the journal, and the book of rentals if it is the account's own."""
        self.journal.close()
        if self._closes_rentals:
            self.rentals.close()

    def can(self, hook: str) -> bool:
        """Whether the account's provider has the hook."""
        return self.line.can(hook)

    def _journaled(self, inherits: bool) -> Rentals | None:
        """The book in the journal, where the account's rentals are counted there."""
        if self.journal.book is None or not self.journal.counts:
            return None
        home = self.journal.book.shelf
        return Rentals(Inheriting(home, self.name) if inherits else home)

    def owner(self, activation: Activation) -> Operations:
        """These, if messages of a number can be asked for: any number is this account's."""
        self.line.require("fetch_sms")
        return self

    @property
    def pool_size(self) -> int:
        """How many requests may be under way at once."""
        return self.options.pool_size

    # The account.

    def authenticate(self) -> Flow[Credential]:
        """Obtain the account's credential."""
        return self.line.credential()

    def exchange_code(self, code: str) -> Flow[Credential]:
        """Let the owner's code in."""
        return self.line.exchange(code)

    def logout(self) -> Flow[bool]:
        """Forget what the owner granted."""
        return self.line.forget()

    def balance(self) -> Flow[Money]:
        """Tell the credit."""
        money = _one((yield from self.line.ask("balance")), Money)
        yield from self.journal.note(money)
        yield from self._reporter.balance(money, self.options.low_balance)
        return money

    def offers(self, service: str | None, country: str | None) -> Flow[list[Offer]]:
        """List what can be rented."""
        found = yield from self.line.ask("offers", service=service, country=country)
        return self._signed(_many(found, Offer))

    # Numbers.

    def acquire(self, order: NumberOrder, attempts: list[Attempt] | None = None) -> Flow[Acquired]:
        """Rent numbers within the budget. Each attempt at it is noted in `attempts`."""
        self.line.require("acquire_number")
        act = functools.partial(self._rent, order)
        found: Acquired = yield from self.journal.one("acquire_number", order, act, attempts)
        return found

    def _rent(self, order: NumberOrder, attempts: list[Attempt]) -> Flow[Acquired]:
        renting = self._acquire(order, attempts)
        return self._reporter.around("acquire_number", renting, len(order.services))

    def _acquire(self, order: NumberOrder, attempts: list[Attempt]) -> Flow[Acquired]:
        price = yield from self._price(order)
        now = yield Now()
        claims: list[str] = []
        try:
            yield Call(lambda: claims.extend(self._begin(order, now, price)))
            given = yield from self.line.ask("acquire_number", attempts, order=order)
            found = _acquired(given, self.name)
        except GeneratorExit:  # no more effects
            raise
        except BaseException as error:
            if claims and surely_not_performed(error, attempts):
                yield from self._cancel(claims)
            raise
        yield from self._settle(claims, found)
        return found

    def _begin(self, order: NumberOrder, now: datetime, price: Money | None) -> list[str]:
        return self.rentals.begin(
            self.name,
            self.line.provider_name,
            len(order.services),
            now=now,
            lifetime=self.info.activation_lifetime,
            price=price,
            options=self.options,
            unused_cap=self.info.unused_cap,
        )

    def _cancel(self, claims: list[str]) -> Flow[None]:
        try:
            yield from self.journal.booked(functools.partial(self.rentals.cancel, claims))
        except _UNWRITTEN as error:  # they count until their time is over
            _log.warning("%s: %d not rented, but counted: %s", self.name, len(claims), error)

    def _settle(self, claims: list[str], found: Acquired) -> Flow[None]:
        unknown = [e for e in found.failures.values() if e.outcome is Outcome.UNKNOWN]
        try:
            yield from persisting(
                functools.partial(self.rentals.settle, claims, found, unknown=len(unknown))
            )
        except _UNWRITTEN as error:  # paid for: the caller gets it, come what may
            _log.warning("%s: %d rented, but not written down: %s", self.name, len(found), error)

    def _price(self, order: NumberOrder) -> Flow[Money | None]:
        """The dearest of what the order may cost, where a cap asks for it."""
        if order.max_price is None and self.options.max_spend is None:
            return None
        prices: list[Money] = []
        for service in order.services:
            prices += yield from self._offered(service, order)
        return _dearest(prices, order.max_price)

    def _offered(self, service: str, order: NumberOrder) -> Flow[list[Money]]:
        found = yield from self.offers(service, order.country)
        prices = [offer.price for offer in found if offer.price is not None]
        if not prices:
            raise _over(order.max_price, f"no price is known for {service} in {order.country}")
        return prices

    def fetch(self, inbox: Activation | InboxQuery) -> Flow[list[InboundMessage]]:
        """Read messages, oldest first."""
        found = _many((yield from self.line.ask("fetch_sms", inbox=inbox)), InboundMessage)
        if isinstance(inbox, Activation):
            yield from self._note_use(inbox, found)
        return found

    def _note_use(self, activation: Activation, found: Iterable[object]) -> Flow[None]:
        had = any(isinstance(item, InboundMessage) for item in found)
        if had and self.info.unused_cap is not None:
            yield from self._mark(activation, "used")

    def wait(
        self,
        activation: Activation,
        *,
        since: datetime | None,
        sender: str | None,
        pattern: str | None,
        timeout: float,
    ) -> Flow[InboundMessage]:
        """Look for a message that fits, as often as the provider allows, until there is one."""
        self.line.require("fetch_sms")
        fits = functools.partial(
            _fits, since=since, sender=sender, pattern=_compiled(self, pattern)
        )
        deadline = (yield Tick()) + _seconds(self, timeout)
        while True:
            found = [m for m in (yield from self._look(activation)) if fits(m)]
            if found:
                return found[-1]
            if not (yield from self._pause(activation, deadline)):
                raise WaitTimeout("no message that fits came in time")

    def follow(
        self,
        inbox: Activation | InboxQuery,
        tell: Callable[[InboundMessage], object],
        *,
        trouble: Callable[[ProviderError], object] | None,
        timeout: float,
    ) -> Flow[None]:
        """Look for messages as often as the provider allows; `tell` gets each of them once."""
        self.line.require("fetch_sms")
        deadline = (yield Tick()) + _seconds(self, timeout)
        seen: set[object] = set()
        while True:
            for message in (yield from self._look(inbox, trouble)):
                if (same := message.id or message) not in seen:
                    seen.add(same)
                    yield Call(functools.partial(tell, message))
            if not (yield from self._pause(inbox, deadline)):
                return

    def _look(
        self,
        inbox: Activation | InboxQuery,
        trouble: Callable[[ProviderError], object] | None = None,
    ) -> Flow[list[InboundMessage]]:
        try:
            return (yield from self.fetch(inbox))
        except (ProviderUnavailable, RateLimited) as error:
            _log.info("%s: %s; looking again", self.name, type(error).__name__)
            if trouble is not None:
                yield Call(functools.partial(trouble, error))
            return []

    def _pause(self, inbox: Activation | InboxQuery, deadline: float) -> Flow[bool]:
        """Wait until the next look. False, without waiting, where there is no time for one."""
        now = yield Now()
        end = inbox.expires_at if isinstance(inbox, Activation) else None
        if end is not None and now >= end:
            raise NumberExpired("the number's time is over")
        left = deadline - (yield Tick())
        if left > 0:
            yield Sleep(min(left, self.info.poll_interval.total_seconds()))
        return bool(left > 0)

    def release(self, activation: Activation, reason: ReleaseReason) -> Flow[Released]:
        """Give a number back."""
        from qasid.journal.records import Return  # late: most accounts keep no journal

        self.line.require("release")
        asked = Return(activation_id=activation.id, reason=reason)
        act = functools.partial(self._release, activation, reason)
        released: Released = yield from self.journal.one("release", asked, act)
        return released

    def _release(
        self, activation: Activation, reason: ReleaseReason, attempts: list[Attempt]
    ) -> Flow[Released]:
        try:
            released = yield from self.line.ask(
                "release", attempts, activation=activation, reason=reason
            )
        except GONE as error:
            state = "kept" if isinstance(error, ReleaseRefused) else "closed"
            yield from self._mark(activation, state)
            raise
        yield from self._mark(activation, "closed")
        return _one(released, Released)

    def _mark(self, activation: Activation, state: str) -> Flow[None]:
        book, identity = self.rentals, activation.id
        note = functools.partial(book.mark, self.name, identity, state)
        if state == "used":
            note = functools.partial(book.use, self.name, identity)
        try:
            yield from self.journal.booked(note)
        except _UNWRITTEN as error:
            _log.warning("%s: %s is %s, but not noted: %s", self.name, identity, state, error)

    # Messages and one-time passwords.

    def send(self, message: Message) -> Flow[Receipt]:
        """Send one message."""
        self.line.require("send")
        at_once = message.send_at is None
        sendable = _numbered(message) if at_once else ready(message, (yield Now()))
        (given,) = yield from self.journal.each("send", [sendable], self._send_batch)
        if isinstance(given, QasidError):
            raise given
        receipt: Receipt = given
        if receipt.error is not None:
            raise receipt.error
        return receipt

    def sending(self) -> Sending:
        """How a stream is sent by this account."""
        self.line.require("send")
        course, most = Course(), self.options.pool_size
        places = useful(self.info.limits, "send", most=most, max_wait=self.options.max_wait)
        return Sending(
            account=self.name,
            size=self.info.max_batch,
            places=places,
            most=most,
            course=course,
            send=functools.partial(self.send_many, tell=None, course=course),
        )

    def send_many(
        self,
        messages: Iterable[Message],
        tell: Callable[[list[Receipt]], object] | None,
        course: Course | None = None,
    ) -> Flow[list[Receipt]]:
        """Send messages in batches of the provider's size; a receipt each, in order.

        `course` is that of the bulk which they are a part of.
        """
        self.line.require("send")
        messages, course = [*messages], course or Course()
        self.journal.require(messages)
        now = yield Now()
        checked = [_checked(message, now) for message in messages]
        receipts: list[Receipt] = []
        for part in _parts(checked, self.info.max_batch):
            found = yield from self._send_part(part, course)
            receipts += found
            if tell is not None:
                yield Call(functools.partial(tell, found))
        return receipts

    def _send_part(self, part: Sequence[Message | Receipt], course: Course) -> Flow[list[Receipt]]:
        """Receipts of a part. What would refuse all that comes after it is noted in `course`."""
        now = yield Now()
        part = [_still(item, now) for item in part]
        batch = [item for item in part if not isinstance(item, Receipt)]
        error = course.ends.get(self.name)
        if batch and error is None:
            try:
                return _woven(part, (yield from self._recorded(batch, course)))
            except QasidError as failure:
                error = of_batch(failure)
                if isinstance(failure, _HOPELESS):
                    course.ends[self.name] = error
        refused = self._signed(Receipt(to=message.to, error=error) for message in batch)
        return _woven(part, refused)

    def _recorded(self, batch: Sequence[Message], course: Course) -> Flow[list[Receipt]]:
        act = functools.partial(self._send_batch, course=course)
        given = yield from self.journal.each("send", batch, act)
        return [
            Receipt(to=message.to, error=of_batch(item), account=self.name)
            if isinstance(item, QasidError)
            else item
            for message, item in zip(batch, given, strict=True)
        ]

    def _send_batch(
        self, batch: Sequence[Message], attempts: list[Attempt], course: Course | None = None
    ) -> Flow[list[Receipt]]:
        sending = self._send_at_once(batch, attempts, course)
        return self._reporter.around("send", sending, len(batch))

    def _send_at_once(
        self, batch: Sequence[Message], attempts: list[Attempt], course: Course | None
    ) -> Flow[list[Receipt]]:
        asking = self.line.ask("send", attempts, messages=batch)
        heeded = asking if course is None else heeding(course, asking, attempts)
        receipts = _many((yield from heeded), Receipt)
        if len(receipts) != len(batch):
            raise ProtocolError(
                f"{len(batch)} messages were sent and {len(receipts)} receipts came",
                outcome=Outcome.UNKNOWN,
            )
        return [_by(self.name, receipt) for receipt in receipts]

    def _signed(self, items: Iterable[Any]) -> list[Any]:
        return [attrs.evolve(item, account=self.name) for item in items]

    def cancel_scheduled(self, batch_id: str) -> Flow[Cancelled]:
        """Take back what was scheduled."""
        return _one((yield from self.line.ask("cancel_scheduled", batch_id=batch_id)), Cancelled)

    def otp(self, order: OtpOrder) -> Flow[OtpTicket]:
        """Send a one-time password."""
        self.line.require("otp")
        ready = attrs.evolve(order, to=e164(order.to))
        ticket: OtpTicket = yield from self.journal.one(
            "otp", ready, functools.partial(self._otp, ready)
        )
        return ticket

    def _otp(self, order: OtpOrder, attempts: list[Attempt]) -> Flow[OtpTicket]:
        return self._reporter.around("otp", self._order_otp(order, attempts))

    def _order_otp(self, order: OtpOrder, attempts: list[Attempt]) -> Flow[OtpTicket]:
        ticket = _one((yield from self.line.ask("otp", attempts, order=order)), OtpTicket)
        return attrs.evolve(ticket, account=self.name)

    def verify_otp(self, to: str, code: str) -> Flow[OtpVerdict]:
        """Ask whether the code is right; digits of any script will do."""
        from qasid.text import ascii_digits

        given = ascii_digits(code.strip())
        return _one((yield from self.line.ask("verify_otp", to=e164(to), code=given)), OtpVerdict)

    def delivery_status(self, receipts: Sequence[Receipt]) -> Flow[list[DeliveryReport]]:
        """Tell where messages are."""
        self.line.require("delivery_status")
        if any(receipt.id is None for receipt in receipts):
            raise InvalidRequest("a receipt has no id; ask only about those that have one")
        if not receipts:
            return []
        return _many(
            (yield from self.line.ask("delivery_status", receipts=receipts)), DeliveryReport
        )

    def inquire(self, operation: Operation, activations: Iterable[Activation]) -> Flow[Answer]:
        """Ask what became of an operation of the journal."""
        from qasid.journal.resolution import inquiry

        return inquiry(self, operation, activations)

    def parse_webhook(self, request: Request) -> list[InboundMessage | DeliveryReport]:
        """Read what the provider posted. No flow: it needs nothing."""
        return _many(self.line.parse_webhook(request), InboundMessage, DeliveryReport)

    def receive(
        self, request: Request, activation: Activation
    ) -> Flow[list[InboundMessage | DeliveryReport]]:
        """Read what was posted to the callback address that one number has for itself."""
        found = self.parse_webhook(request)
        yield from self._note_use(activation, found)
        return [_addressed(item, activation) for item in found]


def _own(shared: bool) -> Rentals:
    return user_rentals() if shared else Rentals()


def _addressed(
    item: InboundMessage | DeliveryReport, activation: Activation
) -> InboundMessage | DeliveryReport:
    """A message that does not tell whom it is to is to the number whose address it came to."""
    known = isinstance(item, DeliveryReport) or item.to is not None
    return item if known else attrs.evolve(item, to=activation.number)


def _many(found: Any, *kinds: type) -> list[Any]:
    if not isinstance(found, _SEVERAL) or isinstance(found, _TEXT):
        raise PluginError(f"a hook gave a {type(found).__name__} where a list was due")
    return [_one(item, *kinds) for item in found]


def _one(found: Any, *kinds: type[T]) -> T:
    if not isinstance(found, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise PluginError(f"a hook gave a {type(found).__name__} where a {names} was due")
    return found


def _dearest(prices: Sequence[Money], max_price: Money | None) -> Money:
    if len({price.currency for price in (*prices, max_price or prices[0])}) > 1:
        raise _over(max_price, "prices and caps of several currencies do not compare")
    dearest = max(prices)
    if max_price is not None and dearest > max_price:
        raise _over(max_price, f"it costs {dearest}, more than {max_price}")
    return dearest


def _over(max_price: Money | None, problem: str) -> BudgetExceeded:
    cap = "max_spend" if max_price is None else "max_price"
    return BudgetExceeded(f"{cap}: {problem}; nothing was rented", cap=cap)


def _acquired(given: Any, account: str) -> Acquired:
    activations = [attrs.evolve(item, account=account) for item in _many(given, Activation)]
    found = Acquired(activations, getattr(given, "failures", None))
    if not found:
        raise ProtocolError("the provider answered, but gave no number", outcome=Outcome.UNKNOWN)
    return found


def of_batch(error: QasidError) -> ProviderError:
    """What a receipt says of it; a broken plugin may have sent the batch before it broke."""
    if isinstance(error, ProviderError):
        return error
    return ProtocolError(str(error), outcome=Outcome.UNKNOWN)


def ready(message: Message, now: datetime) -> Message:
    """The message to a number in E.164. Raises what can be told of it before anything is sent."""
    if message.send_at is not None and message.send_at <= now:
        raise InvalidRequest("send_at is not later than now; leave it out to send at once")
    return _numbered(message)


def _numbered(message: Message) -> Message:
    to = e164(message.to)
    return message if to == message.to else attrs.evolve(message, to=to)


def _by(account: str, receipt: Receipt) -> Receipt:
    """The receipt with the account's name; `attrs.evolve` takes twice as long to tell the rest."""
    return Receipt(
        to=receipt.to,
        id=receipt.id,
        batch_id=receipt.batch_id,
        error=receipt.error,
        cost=receipt.cost,
        account=account,
    )


def _checked(message: Message, now: datetime) -> Message | Receipt:
    try:
        return ready(message, now)
    except ProviderError as error:
        return Receipt(to=message.to, error=error)


def _still(item: Message | Receipt, now: datetime) -> Message | Receipt:
    """The item, whose moment may have passed while the batches before it were sent."""
    if isinstance(item, Receipt) or item.send_at is None:
        return item
    return _checked(item, now)


def _parts(
    checked: Iterable[Message | Receipt], size: int
) -> Iterator[Sequence[Message | Receipt]]:
    """All of them in order, in parts with at most `size` messages that can be sent."""
    part: list[Message | Receipt] = []
    room = size
    for item in checked:
        sendable = not isinstance(item, Receipt)
        if sendable and not room:
            yield part
            part, room = [], size
        part.append(item)
        room -= sendable
    if part:
        yield part


def _woven(part: Iterable[Message | Receipt], sent: Iterable[Receipt]) -> list[Receipt]:
    """A receipt for each of the part, those of what was `sent` in the places of their messages."""
    left = iter(sent)
    return [item if isinstance(item, Receipt) else next(left) for item in part]


def _seconds(operations: Operations, timeout: float) -> float:
    if not timeout >= 0:
        raise _bad_argument(operations, "timeout", "is negative", "give seconds, zero or more")
    return timeout


def _compiled(operations: Operations, pattern: str | None) -> re.Pattern[str] | None:
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise _bad_argument(
            operations, "pattern", f"is no regular expression ({error.msg})", "mend it"
        ) from None


def _bad_argument(operations: Operations, field: str, problem: str, remedy: str) -> SettingsError:
    return SettingsError(problem, account=operations.name, field=field, remedy=remedy)


def _fits(
    message: InboundMessage,
    *,
    since: datetime | None,
    sender: str | None,
    pattern: re.Pattern[str] | None,
) -> bool:
    """Whether it is what is waited for. One without a time, or a sender, is not ruled out by it."""
    late = since is None or message.received_at is None or message.received_at > since
    known = sender is None or message.sender is None or message.sender == sender
    return late and known and (pattern is None or pattern.search(message.text) is not None)
