"""The traps of $Name's document, one test each. What all providers share is in the contract."""

from __future__ import annotations

from typing import Any

import pytest
import qasid
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Response

from qasid_$name.emulator import ${Name}Emulator


def test_the_status_decides_where_a_refusal_is_no_json() -> None:
    """A gateway in front of $Name may refuse with a page of HTML."""
    emulator = ${Name}Emulator()
    emulator.fail_next(Response(status=403, body=b"<html>Forbidden</html>"))
    driver = virtual_driver(emulator.handle, VirtualClock())
    settings: dict[str, Any] = dict(emulator.settings)
    with (
        qasid.connect("$name", driver=driver, **settings) as account,
        pytest.raises(qasid.PermissionDenied),
    ):
        account.balance()
