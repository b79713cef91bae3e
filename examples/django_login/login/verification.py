"""The verifier: one for each process, made when it is first needed."""

from __future__ import annotations

import os
import threading
from typing import Final

from django.conf import settings
from django.utils.crypto import salted_hmac

import qasid
from qasid.otp import CodeText, Rules, Verifier

__all__ = ["verifier"]

_made: Final[dict[int, Verifier]] = {}
_making: Final = threading.Lock()


def verifier() -> Verifier:
    """This process's verifier, which its threads share.

    Servers such as gunicorn load the project once and fork their workers. A connection, to the
    provider or to the database, must not be used on both sides of that. So nothing is opened when
    this is imported, and what a parent may have opened is not its children's.
    """
    with _making:
        process = os.getpid()
        if process not in _made:
            _made[process] = _opened()
        return _made[process]


def _opened() -> Verifier:
    # Nobody looks at a page that loads for the two minutes of the default.
    account = qasid.connect(settings.LOGIN_ACCOUNT, max_wait=10)
    return Verifier(
        account,
        key=_key(),
        text=CodeText("{code} is your code for Acme.", domain=settings.LOGIN_DOMAIN),
        rules=Rules(countries=settings.LOGIN_COUNTRIES),
    )


def _key() -> str:
    """A key that is made of SECRET_KEY, and is of no use for anything else."""
    return salted_hmac("login.verification", "one-time passwords", algorithm="sha256").hexdigest()
