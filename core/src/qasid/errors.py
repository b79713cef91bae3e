"""The error tree: what happened, was it performed, when may it be tried again.

::

    QasidError
    ├── SettingsError (ValueError)     a setting is missing, misspelt, unsafe or of the wrong type
    ├── ProviderNotFound               no installed provider or account has that name
    ├── PluginError                    an installed provider is broken
    ├── UnsupportedOperation           this provider cannot do it; nothing was sent
    ├── BudgetExceeded                 a cap on renting said no, before the request
    ├── OtpLimitExceeded               a limit on codes said no, before the request
    ├── WaitTimeout (TimeoutError)     no message came in time
    └── ProviderError                  the provider refused, failed, or could not be understood
        ├── AuthenticationFailed
        ├── PermissionDenied
        ├── InsufficientCredit
        ├── RateLimited
        ├── NoNumbersAvailable
        ├── NumberExpired
        ├── NumberNotFound
        ├── ReleaseRefused
        ├── InvalidRequest
        │   ├── InvalidRecipient
        │   ├── TemplateRejected
        │   ├── RecipientOptedOut
        │   └── ReferenceConflict      another request has that reference
        ├── JournalUnavailable         the journal cannot be used: not performed
        ├── StreamClosed               a stream was closed before its turn came: not performed
        ├── OtpRejected
        ├── ProviderUnavailable
        │   ├── ConnectFailed          never reached: not performed
        │   ├── NoAnswer               sent, and no or a cut answer: unknown
        │   └── RouteExhausted         every account of a route failed
        └── ProtocolError              an unreadable reply
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from qasid.effects import Response

__all__ = [
    "AuthenticationFailed",
    "BudgetExceeded",
    "ConnectFailed",
    "InsufficientCredit",
    "InvalidRecipient",
    "InvalidRequest",
    "JournalUnavailable",
    "NoAnswer",
    "NoNumbersAvailable",
    "NumberExpired",
    "NumberNotFound",
    "OtpLimitExceeded",
    "OtpRejected",
    "Outcome",
    "PermissionDenied",
    "PluginError",
    "ProtocolError",
    "ProviderError",
    "ProviderNotFound",
    "ProviderUnavailable",
    "QasidError",
    "RateLimited",
    "RecipientOptedOut",
    "ReferenceConflict",
    "ReleaseRefused",
    "RouteExhausted",
    "SettingsError",
    "StreamClosed",
    "TemplateRejected",
    "UnsupportedOperation",
    "WaitTimeout",
]


class Outcome(enum.Enum):
    """Whether the act that failed was performed all the same."""

    NOT_PERFORMED = "not performed"
    UNKNOWN = "unknown"


class QasidError(Exception):
    """The root of everything that Qasid raises on purpose."""


class SettingsError(QasidError, ValueError):
    """A setting is missing, misspelt, unsafe or of the wrong type.

    The message names the account, the field and the remedy, and never holds the value.
    """

    def __init__(self, problem: str, *, account: str, field: str, remedy: str) -> None:
        super().__init__(f"account {account!r}, field {field!r}: {problem}; {remedy}")
        self.problem = problem
        self.account = account
        self.field = field
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        named = {"account": self.account, "field": self.field, "remedy": self.remedy}
        return functools.partial(type(self), self.problem, **named), ()


class ProviderNotFound(QasidError):
    """No installed provider and no configured account has that name."""


class PluginError(QasidError):
    """An installed provider is broken: it cannot be imported, or breaks the rules of a plugin."""


class UnsupportedOperation(QasidError):
    """The provider has no such operation. Nothing was sent."""


class BudgetExceeded(QasidError):
    """A cap on renting said no before anything was sent. `cap` names the option that holds it."""

    def __init__(self, message: str, *, cap: str) -> None:
        super().__init__(message)
        self.cap = cap

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(type(self), str(self), cap=self.cap), ()


class OtpLimitExceeded(QasidError):
    """A limit on one-time passwords said no before anything was sent.

    `limit` names the rule of `qasid.otp.Rules` (or ``conversion``); after `retry_after` it may be
    asked again.
    """

    def __init__(self, message: str, *, limit: str, retry_after: timedelta) -> None:
        super().__init__(message)
        self.limit = limit
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        named: dict[str, Any] = {"limit": self.limit, "retry_after": self.retry_after}
        return functools.partial(type(self), str(self), **named), ()


class WaitTimeout(QasidError, TimeoutError):
    """No message that fits came in time. The number is as it was: still rented."""


class ProviderError(QasidError):
    """The provider refused, failed, or could not be understood.

    `outcome` says whether the act was performed. It may be None only while a provider's flow
    runs: the core then decides it by what had been sent. `retry_after` is the provider's own
    wish, or None. `code` is the provider's code, also when Qasid does not know it.
    `response` is the last reply, with the account's secrets taken out.
    """

    default_outcome: ClassVar[Outcome | None] = Outcome.NOT_PERFORMED

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        outcome: Outcome | None = None,
        retry_after: timedelta | None = None,
        response: Response | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.outcome = outcome or self.default_outcome
        self.retry_after = retry_after
        self.response = response


class AuthenticationFailed(ProviderError):
    """The key, token or password was not accepted."""


class PermissionDenied(ProviderError):
    """The account is known, but may not do this."""


class InsufficientCredit(ProviderError):
    """The account's credit does not cover it."""


