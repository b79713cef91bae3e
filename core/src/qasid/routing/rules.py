"""What a route does after each error: the one table of it.

A route goes on to its next account where the outcome is *not performed* and the reason is neither
the recipient, nor the content, nor the budget. An unknown outcome ends it, whatever the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from qasid import errors
from qasid.errors import Outcome, ProviderError, QasidError

__all__ = ["RULES", "Rule", "goes_on", "is_unknown", "rule_of"]


@attrs.frozen
class Rule:
    """Whether an error, not performed, leads to the next account; whether it trips the breaker."""

    next_account: bool
    counts: bool
    because: str


_CONTENT: Final = Rule(False, False, "the content: it would be refused everywhere")
_RECIPIENT: Final = Rule(False, False, "the recipient: it is the same everywhere")
_NUMBER: Final = Rule(False, False, "of a number: only the account that rented it knows it")
_ACCOUNT: Final = "of this account: the provider works"
_PROVIDER: Final = Rule(True, True, "a failure of the provider")

#: A class that has no row of its own has that of the nearest above it.
RULES: Final[Mapping[type[QasidError], Rule]] = {
    errors.QasidError: Rule(False, False, "nothing is known of it"),
    errors.SettingsError: Rule(False, False, "yours to mend"),
    errors.ProviderNotFound: Rule(False, False, "yours to mend"),
    errors.PluginError: Rule(False, False, "it may have been sent before the plugin broke"),
    errors.UnsupportedOperation: Rule(True, False, "this account cannot, another may"),
    errors.BudgetExceeded: Rule(False, False, "the budget: another account is no way around it"),
    errors.OtpLimitExceeded: Rule(False, False, "the budget: another account is no way around it"),
    errors.WaitTimeout: _NUMBER,
    errors.ProviderError: Rule(True, False, "a refusal whose reason is not known"),
    errors.AuthenticationFailed: Rule(True, False, _ACCOUNT),
    errors.PermissionDenied: Rule(True, False, _ACCOUNT),
    errors.InsufficientCredit: Rule(True, False, _ACCOUNT),
    errors.RateLimited: Rule(True, False, "load and no failure: the account's limits hold it back"),
    errors.NoNumbersAvailable: Rule(True, False, "another may have one"),
    errors.NumberExpired: _NUMBER,
    errors.NumberNotFound: _NUMBER,
    errors.ReleaseRefused: _NUMBER,
    errors.InvalidRequest: _CONTENT,
    errors.InvalidRecipient: _RECIPIENT,
    errors.TemplateRejected: _CONTENT,
    errors.RecipientOptedOut: _RECIPIENT,
    errors.ReferenceConflict: Rule(False, False, "yours to mend"),
    errors.JournalUnavailable: Rule(False, False, "yours to mend: no account may do without it"),
    errors.StreamClosed: Rule(False, False, "yours: nothing more was to be sent"),
    errors.OtpRejected: _CONTENT,
    errors.ProviderUnavailable: _PROVIDER,
    errors.ConnectFailed: _PROVIDER,
    errors.NoAnswer: _PROVIDER,
    errors.RouteExhausted: Rule(False, False, "every account had its turn"),
    errors.ProtocolError: _PROVIDER,
}


def rule_of(error: QasidError) -> Rule:
    """The row of the nearest class that has one."""
    return next(RULES[kind] for kind in type(error).__mro__ if kind in RULES)


def is_unknown(error: QasidError) -> bool:
    """Whether it may have been performed all the same."""
    return isinstance(error, ProviderError) and error.outcome is Outcome.UNKNOWN


def goes_on(error: QasidError, *, repeat_unknown: bool) -> bool:
    """Whether the next account is asked after that error."""
    return rule_of(error).next_account and (repeat_unknown or not is_unknown(error))
