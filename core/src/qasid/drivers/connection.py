"""What both transports know of a provider's address: how it is reached, and how a failure is told.

The environment (proxies, certificate authorities) is read once, when an account is opened. A
`.netrc` file is never read, and certificates are always verified: there is no switch for it.
"""

from __future__ import annotations

import errno
import functools
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

import attrs

from qasid.effects import Request
from qasid.errors import ConnectFailed, InvalidRequest, NoAnswer, PluginError, ProtocolError

__all__ = [
    "CONNECT_TIMEOUT",
    "IDLE_TIMEOUT",
    "MAX_BODY",
    "POOL_SIZE",
    "TIMEOUT",
    "Endpoint",
    "header_lines",
    "written",
]

CONNECT_TIMEOUT: Final = 10.0  # seconds
TIMEOUT: Final = 30.0  # seconds
# Many servers close after a minute or so, some after five seconds. What is sent just then is lost.
IDLE_TIMEOUT: Final = 15.0  # seconds
MAX_BODY: Final = 1_048_576  # bytes
POOL_SIZE: Final = 10  # connections

_CA_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_PORTS: Final = {"https": 443, "http": 80}

# It is sent as it is. Were it not whole and canonical, servers and proxies would rewrite it, each
# in its own way.
_TARGET: Final = re.compile(r"/(?:[-A-Za-z0-9_.~!$&'()*+,;=:@/?]++|%[0-9A-F]{2})*+")
# Of what is not ASCII, nobody knows how it is read; a line break would smuggle a header.
_TEXT: Final = re.compile(r"[\t -~]*")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_!#$%&'*+.^`|~-]+")

_UNREACHED: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (ssl.SSLCertVerificationError, "has a certificate that is not trusted"),
    (ssl.SSLError, "could not agree with us on TLS"),
    (socket.gaierror, "has a name that cannot be resolved"),
    (ConnectionRefusedError, "refused the connection"),
    (TimeoutError, "let us wait too long for a connection"),
    (Exception, "could not be reached"),
)
_NO_SOCKET: Final = "could not be reached, as this process has too many files open (ulimit -n)"
_UNANSWERED: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (TimeoutError, "did not answer in time"),
    (ConnectionError, "broke the connection before the whole answer"),
    (Exception, "gave no whole answer that can be read"),
)


@attrs.frozen(eq=False)
class Endpoint:
    """Where one account's requests go.

    `origin` is scheme, host and port in lower case; `proxy` an address or None; `tls` None where
    the origin is ``http://``.
    """

    origin: str
    proxy: str | None
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, base_url: str) -> Endpoint:
        """The endpoint of `base_url`, with what the environment says about it now.

        Raises `ValueError` for anything but ``https://``, or ``http://`` to this very machine.
        """
        parts = _checked(base_url)
        local = _is_local(parts.hostname or "")
        return cls(
            origin=f"{parts.scheme}://{parts.netloc}".lower(),
            # A plain request to this machine would leave it by a proxy, and be read on the way.
            proxy=None if local else _proxy(base_url),
            tls=_tls(_ca_file()) if parts.scheme == "https" else None,
        )

    def __str__(self) -> str:
        """``host:port``, as the messages of errors have it."""
        through = f" (through the proxy {_place(self.proxy)})" if self.proxy else ""
        return f"{_place(self.origin)}{through}"

    def target(self, request: Request) -> str:
        """What stands in the request line: the path and the query of an encoded request.

        Raises `PluginError` where it leads to another origin, and `InvalidRequest` where it is not
        percent-encoded as RFC 3986 has it, with capital hexadecimal digits, or the method no word.
        """
        known = request.url.startswith(f"{self.origin}/")
        if not known and request.origin != self.origin:
            raise PluginError(f"a request to {request.origin} came from the account of {self}")
        rest = request.url[len(self.origin) :]
        target = rest if rest.startswith("/") else f"/{rest}"
        if not _TARGET.fullmatch(target):
            raise InvalidRequest("the address holds characters that must be percent-encoded")
        if not _TOKEN.fullmatch(request.method):
            raise InvalidRequest("the method holds characters that cannot be sent")
        return target

    def unreached(self, error: BaseException) -> ConnectFailed:
        """The error for a request that never left."""
        reason = next((r for c in _causes(error) if (r := getattr(c, "verify_message", ""))), "")
        detail = f": {reason}" if reason else ""
        words = _NO_SOCKET if _is_out_of_files(error) else _words(_UNREACHED, error)
        return ConnectFailed(f"{self} {words}{detail}")

    def unanswered(self, error: BaseException) -> NoAnswer:
        """The error for a request that left, at least in part."""
        return NoAnswer(f"{self} {_words(_UNANSWERED, error)}")

    def too_long(self, cap: int) -> ProtocolError:
        """The error for a reply over the cap of that many bytes."""
        return ProtocolError(f"{self} answered with more than {cap} bytes")


