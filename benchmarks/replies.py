"""The fixed answers of the loopback server: what each driver takes for a success.

They are chosen by the beginning of the path; the longest that fits. Each has about 200 bytes.
"""

from __future__ import annotations

import json
from typing import Any, Final

from benchmarks.message import TO

#: Below this path the server closes the connection after each answer.
CLOSING: Final = "/closing"
STATUS: Final = "/status"


def _body(answer: Any) -> str:
    return json.dumps(answer)


_DEFTSMS: Final = {
    "success": True,
    "status": "success",
    "error": False,
    "code": 200,
    "data": "x" * 100,
    "messages": [],
}
_KAVENEGAR: Final = {
    "return": {"status": 200, "message": "accepted"},
    "entries": [{"messageid": 8792343, "message": "x" * 50, "status": 1, "receptor": TO}],
}
_TWILIO: Final = {
    "sid": "SM" + "0" * 32,
    "status": "queued",
    "to": TO,
    "body": "x" * 80,
    "num_segments": "1",
}
_IPPANEL: Final = {
    "status": "OK",
    "code": 200,
    "error_message": "",
    "data": {"message_id": 1001373},
    "filler": "x" * 110,
}
_MELIPAYAMAK: Final = {"Value": "1" * 130, "RetStatus": 1, "StrRetStatus": "Ok"}

BODIES: Final = {
    "/deftsms": _body(_DEFTSMS),
    "/v1": _body(_KAVENEGAR),  # also as apprise asks it
    "/2010-04-01": _body(_TWILIO),  # also as notifiers asks it
    "/api/v1": _body(_IPPANEL),
    "/api/SendSMS": _body(_MELIPAYAMAK),
    "/stubs": "ACCESS_NUMBER:" + "1" * 170 + ":79991112233",  # smsactivate's own form
}


def body(path: str) -> str | None:
    """What answers a path, or None."""
    fitting = [start for start in BODIES if path.removeprefix(CLOSING).startswith(start)]
    return BODIES[max(fitting, key=len)] if fitting else None
