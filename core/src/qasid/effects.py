"""What a flow may ask of the world, and the two values that cross the wire.

A *flow* is a generator: it yields effects, is sent what they give, and returns its result.
A provider's flow yields nothing but `Request`; the core's own flows yield any `Effect`.
"""

from __future__ import annotations

import functools
import json as jsonlib
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NoReturn, TypeAlias, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import attrs

from qasid._version import VERSION
from qasid.errors import InvalidRequest, ProtocolError

__all__ = ["Call", "Effect", "Flow", "Now", "Request", "Response", "Sleep", "Tick", "Wait", "segment"]

T = TypeVar("T")
Pairs: TypeAlias = tuple[tuple[str, str], ...]

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"


def _pairs(given: Mapping[str, Any] | Iterable[tuple[str, Any]] | None) -> Pairs:
    items = given.items() if isinstance(given, Mapping) else given or ()
    return tuple((name, str(value)) for name, value in items)


def _optional_pairs(given: Mapping[str, Any] | Iterable[tuple[str, Any]] | None) -> Pairs | None:
    return None if given is None else _pairs(given)


def _find(headers: Pairs, name: str) -> str | None:
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


def segment(text: str) -> str:
    """Percent-encode one path segment, so that it cannot leave its place.

    Raises `InvalidRequest` for the empty text and for ``.`` and ``..``, which clients and servers
    resolve even when they are encoded.
    """
    if text in {"", ".", ".."}:
        raise InvalidRequest(f"{text!r} cannot stand in an address; pass the id as it was given")
    return quote(text, safe="")


@attrs.frozen(kw_only=True, repr=False)
class Request:
    """One HTTP request, in one of two states.

    As a provider makes it: `query`, `headers` and at most one of `json`, `form` and `multipart`.
    As it goes over the wire, after `encode()`: everything is in `url`, `headers` and `content`.

    `safe` says that it may be repeated, as it changes nothing; by default the method decides.
    """

    method: str
    url: str
    query: Pairs = attrs.field(default=(), converter=_pairs)
    headers: Pairs = attrs.field(default=(), converter=_pairs)
    json: Any = None
    form: Pairs | None = attrs.field(default=None, converter=_optional_pairs)
    multipart: Pairs | None = attrs.field(default=None, converter=_optional_pairs)
    content: bytes | None = None
    safe: bool = attrs.field(
        default=attrs.Factory(lambda self: self.method in _SAFE_METHODS, takes_self=True)
    )

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.origin}{self.path}>"

    @property
    def origin(self) -> str:
        """Scheme, host and port, in lower case."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}".lower()

    @property
    def path(self) -> str:
        """The path, still percent-encoded."""
        return urlsplit(self.url).path

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case, or None."""
        return _find(self.headers, name)

    def encode(self) -> Request:
        """The same request as bytes: the address whole, the headers complete, the body as `content`."""
        if self.content is not None:
            return self
        media_type, body = self._body()
        headers = [("Host", urlsplit(self.url).netloc), *_STANDING_HEADERS, *self.headers]
        headers += [("Content-Type", media_type)] if media_type else []
        headers += [("Content-Length", str(len(body)))] if body or not self._bodiless else []
        return Request(
            method=self.method, url=self._address(), headers=headers, content=body, safe=self.safe
        )

    @property
    def _bodiless(self) -> bool:
        return self.method in _SAFE_METHODS or self.method == "DELETE"

    def _address(self) -> str:
        if not self.query:
            return self.url
        mark = "&" if "?" in self.url else "?"
        return f"{self.url}{mark}{urlencode(self.query)}"

    def _body(self) -> tuple[str | None, bytes]:
        if self.json is not None:
            return _JSON, _dump(self.json)
        if self.form is not None:
            return _FORM, urlencode(self.form).encode("ascii")
        if self.multipart is not None:
            return _multipart(self.multipart)
        return None, b""

    # The receiving side: emulators and webhooks read what came.

    def params(self) -> dict[str, str]:
        """The query of a received request; the last one of a name wins."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    def payload(self) -> dict[str, Any]:
        """The members of a received body (JSON object, form or multipart); empty where unreadable."""
        kind = (self.header("Content-Type") or "").split(";")[0].strip().lower()
        reader = {_JSON: _read_json, _FORM: _read_form, _MULTIPART: self._read_multipart}.get(kind)
        return reader(self.content or b"") if reader else {}

    def _read_multipart(self, body: bytes) -> dict[str, Any]:
        from email import message_from_bytes  # late: only emulators and webhooks come here

        head = f"Content-Type: {self.header('Content-Type')}\r\n\r\n".encode()
        parts = message_from_bytes(head + body).get_payload()
        named = [(p.get_param("name", header="content-disposition"), p) for p in _messages(parts)]
        return {str(name): _part_text(part) for name, part in named if name}


#: Sent with every request, in this order, by every driver. Replies are small, so they are asked for
#: uncompressed: it is cheaper, and a compressed reply cannot unpack to more than the body cap.
_STANDING_HEADERS: Final = (
    ("User-Agent", f"qasid/{VERSION}"),
    ("Accept-Encoding", "identity"),
)


def _dump(value: Any) -> bytes:
    return jsonlib.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _multipart(fields: Pairs) -> tuple[str, bytes]:
    text = "".join(f"{name}\0{value}\0" for name, value in fields)
    boundary = uuid.uuid5(uuid.NAMESPACE_OID, text).hex  # of the content: equal requests, equal bytes
    parts = [_part(boundary, name, value) for name, value in fields]
    return f"{_MULTIPART}; boundary={boundary}", b"".join([*parts, f"--{boundary}--\r\n".encode()])


def _part(boundary: str, name: str, value: str) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{quote(name, safe="[]")}"'
    return f"--{boundary}\r\n{disposition}\r\n\r\n{value}\r\n".encode()


def _messages(payload: Any) -> Sequence[Any]:
    return payload if isinstance(payload, list) else ()


def _part_text(part: Any) -> str:
    raw = part.get_payload(decode=True)
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        value = jsonlib.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _read_form(body: bytes) -> dict[str, Any]:
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


@attrs.frozen(kw_only=True, repr=False)
class Response:
    """One HTTP reply. `received_at` is aware UTC, stamped by the driver's clock."""

    status: int
    headers: Pairs = attrs.field(default=(), converter=_pairs)
    body: bytes = b""
    received_at: datetime = attrs.field(factory=lambda: datetime.now(UTC))

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes>"

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case, or None."""
        return _find(self.headers, name)

    def json(self) -> Any:
        """The body read as JSON, fractions as `Decimal`. Raises `ProtocolError`."""
        try:
            return _loads(self.body)
        except (ValueError, RecursionError):
            raise ProtocolError(
                f"the reply (status {self.status}) is not JSON", response=self
            ) from None


_loads = functools.partial(jsonlib.loads, parse_float=Decimal, parse_constant=_no_constant)


@attrs.frozen
class Sleep:
    """Wait that many seconds. Gives None."""

    seconds: float


@attrs.frozen
class Now:
    """The wall clock. Gives an aware UTC `datetime`."""


@attrs.frozen
class Tick:
    """A clock that never goes back. Gives seconds as `float`, from an unnamed start."""


@attrs.frozen
class Call:
    """A blocking call, such as a write to a file. Gives what it returns."""

    function: Callable[[], Any]


@attrs.frozen
class Wait:
    """Wait for what another flow will tell. Gives the future's result, or raises its error."""

    future: Future[Any]


Effect: TypeAlias = Request | Sleep | Now | Tick | Call | Wait
Flow: TypeAlias = Generator[Effect, Any, T]

