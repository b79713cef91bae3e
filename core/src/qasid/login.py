"""Logging in: the account's owner says yes in a browser, which comes back here with a code.

Nothing in here opens a socket: `Visit.answer` is what a server on this machine is made of, and
`Visit.read` takes an address that was copied by hand.
"""

from __future__ import annotations

import hmac
import secrets
from concurrent.futures import Future, InvalidStateError
from typing import Final, Protocol, runtime_checkable
from urllib.parse import parse_qsl, urlsplit

import attrs

from qasid.effects import Flow, Request, Response
from qasid.errors import AuthenticationFailed, InvalidRequest
from qasid.values import Credential

__all__ = ["PATH", "PORT", "AuthorizationCode", "Visit", "callback"]

PORT: Final = 8765
PATH: Final = "/callback"

_MOST: Final = 16_384  # characters of a pasted address
_CLOSE: Final = "You can close this window."
_NAMES: Final = ("code", "state", "error")


@runtime_checkable
class AuthorizationCode(Protocol):
    """A provider whose owner lets us in by OAuth 2's authorization code (RFC 6749, section 4.1).

    That it has these is what makes ``qasid login`` and the token store work for it.
    """

    @property
    def base_url(self) -> str:
        """The address that tokens are of, and good for."""

    @property
    def client_id(self) -> str:
        """The client that tokens are of."""

    @property
    def refresh_token(self) -> str | None:
        """One to begin with, if the settings have it. `authenticate` goes by the credential's."""

    def authorize_url(self, state: str) -> str:
        """The address for the owner's browser, which brings `state` back."""

    def exchange_code(self, code: str) -> Flow[Credential]:
        """Change a code, which works once, for tokens."""


def callback(port: int = PORT) -> str:
    """The address to be registered with the provider."""
    return f"http://127.0.0.1:{port}{PATH}"


@attrs.frozen(eq=False)
class Visit:
    """One visit of the owner to the provider. `code` will be what the browser brought back.

    What comes with another `state` than that of this visit is not of this visit: it is refused,
    and the visit goes on.
    """

    port: int = PORT
    state: str = attrs.field(factory=lambda: secrets.token_urlsafe(32), repr=False)
    code: Future[str] = attrs.field(factory=Future, repr=False)
    strays: list[str] = attrs.field(factory=list)

    def answer(self, request: Request) -> Response:
        """What the browser is shown. Nothing in it is secret."""
        status, words = self._judged(request)
        return _page(status, words)

    def _judged(self, request: Request) -> tuple[int, str]:
        if (request.header("Host") or "") not in self._hosts:
            return 421, "This is not the address that the provider was given."
        if request.path != PATH:
            return 404, "There is nothing here."
        if request.method != "GET":
            return 405, "Browsers come here by GET."
        return self._met(request.url)

    @property
    def _hosts(self) -> tuple[str, str]:
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    def _met(self, address: str) -> tuple[int, str]:
        given: str | AuthenticationFailed
        try:
            given, words = self.read(address), "Thank you. Go back to the terminal."
        except AuthenticationFailed as error:
            given, words = error, "You did not let Qasid in."
        except InvalidRequest as error:
            self.strays.append(str(error))
            return 400, "This does not belong to the login that is under way, which goes on."
        first = self._settle(given)
        return (200, f"{words} {_CLOSE}") if first else (409, f"This login is over. {_CLOSE}")

    def _settle(self, given: str | AuthenticationFailed) -> bool:
        """Once only; whether it was the first."""
        try:
            if isinstance(given, str):
                self.code.set_result(given)
            else:
                self.code.set_exception(given)
        except InvalidStateError:
            return False
        return True

    def read(self, address: str) -> str:
        """The code in the address that the browser was sent to.

        Raises `InvalidRequest` for an address that is not of this visit, and
        `AuthenticationFailed` where the owner, or the provider, said no.
        """
        found = _members(address)
        if not hmac.compare_digest(found.get("state", "").encode(), self.state.encode()):
            raise InvalidRequest("state: it is not that of this login; begin again: qasid login")
        if "error" in found:
            raise AuthenticationFailed(_refusal(found["error"]))
        if not found.get("code"):
            raise InvalidRequest("code: the address has none; copy the whole of it")
        return found["code"]


def _members(address: str) -> dict[str, str]:
    """Those of its query that matter. Raises `InvalidRequest` if one is there twice."""
    text = address.strip()
    if len(text) > _MOST or not text.isprintable():
        raise InvalidRequest("address: it is too long, or more than one line")
    try:
        pairs = parse_qsl(urlsplit(text).query, keep_blank_values=True)
    except ValueError:
        raise InvalidRequest("address: it is none; copy the whole of it") from None
    found = [(name, value) for name, value in pairs if name in _NAMES]
    if len(dict(found)) < len(found):  # RFC 6749, section 3.1
        raise InvalidRequest("address: one of its members is there twice")
    return dict(found)


def _refusal(error: str) -> str:
    if error == "access_denied":
        return "the owner of the account did not say yes (access_denied)"
    shown = "".join(c for c in error if c.isascii() and (c.isalnum() or c == "_"))[:40]
    return f"the provider did not let the owner decide ({shown})"


def _page(status: int, words: str) -> Response:
    from html import escape  # late: it brings a table of two thousand characters

    body = f"<!doctype html><meta charset=utf-8><title>Qasid</title><p>{escape(words)}</p>\n"
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
    }
    return Response(status=status, headers=headers, body=body.encode())
