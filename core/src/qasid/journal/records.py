"""What the journal writes down of an operation, and what of a request it does not.

Texts and codes are never written: only how long a text was, and digests made with the journal's own
random key, so that two journals do not compare.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import json
import secrets
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import attrs

from qasid.values import NumberOrder, OtpOrder, ReleaseReason, TemplateMessage, TextMessage

__all__ = [
    "OVER",
    "Answer",
    "Ending",
    "Intent",
    "Operation",
    "Return",
    "Standing",
    "State",
    "digest",
    "intent",
    "shown",
]


class State(enum.Enum):
    """Where an operation is.

    `PENDING` is being tried. Whoever tries it has a lease; what is still pending when that is over
    is read as `UNKNOWN`.
    """

    PENDING = "pending"
    PERFORMED = "performed"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class Return:
    """A rented number that is given back: what `release` is asked for."""

    activation_id: str
    reason: ReleaseReason
    reference: str | None = None


Asked = TextMessage | TemplateMessage | OtpOrder | NumberOrder | Return


@attrs.frozen(kw_only=True)
class Intent:
    """One operation that is about to be tried; `claim` names this try of it."""

    hook: str
    account: str
    provider: str
    reference: str | None
    recipient: str | None
    hide_recipient: bool
    subject: str | None
    request: str = attrs.field(repr=False)
    text: str | None = attrs.field(repr=False)
    lease: timedelta
    claim: str = attrs.field(factory=lambda: secrets.token_hex(8))


@attrs.frozen(kw_only=True)
class Ending:
    """What became of one try: a result as JSON, or an error's class and the provider's code."""

    claim: str
    state: State
    result: str | None = None
    error: str | None = None
    code: str | None = None


@attrs.frozen(kw_only=True)
class Operation:
    """One operation as the journal has it. Moments are UTC.

    `recipient` is E.164, or a digest where the account's setting says so. `subject` is what a
    number was rented for, or the activation that was given back. `text_length` counts characters.
    `settled_by` is `outcome`, or `provider` or `person` where its end was found out later.
    """

    id: str
    hook: str
    account: str
    provider: str
    reference: str | None
    recipient: str | None
    subject: str | None
    text_length: int | None
    text_digest: str | None
    state: State
    created_at: datetime
    updated_at: datetime
    lease_until: datetime
    result: str | None
    error: str | None
    code: str | None
    settled_by: str | None

    @property
    def lease(self) -> timedelta:
        """How long the last try may take, at the longest."""
        return self.lease_until - self.updated_at

    def at(self, now: datetime) -> Operation:
        """The same as it is to be read then: nobody is at it any more when the lease is over."""
        over = self.state is State.PENDING and now >= self.lease_until
        return attrs.evolve(self, state=State.UNKNOWN) if over else self


@attrs.frozen(kw_only=True)
class Answer:
    """What a provider could tell of an operation: `state` is None where that settles nothing.

    `words` are for the person who then has to decide.
    """

    state: State | None
    words: str
    result: str | None = None


@attrs.frozen(kw_only=True)
class Standing:
    """What stands under a reference already, and whether it is of the same request."""

    operation: Operation
    same: bool


def intent(hook: str, asked: Asked, **of: Any) -> Intent:
    """The intent to do what is asked; `of` are the members that the request does not tell."""
    return Intent(
        hook=hook,
        reference=asked.reference,
        recipient=getattr(asked, "to", None),
        subject=_subject(asked),
        request=_canonical(asked),
        text=_text(asked),
        **of,
    )


def digest(key: bytes, purpose: str, text: str) -> str:
    """A keyed digest (HMAC-SHA256) as hexadecimal digits; one purpose does not tell of another."""
    message = f"{purpose}\n{text}".encode("utf-8", "surrogatepass")
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def _canonical(asked: Asked) -> str:
    """The whole request but its reference; equal requests have equal texts."""
    members = attrs.asdict(asked, filter=lambda field, _: field.name != "reference")
    kind = type(asked).__name__
    return json.dumps([kind, members], default=_plain, sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> str:
    return str(value.normalize() if isinstance(value, Decimal) else value)


def _text(asked: Asked) -> str | None:
    """What must not be stored as it is."""
    match asked:
        case TextMessage():
            return asked.text
        case TemplateMessage():
            return json.dumps(asked.values, sort_keys=True)
        case OtpOrder():
            return asked.code
    return None


def _subject(asked: Asked) -> str | None:
    match asked:
        case NumberOrder():
            return shown(f"{','.join(asked.services)} {asked.country}")
        case Return():
            return shown(asked.activation_id)
        case TemplateMessage():
            return shown(asked.template)
    return None


def shown(text: str) -> str:
    """A foreign text as it may be stored and printed anywhere."""
    return text if text.isprintable() else ascii(text)


#: Those that are over; nothing else is ever pruned.
OVER: Final = (State.PERFORMED, State.REFUSED)