def header_lines(request: Request) -> dict[str, str]:
    """The headers of an encoded request; where a name comes twice, the later value.

    Raises `InvalidRequest` for anything but printable ASCII.
    """
    headers = dict(request.headers)
    if all(map(_TOKEN.fullmatch, headers)) and _TEXT.fullmatch("".join(headers.values())):
        return headers
    wrong = next(
        name
        for name, text in headers.items()
        if not (_TOKEN.fullmatch(name) and _TEXT.fullmatch(text))
    )
    raise InvalidRequest(f"the header {wrong!a} holds characters that cannot be sent")


def written(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """A request as it crosses the wire, in one piece: in two it takes twice the work."""
    lines = [f"{method} {target} HTTP/1.1", *map(": ".join, headers.items()), "", ""]
    return "\r\n".join(lines).encode("ascii") + (body or b"")


def _checked(base_url: str) -> SplitResult:
    parts = urlsplit(base_url)
    if parts.scheme not in _PORTS or not parts.hostname or not parts.netloc.isascii():
        raise ValueError("the address must be https://, a host name in ASCII, and a path")
    if "@" in parts.netloc:
        raise ValueError("the address must not hold a user name or a password")
    if parts.scheme == "http" and not _is_local(parts.hostname):
        raise ValueError(f"use https:// for {parts.hostname}: http:// shows the account's secrets")
    return parts


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _place(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or _PORTS.get(parts.scheme, 1080)}"


def _proxy(base_url: str) -> str | None:
    if not getproxies():  # the common case; requests takes a tenth of a second to import
        return None
    from requests import utils

    proxy = utils.select_proxy(base_url, utils.get_environ_proxies(base_url))
    return proxy if "://" in (proxy or "://") else f"http://{proxy}"


def _ca_file() -> str:
    named = next((os.environ[name] for name in _CA_VARIABLES if os.environ.get(name)), None)
    if named is None:
        from certifi import where  # what requests verifies with

        return where()
    return os.path.abspath(named)  # noqa: PTH100 (a cache key, and no file is touched)


@functools.cache
def _tls(ca_file: str) -> ssl.SSLContext:
    """One for the whole process: to read the authorities takes longer than ten requests."""
    folder = os.path.isdir(ca_file)  # noqa: PTH112
    try:
        context = ssl.create_default_context(
            cafile=None if folder else ca_file, capath=ca_file if folder else None
        )
    except OSError:  # also `ssl.SSLError`
        raise ValueError(f"the certificate authorities in {ca_file} cannot be read") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_out_of_files(error: BaseException) -> bool:
    full = {errno.EMFILE, errno.ENFILE}
    return any(isinstance(each, OSError) and each.errno in full for each in _causes(error))


def _words(table: tuple[tuple[type[BaseException], str], ...], error: BaseException) -> str:
    chain = tuple(_causes(error))
    return next(text for kind, text in table if any(isinstance(cause, kind) for cause in chain))
