"""What a verifier does, as flows over the operations of accounts: once for both drivers."""

from __future__ import annotations

import functools
import logging
import math
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import attrs

from qasid.effects import Call, Flow, Now
from qasid.errors import (
    InvalidRecipient,
    InvalidRequest,
    JournalUnavailable,
    OtpLimitExceeded,
    QasidError,
)
from qasid.events import FellBack, Listeners, PassedOver, PrefixPaused, event_name
from qasid.operations import Operations
from qasid.otp.digests import Digests, new_code
from qasid.otp.limits import Draft, Refusal
from qasid.otp.rules import Reason, Rules
from qasid.otp.store import Guess, Held, Right, Store
from qasid.otp.texts import CodeTemplate, CodeText
from qasid.phone import country, e164
from qasid.routing.flows import Routing
from qasid.routing.rules import goes_on
from qasid.routing.switch import addressed
from qasid.text import Segments, ascii_digits
from qasid.values import OtpOrder, OtpTicket, OtpVerdict, Receipt

__all__ = ["Issued", "Step", "Verification"]

Text: TypeAlias = CodeText | CodeTemplate

_log = logging.getLogger("qasid")
_PURPOSE: Final = 64  # characters
_CALLER: Final = 200
_SAYS: Final = {
    "cooldown": "this recipient was sent a code just now",
    "per_recipient": "this recipient has had as many codes as are allowed",
    "per_caller": "this caller has asked for as many codes as are allowed",
    "per_prefix": "as many codes as are allowed went to this country prefix",
    "in_all": "as many codes as are allowed were sent",
    "conversion": "too few of those who are sent a code in this country prefix enter it",
}


@attrs.frozen(kw_only=True)
class Step:
    """How a code is sent: made here, in a `text`; without one the provider makes and holds it.

    `channel` is the provider's (``"sms"``, ``"voice"``, ``"ussd"``), for codes that it makes.
    `account` is an account or a route, by default that of the verifier.
    """

    text: Text | None = None
    channel: str | None = None
    account: Any = None


@attrs.frozen(kw_only=True)
class Issued:
    """A code is on its way; who gets it enters it before `expires_at`.

    Another one may be asked for from `resend_at` on; that takes the place of this. Moments are UTC.
    `step` is the number of the step that it went by, counted from 0, and `account` the account.
    `segments` are those of the SMS, where the text is yours. `dial` is for USSD. `receipt` is that
    of the message, for its delivery report.
    """

    id: str
    to: str
    purpose: str
    expires_at: datetime
    resend_at: datetime
    step: int
    account: str | None = None
    segments: Segments | None = None
    dial: str | None = None
    receipt: Receipt | None = None


@attrs.frozen(eq=False, kw_only=True)
class Path:
    """A step with the operations of its account, whose requests carry the name `via`."""

    step: Step
    via: str
    operations: Operations | Routing


@attrs.frozen(kw_only=True)
class Subject:
    """Who is to verify what, and who asks for it."""

    to: str
    purpose: str
    caller: str | None
    prefix: str


