"""What the environment says, and what is made of it."""

from __future__ import annotations

import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NoReturn

import attrs

import qasid
from qasid.otp import AsyncVerifier, CodeText, Rules

__all__ = ["Configuration", "from_environment"]

_MAKE: Final = 'python -c "import secrets; print(secrets.token_hex(32))"'


@attrs.frozen(kw_only=True)
class Configuration:
    """`account` is an account, a provider or a route. Without `countries` every one is allowed."""

    secret: str = attrs.field(repr=False)
    account: str = "sandbox"
    domain: str | None = None
    countries: tuple[str, ...] | None = None
    insecure: bool = False

    def derived(self, use: str) -> str:
        """A key of its own for each use: who finds one of them has not found the others."""
        return hmac.new(self.secret.encode(), use.encode(), "sha256").hexdigest()

    @asynccontextmanager
    async def verifier(self) -> AsyncIterator[AsyncVerifier]:
        """A verifier over the account, both of which belong to the running event loop."""
        async with (
            # Nobody looks at a page that loads for the two minutes of the default.
            qasid.connect_async(self.account, max_wait=10) as account,
            AsyncVerifier(
                account,
                key=self.derived("one-time passwords"),
                text=CodeText("{code} is your code for Acme.", domain=self.domain),
                rules=Rules(countries=self.countries),
            ) as verifier,
        ):
            yield verifier


def from_environment() -> Configuration:
    """Read ``LOGIN_SECRET``, ``LOGIN_ACCOUNT`` and so on; ends the program without a secret."""
    countries = os.environ.get("LOGIN_COUNTRIES", "").replace(",", " ").split()
    return Configuration(
        secret=os.environ.get("LOGIN_SECRET") or _refuse(f"set LOGIN_SECRET; make one: {_MAKE}"),
        account=os.environ.get("LOGIN_ACCOUNT", "sandbox"),
        domain=os.environ.get("LOGIN_DOMAIN") or None,
        countries=tuple(countries) or None,
        insecure=os.environ.get("LOGIN_INSECURE") == "yes",
    )


def _refuse(words: str) -> NoReturn:
    raise SystemExit(words)
