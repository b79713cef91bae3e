"""MyOnlineSim: temporary numbers for receiving verification messages.

API         https://myonlinesim.com, paths under /api, each call a POST of a form
Auth        OAuth2 by authorization code, as ``qasid login`` does; then a bearer token
Money       whole rials (IRR), never tomans
Limits      one look for a message in 20 seconds, for the account; a blocking rule by the day
Numbers     digits in the answers, E.164 here; they live 15 minutes
Not there   a list of services, an inbox, a message's sender and time, sending

Facts are those of the provider's public document, read on 2026-11-21. What that document does not
say is marked *[not documented]* at its line. A later API of the same site, under /api/v1, has other
tokens, members and units; nothing here is of that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final
from urllib.parse import urlencode, urlsplit

import attrs

from qasid import errors
from qasid.effects import Flow, Request, Response
from qasid.fields import base_url, secret
from qasid.hookspecs import hookimpl
from qasid.reading import filled, moment, retry_after, take
from qasid.values import (
    Acquired,
    Activation,
    Credential,
    InboundMessage,
    InboxQuery,
    Limit,
    Money,
    NumberOrder,
    Offer,
    ProviderInfo,
    Released,
    ReleaseReason,
    Source,
    Support,
    UnusedCap,
)

__all__ = ["MyOnlineSim"]

_FULL: Final = Support.full()
_LOGIN: Final = "run: qasid login myonlinesim"
_MOST_SERVICES: Final = 5  # said of the prices for several services; taken to hold for orders too
_LIFE: Final = timedelta(minutes=15)
_PACE: Final = timedelta(seconds=20)
_BLOCK: Final = timedelta(seconds=60)  # "up to one minute"

_STATUSES: Final[Mapping[str, type[errors.ProviderError]]] = {
    "try_again_later": errors.NoNumbersAvailable,
    "not_enough_credit": errors.InsufficientCredit,
    "expired": errors.NumberExpired,
    "number_not_found": errors.NumberNotFound,  # when reading
    "not_found": errors.NumberNotFound,  # when releasing
    "you cannot ban this number": errors.ReleaseRefused,
}
_PENDING: Final = "no_message"

# [not documented] How OAuth says no: names of RFC 6749 and 6750.
_OF_CLIENT: Final = frozenset({"invalid_client", "unauthorized_client"})
_OF_TOKEN: Final = frozenset({"invalid_token", "invalid_grant", *_OF_CLIENT})


@attrs.frozen(eq=False, kw_only=True)
class MyOnlineSim:
    """Rent temporary numbers from MyOnlineSim.

    `client_id` and `client_secret` are those of the client that you made on the site, where you
    registered its callback address too. `refresh_token` comes from the token store, which
    ``qasid login myonlinesim`` fills; give it only where there is no such store.
    """

    info: ClassVar = ProviderInfo(
        title="MyOnlineSim",
        contract="1.0",
        homepage="https://myonlinesim.com",
        support={
            "authenticate": _FULL,
            "balance": _FULL,
            "offers": Support.partial("of a service that is named: there is no list of services"),
            "acquire_number": Support.partial("up to 5 services in an order, each of them once"),
            "fetch_sms": Support.partial("of a rented number: one text, without sender and time"),
            "release": _FULL,
            "parse_webhook": Support.partial("the text; a post does not say which number it is of"),
        },
        # For the account: that it is not for each number is [not documented], and the safer guess.
        limits=(Limit(requests=1, period=_PACE, hooks=["fetch_sms"]),),
        # With more than 50 numbers in a day, none of which gets a message, the account is blocked
        # until its owner has talked to the provider. That the day is Tehran's is [not documented].
        # Five are left for numbers that were taken elsewhere, as on the site.
        unused_cap=UnusedCap(numbers=45, zone="Asia/Tehran"),
        poll_interval=_PACE,
        activation_lifetime=_LIFE,
        sources=(Source("MyOnlineSim API", "https://myonlinesim.com/documents", "2026-11-21"),),
    )

    client_id: str = attrs.field(validator=attrs.validators.min_len(1))
    client_secret: str = secret()
    refresh_token: str | None = secret(default=None)
    base_url: str = base_url("https://myonlinesim.com")

    # How an owner lets us in, once in three years: what `qasid login` uses.

    def authorize_url(self, state: str) -> str:
        """The address for the owner's browser, which comes back with `state` and a code.

        Where it comes back to is the callback address that is registered with the client.
        """
        query = {"client_id": self.client_id, "response_type": "code", "scope": "", "state": state}
        return f"{self.base_url}/oauth/authorize?{urlencode(query)}"

    def exchange_code(self, code: str) -> Flow[Credential]:
        """Change a code for tokens; it works once. Raises `AuthenticationFailed`."""
        response = yield self._grant("authorization_code", code=code)
        body = _granted(response)
        return _credential(body, response, filled(body, "refresh_token"))

    @hookimpl
    def authenticate(self, credential: Credential | None) -> Flow[Credential]:
        """Change the refresh token for an access token of three months.

        The new refresh token, where one is given, is in the `Credential`, else the old one: keep it
        before anything else is done with it. Not safe to ask twice, as the old one may be void.
        """
        old = (credential and credential.refresh_token) or self.refresh_token
        if not old:
            raise errors.AuthenticationFailed(f"there is no refresh token; {_LOGIN}")
        response = yield self._grant("refresh_token", refresh_token=old, scope="")
        body = _granted(response)
        return _credential(body, response, take(body, "refresh_token", str, None) or old)

    # The hooks.

    @hookimpl
    def balance(self, credential: Credential) -> Flow[Money]:
        """Tell the credit in rials."""
        response = yield self._call("user/credit", credential, {}, safe=True)
        return _rials(_answer(_body(response), response), "credit")

    @hookimpl
    def offers(
        self, service: str | None, country: str | None, credential: Credential
    ) -> Flow[Sequence[Offer]]:
        """List the countries of a service, such as ``tg``, with prices and stock.

        ``"tw,ig"`` asks for up to 5 services together; whether a price is then for each or for all
        is *[not documented]*. Countries cannot be asked for, so they are picked here.
        """
        path, form = _prices(service)
        response = yield self._call(path, credential, form, safe=True)
        found = [_offer(item, form) for item in _listed(response)]
        return [offer for offer in found if country in {None, offer.country}]

    @hookimpl
    def acquire_number(self, order: NumberOrder, credential: Credential) -> Flow[Acquired]:
        """Rent a number for each of up to 5 services. The answer tells no price."""
        path, form = _ordered(order)
        response = yield self._call(path, credential, form)
        return _acquired(_numbers(response), order, response)

    @hookimpl
    def fetch_sms(
        self, inbox: Activation | InboxQuery, credential: Credential
    ) -> Flow[Sequence[InboundMessage]]:
        """Read the message of a rented number. It comes without its sender and its time."""
        if not isinstance(inbox, Activation):
            raise errors.InvalidRequest("MyOnlineSim has no inbox of its own; pass an Activation")
        form = {"service_code": inbox.service, "country_code": inbox.country}
        form |= {"number_id": inbox.id}
        response = yield self._call("number/sms", credential, form, safe=True)
        # [not documented] How being blocked for asking too fast looks: 429, or a 403 right here.
        body = _body(response, forbidden=errors.RateLimited)
        if _status(body) == _PENDING and not _yes(body):
            return []
        return _messages(_answer(body, response), inbox.number)

    @hookimpl
    def release(
        self, activation: Activation, reason: ReleaseReason, credential: Credential
    ) -> Flow[Released]:
        """Cancel a number, or report it as unusable. A refund is *[not documented]*."""
        is_ban = "1" if reason is ReleaseReason.UNUSABLE else "0"
        form = {"service_code": activation.service, "is_ban": is_ban, "number_id": activation.id}
        response = yield self._call("number/ban", credential, form)
        _answer(_body(response), response)
        return Released(activation_id=activation.id)

    @hookimpl
    def parse_webhook(self, request: Request) -> Sequence[InboundMessage]:
        """Read one post, which has the members of a look for messages. It names no number.

        Give each number an address that nobody can guess. That a post may be a form, and `ok` then
        the text ``1`` or ``true``, is *[not documented]*; nor is whether an expiry is posted.
        """
        body = request.payload()
        if _yes(body) or body.get("ok") == "1":
            return _messages(body, None)
        if _status(body) in {_PENDING, "expired", "number_not_found"}:
            return []
        raise errors.ProtocolError("this is nothing that MyOnlineSim posts")

    def _grant(self, kind: str, **form: str) -> Request:
        client = {"client_id": self.client_id, "client_secret": self.client_secret}
        headers = {"Accept": "application/json"}
        url = f"{self.base_url}/oauth/token"
        return Request(
            method="POST", url=url, headers=headers, form={"grant_type": kind, **client, **form}
        )

    def _call(
        self, path: str, credential: Credential, form: Mapping[str, str], *, safe: bool = False
    ) -> Request:
        # Without Accept a dead token is answered by a redirect to a page.
        headers = {"Authorization": f"Bearer {credential.token}", "Accept": "application/json"}
        url = f"{self.base_url}/api/{path}"
        return Request(method="POST", url=url, headers=headers, form=form, safe=safe)


# What cannot be said to this API is refused before the wire.


def _prices(service: str | None) -> tuple[str, dict[str, str]]:
    if service is None:
        raise errors.InvalidRequest(
            "service: MyOnlineSim tells prices of a service that is named, and has no list of "
            "services; give its code, such as 'tg'"
        )
    codes = _joined(service.split(","))
    if "," not in codes:
        return "number/prices", {"service_code": codes}
    return "number/prices_for_multiple_services", {"services": codes}


def _ordered(order: NumberOrder) -> tuple[str, dict[str, str]]:
    services = _joined(order.services)
    if order.callback_url == "":
        raise errors.InvalidRequest("callback_url: it is empty; leave it out")
    callback = {} if order.callback_url is None else {"callback": order.callback_url}
    if len(order.services) == 1:
        one = {"service_code": services, "country_code": order.country}
        return "number/get", one | callback
    return "number/multiple_services", {"services": services, "country": order.country} | callback


def _joined(services: Sequence[str]) -> str:
    if len(services) > _MOST_SERVICES:
        raise errors.InvalidRequest("services: at most 5 go into one call; split them")
    if len(set(services)) < len(services):
        raise errors.InvalidRequest("services: one is there twice; order it again by itself")
    if not all(services) or any("," in service for service in services):
        raise errors.InvalidRequest("services: codes are texts without commas; give them singly")
    return ",".join(services)


# How it says no, in this order: what the status alone tells, what is no JSON, the words of `status`
# and then again the status of HTTP, as exact ones are not documented but for 40X.


def _body(
    response: Response, forbidden: type[errors.ProviderError] = errors.PermissionDenied
) -> Any:
    """The JSON of a reply, whatever it says. `forbidden` is what a bare 403 means."""
    kind = _plain_refusal(response)
    if kind is not None:
        raise _refusal(kind, response)
    body = _json(response)
    if response.status == 403 and _status(body) not in {*_STATUSES, _PENDING}:
        raise _refusal(forbidden, response, _status(body))
    return body


def _plain_refusal(response: Response) -> type[errors.ProviderError] | None:
    if response.status >= 500:
        return errors.ProviderUnavailable
    if response.status == 401 or _is_login(response):
        return errors.AuthenticationFailed
    return errors.RateLimited if response.status == 429 else None


def _is_login(response: Response) -> bool:
    """Whether the reply leads to the login page, as for a dead token [not documented]."""
    target = urlsplit(response.header("Location") or "").path
    return 300 <= response.status < 400 and "login" in target


def _json(response: Response) -> Any:
    try:
        return response.json()
    except errors.ProtocolError:
        if response.status == 403:
            return None
        if response.ok and response.body.lstrip()[:1] == b"<":
            # [not documented] The login page itself. What was done before it came, nobody says.
            raise _refusal(
                errors.AuthenticationFailed, response, outcome=errors.Outcome.UNKNOWN
            ) from None
        raise


def _answer(body: object, response: Response) -> Any:
    """The same object, if both the status of HTTP and `ok` are a yes."""
    if not response.ok:
        raise _refused(body, response)
    return _accepted(body, response)


def _accepted(body: object, response: Response) -> Any:
    """The same object, if its own `ok` is a yes."""
    if not _yes(body):
        raise _refused(body, response)
    return body


def _yes(body: object) -> bool:
    """Whether `ok` is true. When reading messages a no is the text ``"false"``."""
    ok = body.get("ok") if isinstance(body, Mapping) else None
    return ok is True or ok == "true"


def _status(body: object) -> str | None:
    return _text(body, "status")


def _refused(body: object, response: Response) -> errors.ProviderError:
    status = _status(body)
    kind = _STATUSES.get(status or "")
    if kind is None and _oauth_error(body) in _OF_TOKEN:
        kind = errors.AuthenticationFailed
    if kind is None and _yes(body):
        kind = errors.ProtocolError  # yes by the one and no by the other: who knows
    return _refusal(kind or _by_http(response.status), response, status)


def _by_http(status: int) -> type[errors.ProviderError]:
    if status == 403:
        return errors.PermissionDenied
    return errors.InvalidRequest if 400 <= status < 500 else errors.ProtocolError


def _refusal(
    kind: type[errors.ProviderError],
    response: Response,
    code: str | None = None,
    remedy: str = "",
    outcome: errors.Outcome | None = None,
) -> errors.ProviderError:
    wait = (retry_after(response) or _BLOCK) if kind is errors.RateLimited else None
    said = f"MyOnlineSim answered {response.status}" + (f" ({code})" if code else "") + remedy
    return kind(said, code=code, retry_after=wait, response=response, outcome=outcome)


# Tokens.


def _granted(response: Response) -> Any:
    """The body of a good answer to a request for tokens."""
    kind = _plain_refusal(response)
    if kind not in {None, errors.AuthenticationFailed}:
        raise _refusal(kind, response)
    body = _json(response) if response.ok else _or_nothing(response)
    error = _oauth_error(body)
    if kind or error:
        raise _refusal(errors.AuthenticationFailed, response, error, _remedy(error))
    if not response.ok:
        raise _refusal(_by_http(response.status), response)
    return body


def _or_nothing(response: Response) -> Any:
    try:
        return response.json()
    except errors.ProtocolError:
        return None


def _oauth_error(body: object) -> str | None:
    """The word of OAuth. A refusal of numbers has an `error` as well, which is an object."""
    return _text(body, "error")


def _remedy(error: str | None) -> str:
    if error in _OF_CLIENT:
        return ": client_id or client_secret is wrong; look them up on the site"
    return f": the code or refresh token is void; {_LOGIN}"


def _credential(body: object, response: Response, refresh_token: str) -> Credential:
    token = filled(body, "access_token")
    if not (token.isascii() and token.isprintable()):
        raise errors.ProtocolError("'access_token' cannot stand in a header")
    return Credential(
        token=token, expires_at=_token_end(body, response), refresh_token=refresh_token
    )


def _token_end(body: object, response: Response) -> datetime | None:
    """When the token ends, or None: no slip here may lose a refresh token that has rotated."""
    try:
        seconds = take(body, "expires_in", int)
        return response.received_at + timedelta(seconds=seconds) if seconds > 0 else None
    except (errors.ProtocolError, OverflowError):
        return None


# How its answers are read.


def _rials(body: object, key: str) -> Money:
    return Money(take(body, key, Decimal), "IRR")


def _listed(response: Response) -> list[Any]:
    """The items of a price list, which has no `ok`."""
    body = _body(response)
    found = _items(body) if response.ok else None
    if found is None:
        raise _refused(body, response)
    return found


def _items(body: object) -> list[Any] | None:
    """A list as documented; or [not documented] in `data`, or as an object keyed by number."""
    if isinstance(body, list):
        return body
    if not isinstance(body, Mapping) or ("ok" in body and not _yes(body)):
        return None
    if isinstance(body.get("data"), list):
        return take(body, "data", list)
    return list(body.values()) if body and all(map(str.isdecimal, body)) else None


def _offer(item: object, form: Mapping[str, str]) -> Offer:
    return Offer(
        service=form.get("service_code") or form["services"],
        country=filled(item, "code"),
        price=_rials(item, "price"),
        stock=take(item, "count", int),
        country_name=_text(item, "name") or "",
    )


def _numbers(response: Response) -> list[Any]:
    """What was given: one object, or a list with one for each service."""
    body = _body(response)
    items = _items(body)
    if items is None and not (response.ok and _yes(body)):
        raise _refused(body, response)
    return [body] if items is None else items


def _acquired(items: list[Any], order: NumberOrder, response: Response) -> Acquired:
    """Each item judged by its own `ok`, so that nothing that was paid for is lost."""
    activations: list[Activation] = []
    failures: dict[str, errors.ProviderError] = {}
    for service, item in _matched(items, order.services):
        try:
            activations.append(_activation(service, item, order, response))
        except errors.ProviderError as error:
            failures[service] = error
    if not activations:
        raise _gravest(failures)
    return Acquired(activations, failures)


def _matched(items: list[Any], services: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Each item with its service. A refusal names none [not documented]: then the next in order."""
    named = {_text(item, "service") for item in items}
    rest = iter([service for service in services if service not in named])
    for item in items:
        yield _text(item, "service") or next(rest, ""), item
    for service in rest:
        yield service, None