@attrs.frozen(eq=False, kw_only=True)
class Verification:
    """Issues and verifies codes by its paths, within its rules."""

    paths: Sequence[Path]
    rules: Rules
    digests: Digests
    store: Store
    listeners: Listeners

    # Issuing.

    def issue(self, to: str, purpose: str, caller: str | None) -> Flow[Issued]:
        """Send a code, if every limit allows it; by the next step where the last one is still good.

        A step that surely did not send it is followed by the next, as on a route.
        """
        subject = self._subject(to, purpose, caller)
        passed: list[PassedOver] = []
        at_least = 0
        while True:
            code, draft = self._drafted(subject)
            now = yield Now()
            step = yield from self._admitted(draft, at_least, now)
            try:
                sent = yield from self._sent(self.paths[step], subject.to, code)
            except QasidError as error:
                yield from self._not_sent(draft, step, error)
                passed.append(PassedOver(self.paths[step].step.account.name, type(error).__name__))
                at_least = step + 1
            else:
                yield from self._fell_back(step, passed)
                return (yield from self._issued(subject, draft, step, sent, now))

    def _subject(self, to: str, purpose: str, caller: str | None) -> Subject:
        number = e164(to)
        _named("purpose", purpose, _PURPOSE)
        if caller is not None:
            _named("caller", caller, _CALLER)
        prefix, region = country(number)
        if self.rules.countries is not None and region not in self.rules.countries:
            raise InvalidRecipient(
                f"'to' is a number of {region or 'no country'}, to which no codes are sent;"
                " name it in countries if they should be"
            )
        return Subject(to=number, purpose=purpose, caller=caller, prefix=prefix)

    def _drafted(self, subject: Subject) -> tuple[str, Draft]:
        code, identity = new_code(self.rules.length), secrets.token_hex(16)
        recipient = self.digests.recipient(subject.to)
        draft = Draft(
            id=identity,
            recipient=recipient,
            purpose=subject.purpose,
            prefix=subject.prefix,
            caller=None if subject.caller is None else self.digests.caller(subject.caller),
            digest=self.digests.code(identity, recipient, subject.purpose, code),
        )
        return code, draft

    def _admitted(self, draft: Draft, at_least: int, now: datetime) -> Flow[int]:
        held = [path.step.text is None for path in self.paths]
        found = yield Call(functools.partial(self.store.admit, draft, held, at_least, now))
        if isinstance(found, Refusal):
            yield from self._told(draft.prefix, found)
            raise _over(found)
        step: int = found
        return step

    def _told(self, prefix: str, refusal: Refusal) -> Flow[None]:
        if refusal.paused is not None:
            event = PrefixPaused(
                prefix=prefix,
                recipients=refusal.paused.recipients,
                verified=refusal.paused.verified,
                paused_for=refusal.paused.length,
                at=(yield Now()),
            )
            yield from self.listeners.tell("on_prefix_paused", event)

    def _sent(self, path: Path, to: str, code: str) -> Flow[Receipt | OtpTicket]:
        rules, step = self.rules, path.step
        if step.text is None:
            order = OtpOrder(
                to=to, length=rules.length, lifetime=rules.lifetime, channel=step.channel
            )
            return addressed(path.via, path.operations.otp(order))
        message = step.text.message(to, code, rules.lifetime)
        return addressed(path.via, path.operations.send(message))

    def _not_sent(self, draft: Draft, step: int, error: QasidError) -> Flow[None]:
        """Note what was surely not sent. Raises the error unless another step may follow it."""
        surely = event_name(error) == "on_refused"
        if surely:
            yield from self._noted(functools.partial(self.store.refuse, draft.id))
        last = step + 1 == len(self.paths)
        if last or not (surely and goes_on(error, repeat_unknown=False)):
            raise error

    def _fell_back(self, step: int, passed: Sequence[PassedOver]) -> Flow[None]:
        if passed:
            path = self.paths[step]
            event = FellBack(
                route="verifier",
                operation="otp" if path.step.text is None else "send",
                account=path.step.account.name,
                count=1,
                passed_over=tuple(passed),
                at=(yield Now()),
            )
            yield from self.listeners.tell("on_fallback", event)

    def _issued(
        self, subject: Subject, draft: Draft, step: int, sent: Receipt | OtpTicket, now: datetime
    ) -> Flow[Issued]:
        """As it was admitted at `now`, from when its time and the cooldown are counted."""
        ticket = sent if isinstance(sent, OtpTicket) else None
        text = self.paths[step].step.text
        ends = None if ticket is None else ticket.expires_at
        yield from self._noted(
            functools.partial(self.store.sent, draft.id, sent.account, step, ends)
        )
        return Issued(
            id=draft.id,
            to=subject.to,
            purpose=subject.purpose,
            expires_at=ends or now + self.rules.lifetime,
            resend_at=now + self.rules.cooldown,
            step=step,
            account=sent.account,
            segments=None
            if text is None
            else text.segments(self.rules.length, self.rules.lifetime),
            dial=None if ticket is None else ticket.dial,
            receipt=sent if isinstance(sent, Receipt) else None,
        )

    def _noted(self, note: Callable[[], object]) -> Flow[None]:
        """Write down what has happened; where that fails, it has happened all the same."""
        try:
            yield Call(note)
        except JournalUnavailable as error:
            _log.warning("what became of a code was not written down: %s", error)

    # Verifying.

    def verify(self, to: str, code: str, purpose: str) -> Flow[OtpVerdict]:
        """Whether it is the code that was sent last for that purpose, and was not used before."""
        number, given = e164(to), _entered(code)
        recipient = self.digests.recipient(number)
        if given is None:
            return _verdict(Reason.NOT_A_CODE)
        of = functools.partial(self.digests.code, recipient=recipient, purpose=purpose, code=given)
        guess = Guess(
            token=secrets.token_hex(16), recipient=recipient, purpose=purpose, digest_of=of
        )
        found = yield Call(functools.partial(self.store.check, guess, (yield Now())))
        if isinstance(found, Held):
            return (yield from self._asked(found, number, given, guess))
        return _verdict(None if isinstance(found, Right) else found)

    def _asked(self, held: Held, to: str, code: str, guess: Guess) -> Flow[OtpVerdict]:
        """What the provider says; a code that it accepts a second time is spent all the same."""
        try:
            verdict = yield from self._answer(held, to, code)
        except QasidError as error:
            if event_name(error) == "on_refused":
                back = functools.partial(self.store.give_back, guess.recipient)
                yield from self._noted(back)
            raise
        if not verdict:
            return _verdict(Reason.WRONG)
        spend = functools.partial(self.store.spend, held.id, guess, (yield Now()))
        return _verdict(None if (yield Call(spend)) else Reason.NO_CODE)

    def _answer(self, held: Held, to: str, code: str) -> Flow[OtpVerdict]:
        path = self.paths[min(held.step, len(self.paths) - 1)]
        if isinstance(path.operations, Routing):
            flow = path.operations.verify_otp(to, code, held.account)
        else:
            flow = path.operations.verify_otp(to, code)
        return addressed(path.via, flow)


def _named(field: str, value: str, longest: int) -> None:
    if not (isinstance(value, str) and 1 <= len(value) <= longest and value.isprintable()):
        raise InvalidRequest(f"{field} must be a text of 1 to {longest} printable characters")


def _entered(code: str) -> str | None:
    """What somebody typed, in ASCII digits without the blanks and dashes that group them."""
    digits = "".join(c for c in ascii_digits(code) if not (c.isspace() or c == "-"))
    return digits if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None


def _over(refusal: Refusal) -> OtpLimitExceeded:
    seconds = max(1, math.ceil(refusal.wait.total_seconds()))
    return OtpLimitExceeded(
        f"{refusal.limit}: {_SAYS[refusal.limit]}; nothing was sent, try again in {seconds} s",
        limit=refusal.limit,
        retry_after=refusal.wait,
    )


def _verdict(reason: Reason | None) -> OtpVerdict:
    return OtpVerdict(accepted=reason is None, reason=reason or "")
