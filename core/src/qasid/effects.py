"""What a flow may ask of the world, and the two values that cross the wire.

A *flow* is a generator: it yields effects, is sent what they give, and returns its result.
A provider's flow yields nothing but `Request`; the core's own flows yield any `Effect`.
"""

from __future__ import annotations

import json as jsonlib
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, TypeVar
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import attrs

from qasid._version import VERSION
from qasid.errors import InvalidRequest, ProtocolError

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "Call",
    "Effect",
    "Flow",
    "Now",
    "Request",
    "Response",
    "Sleep",
    "Tick",
    "Wait",
    "Whole",
    "segment",
]

T = TypeVar("T")
Pairs: TypeAlias = tuple[tuple[str, str], ...]

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"


class _Texts(tuple[tuple[str, str], ...]):
    """Pairs that are known to be texts."""

    __slots__ = ()


#: The usual one first: to ask an abstract class takes long.
_MAPPING: Final = (dict, Mapping)


def _pairs(given: Mapping[str, Any] | Iterable[tuple[str, Any]] | None) -> Pairs:
    if type(given) is _Texts:
        return given
    items = given.items() if isinstance(given, _MAPPING) else given or ()
    return _Texts([(name, str(value)) for name, value in items])


_NONE: Final = _Texts()


def _optional_pairs(given: Mapping[str, Any] | Iterable[tuple[str, Any]] | None) -> Pairs | None:
    return None if given is None else _pairs(given)


def _find(headers: Pairs, name: str) -> str | None:
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


def segment(text: str) -> str:
    """Percent-encode one path segment, so that it cannot leave its place.

    Raises `InvalidRequest` for the empty text, for ``.`` and ``..``, which clients and servers
    resolve even when they are encoded, and for half a character.
    """
    if text in {"", ".", ".."}:
        raise InvalidRequest(f"{text!r} cannot stand in an address; pass the id as it was given")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise _cut() from None


def _cut() -> InvalidRequest:
    """A text cut within an emoji cannot be sent; Python's own error would hold the whole of it."""
    return InvalidRequest("a text holds half a character (a lone surrogate)")


