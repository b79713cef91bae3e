"""What SMSAfzar's numbers and words mean. The sources are those of `SMSAfzar.info`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from qasid import errors

__all__ = ["DENIALS", "FIELDS", "OF_RECIPIENT", "OF_TEMPLATE", "STATUSES", "UNITS"]

#: What a status means whatever its body says. 404 and 405: there is no such call, or not any more.
STATUSES: Final[Mapping[int, type[errors.ProviderError]]] = {
    401: errors.AuthenticationFailed,
    403: errors.PermissionDenied,
    404: errors.ProtocolError,
    405: errors.ProtocolError,
    429: errors.RateLimited,
}

#: The five meanings of status 403. A new token helps with none of them.
DENIALS: Final[Mapping[str | None, str]] = {
    "1004": "the account may not use the service",
    "1005": "the account may not use this method",
    "1006": "this IP address is not on the account's list; see the panel",
    "1010": "the account is inactive",
    "1011": "the account has expired",
}

#: The fields that `validationErrors` may name, in lower case, and what a user of Qasid calls them.
FIELDS: Final[Mapping[str, str]] = {
    "username": "username (6 characters or more)",
    "password": "password (8 characters or more)",
    "domain": "domain",
    "sendernumber": "sender",
    "sendernumbers": "sender",
    "recipientnumber": "to",
    "recipientnumbers": "to",
    "content": "text",
    "contents": "text",
    "sendtimestamp": "send_at (later than the server's now)",
    "templateid": "template",
    "parameters": "values (100 characters or fewer each)",
    "batchid": "batch_id",
    "sentmessageides": "receipts (100 or fewer)",
    "count": "limit (1 to 100)",
}
OF_RECIPIENT: Final = frozenset({"recipientnumber", "recipientnumbers"})
OF_TEMPLATE: Final = frozenset({"templateid", "parameters"})

_RIAL: Final = ("ریال", "ريال", "﷼", "rial", "rials", "irr")
_TOMAN: Final = ("تومان", "تومن", "toman", "tomans", "irt")
#: How many rials one unit of the balance is, by its name in lower case [not documented].
UNITS: Final[Mapping[str, int]] = {**dict.fromkeys(_RIAL, 1), **dict.fromkeys(_TOMAN, 10)}