def _gravest(failures: Mapping[str, errors.ProviderError]) -> errors.ProviderError:
    """The one to raise: what is not known to be refused, before what is."""
    unclear = (error for error in failures.values() if error.outcome is None)
    return next(unclear, next(iter(failures.values())))


def _activation(service: str, item: Any, order: NumberOrder, response: Response) -> Activation:
    if item is None:
        raise errors.ProtocolError(f"{service}: the answer says nothing of it", response=response)
    number = _accepted(item, response)
    return Activation(
        id=filled(number, "number_id"),  # and not `id`, which no other call takes
        number=_international(filled(number, "number")),
        service=service,
        country=_text(number, "country") or order.country,
        acquired_at=response.received_at,
        expires_at=_number_end(number, response),
    )


def _text(item: object, key: str) -> str | None:
    """A text that is good to have, and no reason for an error."""
    value = item.get(key) if isinstance(item, Mapping) else None
    return value if isinstance(value, str) else None


def _international(number: str) -> str:
    return f"+{number}" if number.isascii() and number.isdigit() else number


def _number_end(item: object, response: Response) -> datetime:
    """15 minutes after the number was made. It is paid for: no slip of a date may lose it."""
    try:
        return moment(item, "created_at") + _LIFE
    except (errors.ProtocolError, OverflowError):
        return response.received_at + _LIFE


def _messages(body: object, number: str | None) -> list[InboundMessage]:
    """Not by `status`, which is "received" for a new number too: it takes the text itself.

    An empty one is none yet [not documented].
    """
    text = take(body, "sms", str)
    return [InboundMessage(text=text, to=number)] if text else []