# Without slots, which take longer to fill: two are made for each send, and none is kept.
@attrs.frozen(kw_only=True, repr=False, slots=False)
class Request:
    """One HTTP request, in one of two states.

    As a provider makes it: `query`, `headers` and at most one of `json`, `form` and `multipart`.
    As it goes over the wire, after `encode()`: everything is in `url`, `headers` and `content`.

    `safe` says that it may be repeated, as it changes nothing; by default the method decides.
    """

    method: str
    url: str
    query: Pairs = attrs.field(default=_NONE, converter=_pairs)
    headers: Pairs = attrs.field(default=_NONE, converter=_pairs)
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
        """The same request as bytes: the address whole, the headers complete, a body in `content`.

        A header that the request has already is not added. Raises `InvalidRequest` for a text that
        holds half a character.
        """
        if self.content is not None:
            return self
        try:
            url, (media_type, body) = self._address(), self._body()
        except UnicodeEncodeError:
            raise _cut() from None
        headers = self._complete(media_type, body)
        return Request(method=self.method, url=url, headers=headers, content=body, safe=self.safe)

    def _complete(self, media_type: str | None, body: bytes) -> Pairs:
        before = [("Host", urlsplit(self.url).netloc), *_STANDING_HEADERS]
        after = [("Content-Type", media_type)] if media_type else []
        if body or not self._bodiless:
            after.append(("Content-Length", str(len(body))))
        own = self.headers
        if own and (given := _ADDED.intersection([name.lower() for name, _ in own])):
            before, after = _absent(before, given), _absent(after, given)
        return _Texts([*before, *own, *after])

    @property
    def _bodiless(self) -> bool:
        return self.method in _SAFE_METHODS or self.method == "DELETE"

    def _address(self) -> str:
        if not self.query:
            return self.url
        mark = "&" if "?" in self.url else "?"
        return f"{self.url}{mark}{_form(self.query)}"

    def _body(self) -> tuple[str | None, bytes]:
        if self.json is not None:
            return _JSON, _dump(self.json)
        if self.form is not None:
            return _FORM, _form(self.form).encode("ascii")
        if self.multipart is not None:
            return _multipart(self.multipart)
        return None, b""

    # The receiving side: emulators and webhooks read what came.

    def params(self) -> dict[str, str]:
        """The query of a received request; the last one of a name wins."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    def payload(self) -> dict[str, Any]:
        """The members of a received body: JSON object (fractions as `Decimal`), form or multipart.

        The last one of a name wins. Empty where the body cannot be read.
        """
        kind = (self.header("Content-Type") or "").split(";")[0].strip().lower()
        reader = {_JSON: _read_json, _FORM: _read_form, _MULTIPART: self._read_multipart}.get(kind)
        return reader(self.content or b"") if reader else {}

    def _read_multipart(self, body: bytes) -> dict[str, Any]:
        found = _BOUNDARY.search(self.header("Content-Type") or "")
        if not found:
            return {}
        line = f"\r\n--{found[1] or found[2]}".encode()
        return dict(_read_parts((b"\r\n" + body).split(line)[1:]))


#: Sent with every request, in this order, by every driver. Replies are small, so they are asked for
#: uncompressed: it is cheaper, and a compressed reply cannot unpack to more than the body cap.
_STANDING_HEADERS: Final = (
    ("User-Agent", f"qasid/{VERSION}"),
    ("Accept-Encoding", "identity"),
)

_ADDED: Final = frozenset(
    {"host", "user-agent", "accept-encoding", "content-type", "content-length"}
)


def _absent(headers: list[tuple[str, str]], given: frozenset[str]) -> list[tuple[str, str]]:
    return [pair for pair in headers if pair[0].lower() not in given]


def _form(pairs: Pairs) -> str:
    """As `urlencode`, which takes three calls for a text that needs no escape."""
    return "&".join([f"{_escaped(name)}={_escaped(value)}" for name, value in pairs])


def _escaped(text: str) -> str:
    return text if _SAFE_TEXT.fullmatch(text) else quote_plus(text)


_SAFE_TEXT: Final = re.compile("[A-Za-z0-9_.~-]*")  # one set, which is faster than classes

_written = jsonlib.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _dump(value: Any) -> bytes:
    return _written(value).encode()


def _multipart(fields: Pairs) -> tuple[str, bytes]:
    import uuid  # late: few requests have parts

    text = "".join(f"{name}\0{value}\0" for name, value in fields)
    boundary = uuid.uuid5(uuid.NAMESPACE_OID, text).hex  # equal requests have equal bytes
    parts = [_part(boundary, name, value) for name, value in fields]
    return f"{_MULTIPART}; boundary={boundary}", b"".join([*parts, f"--{boundary}--\r\n".encode()])


def _part(boundary: str, name: str, value: str) -> bytes:
    for character, escaped in _ESCAPES.items():
        name = name.replace(character, escaped)
    disposition = f'Content-Disposition: form-data; name="{name}"'
    return f"--{boundary}\r\n{disposition}\r\n\r\n{value}\r\n".encode()


def _read_parts(parts: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    for part in parts:
        head, _, value = part.partition(b"\r\n\r\n")
        found = _NAME.search(head)
        if found:
            yield _unescaped(found[1]), value.decode("utf-8", "replace")


def _unescaped(name: bytes) -> str:
    text = name.decode("utf-8", "replace")
    for character, escaped in _ESCAPES.items():
        text = text.replace(escaped, character)
    return text


# Names are written as browsers write them: all but these three characters as they are.
_ESCAPES: Final = {'"': "%22", "\r": "%0D", "\n": "%0A"}
_BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]+)"|([^";\s]+))', re.IGNORECASE)
_NAME: Final = re.compile(rb'content-disposition:[^\r\n]*[;\s]name="([^"]*)"', re.IGNORECASE)


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        value = _loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _read_form(body: bytes) -> dict[str, Any]:
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("its exponent is beyond all measure") from None


def _loads(body: bytes) -> Any:
    if _too_deep(body):
        raise ValueError("it is nested too deep")
    # As `json.loads`, whose decoder is made anew for each call.
    return _read(body.decode(_encoding(body), "surrogatepass"))


_read = jsonlib.JSONDecoder(parse_float=_fraction, parse_constant=_no_constant).decode


def _encoding(body: bytes) -> str:
    """As `json.detect_encoding`, which looks at many beginnings before that of most replies."""
    plain = body[:1] in b"{[" and body[1:2] != b"\0"
    return "utf-8" if plain else jsonlib.detect_encoding(body)


#: Levels of nesting. Not the parser's own end: that is the end of the stack, where whatever Python
#: happens to tidy up just then fails as well.
_DEEPEST: Final = 100
_NESTING: Final = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|[\[{]|[\]}]', re.DOTALL)


def _too_deep(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= _DEEPEST:
        return False
    depth = 0
    for found in _NESTING.finditer(body):
        depth += _STEPS.get(found[0], 0)
        if depth > _DEEPEST:
            return True
    return False


_STEPS: Final = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


@attrs.frozen(kw_only=True, repr=False)
class Response:
    """One HTTP reply. `received_at` is aware UTC, stamped by the driver's clock."""

    status: int
    headers: Pairs = attrs.field(default=_NONE, converter=_pairs)
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
        except ValueError:
            raise ProtocolError(
                f"the reply (status {self.status}) is not JSON", response=self
            ) from None


@attrs.frozen
class Sleep:
    """Wait that many seconds. Gives None."""

    seconds: float


@attrs.frozen(init=False)
class Now:
    """The wall clock. Gives an aware UTC `datetime`."""


@attrs.frozen(init=False)
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


@attrs.frozen
class Whole:
    """Another flow, run to its end though whoever waits for it is interrupted. Gives its result.

    The interruption comes after that: for what would be lost if it was done by halves.
    """

    flow: Flow[Any]


Effect: TypeAlias = Request | Sleep | Now | Tick | Call | Wait | Whole
Flow: TypeAlias = Generator[Effect, Any, T]
