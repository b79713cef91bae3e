"""The error codes of MrOTP's document: what each means to Qasid, and in whose hands it is.

The numbers -5, -8 and -9 are not in the document's table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from qasid import errors

__all__ = ["REFUSALS"]

_Refusal: TypeAlias = tuple[type[errors.ProviderError], str]

#: By the number in `code`: the error, and what happened. Where a message may have gone, as the last
#: word came from an operator or nobody knows what failed, it is `ProviderUnavailable`.
REFUSALS: Final[Mapping[int, _Refusal]] = {
    -1: (errors.AuthenticationFailed, "it does not know the key"),
    -2: (errors.InvalidRecipient, "'to' is no mobile number to it"),
    -3: (errors.InvalidRequest, "it does not take this code"),
    -4: (errors.InvalidRequest, "it does not take this lifetime"),
    -6: (errors.PermissionDenied, "the service is switched off for this account"),
    -7: (errors.InsufficientCredit, "the credit does not cover it; charge the account"),
    -10: (errors.ProviderUnavailable, "it failed and cannot say why"),
    -11: (errors.PermissionDenied, "this machine's address is not the one set in the panel"),
    -12: (errors.OtpRejected, "the code is wrong, of another number, or too old"),
    -13: (errors.AuthenticationFailed, "the account could not be authenticated"),
    -14: (
        errors.RecipientOptedOut,
        "the recipient switched its messages off, and alone can undo it; try another channel",
    ),
    -15: (errors.InvalidRequest, "it does not know the referral"),
    -16: (errors.InvalidRequest, "the code has too few or too many digits"),
    -17: (errors.TemplateRejected, "it does not find the template"),
    -18: (errors.TemplateRejected, "the template and its values do not fit"),
    -19: (errors.TemplateRejected, "the template has not been approved"),
    -20: (errors.ProviderUnavailable, "the service is down for the moment"),
    -21: (errors.TemplateRejected, "one of the template's values is too long"),
    -22: (errors.ProviderUnavailable, "the SMS operator did not answer; it may have been sent"),
    -23: (errors.ProviderUnavailable, "the voice operator did not answer; it may have been sent"),
    -24: (errors.TemplateRejected, "one of the template's values holds a link"),
}
