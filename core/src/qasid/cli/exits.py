"""The exit codes of the command, by class of error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qasid import errors

__all__ = ["CLOSED_OUTPUT", "EXIT_CODES", "NO", "NOT_ALL", "Interrupted", "exit_code"]

#: The answer is no: a wrong code, or a check that failed.
NO: Final = 1
#: Of a list of messages, not all were accepted.
NOT_ALL: Final = 28
#: What is written goes nowhere: 128 + SIGPIPE. Signals end the command with 128 + their number.
CLOSED_OUTPUT: Final = 141

#: 2 is a wrong use of the command line.
EXIT_CODES: Final[Mapping[type[errors.QasidError], int]] = {
    errors.QasidError: 8,
    errors.SettingsError: 3,
    errors.ProviderNotFound: 4,
    errors.PluginError: 5,
    errors.UnsupportedOperation: 6,
    errors.BudgetExceeded: 7,
    errors.WaitTimeout: 9,
    errors.ProviderError: 10,
    errors.AuthenticationFailed: 11,
    errors.PermissionDenied: 12,
    errors.InsufficientCredit: 13,
    errors.RateLimited: 14,
    errors.NoNumbersAvailable: 15,
    errors.NumberExpired: 16,
    errors.NumberNotFound: 17,
    errors.ReleaseRefused: 18,
    errors.InvalidRequest: 19,
    errors.InvalidRecipient: 20,
    errors.TemplateRejected: 21,
    errors.RecipientOptedOut: 22,
    errors.OtpRejected: 23,
    errors.ProviderUnavailable: 24,
    errors.ConnectFailed: 25,
    errors.NoAnswer: 26,
    errors.ProtocolError: 27,
    errors.RouteExhausted: 30,
    errors.ReferenceConflict: 31,
    errors.JournalUnavailable: 32,
    errors.OtpLimitExceeded: 33,
    errors.StreamClosed: 34,
}


class Interrupted(KeyboardInterrupt):
    """The person or the system asked to stop."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


def exit_code(error: errors.QasidError) -> int:
    """The code of the nearest class that has one."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)