class RateLimited(ProviderError):
    """Too many requests. `retry_after` says how long to wait, where the provider tells."""


class NoNumbersAvailable(ProviderError):
    """No number is in stock for this service in this country."""


class NumberExpired(ProviderError):
    """The activation's time is over."""


class NumberNotFound(ProviderError):
    """The provider does not know this activation."""


class ReleaseRefused(ProviderError):
    """The provider does not let this number go, for example because it has had a message."""


class InvalidRequest(ProviderError):
    """The provider, or Qasid before it, refused the values that were given."""


class InvalidRecipient(InvalidRequest):
    """The recipient is no number that this provider can reach."""


class TemplateRejected(InvalidRequest):
    """The template is unknown or not approved, or its values do not fit."""


class RecipientOptedOut(InvalidRequest):
    """The recipient has asked not to get messages from this sender."""


class ReferenceConflict(InvalidRequest):
    """Another request was made under this reference before; nothing was sent."""


class JournalUnavailable(ProviderError):
    """The journal cannot be read or written, and so what it had to record was not tried.

    The message names the journal, without a password, and the remedy.
    """


class StreamClosed(ProviderError):
    """A message was taken from a stream's source and not sent: the stream was closed before."""


class OtpRejected(ProviderError):
    """The provider refused the code itself. A wrong code is a verdict and never this error."""


class ProviderUnavailable(ProviderError):
    """The provider failed on its own side."""

    default_outcome: ClassVar[Outcome | None] = None


class ConnectFailed(ProviderUnavailable):
    """The provider was never reached (refused, unresolved, TLS): not performed."""

    default_outcome = Outcome.NOT_PERFORMED


class NoAnswer(ProviderUnavailable):
    """The request was sent, and no answer or only a part of one came: unknown."""

    default_outcome = Outcome.UNKNOWN


class RouteExhausted(ProviderUnavailable):
    """Every account of a route failed, or is left alone as it kept failing.

    `failures` has the error of each account that was asked, in order. The outcome is unknown where
    that of one of them is, which needs `repeat_unknown`.
    """

    default_outcome = Outcome.NOT_PERFORMED

    def __init__(
        self, message: str, *, failures: Mapping[str, QasidError] | None = None, **told: Any
    ) -> None:
        super().__init__(message, **told)
        self.failures = dict(failures or {})


class ProtocolError(ProviderError):
    """The reply could not be read. Unknown where the act was paid."""

    default_outcome = None
