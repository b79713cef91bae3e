"""What must not be seen: keys and tokens, and the texts and codes of messages.

A secret that stands in the provider's own source as a default, as a sandbox's key does, is none.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

import attrs

from qasid.account import Account
from qasid.effects import Request, Response
from qasid.errors import ProviderError, QasidError
from qasid.fields import is_secret
from qasid_contract.case import CODE_TEXT, TEXT, Case
from qasid_contract.faults import NO_ANSWER, Fault
from qasid_contract.rulebook import rule
from qasid_contract.trials import Watch, words_of

_CODES: Final = ("471108", "٤٧١١٠٨")  # of CODE_TEXT
_ELSEWHERE: Final = "https://elsewhere.example/below/here"


def _private(case: Case) -> dict[str, str]:
    """The secret settings by name, but for public defaults."""
    provider = case.provider(**case.settings())
    secret = [field for field in attrs.fields(case.provider) if is_secret(field)]
    found = {field.name: (getattr(provider, field.name), field.default) for field in secret}
    return {name: value for name, (value, default) in found.items() if value != default}


def _wrong(case: Case) -> dict[str, str]:
    """Every secret setting with a value that nobody else has."""
    secret = [field.name for field in attrs.fields(case.provider) if is_secret(field)]
    given = {name: getattr(case.provider(**case.settings()), name) for name in secret}
    return {name: f"{value}-contract" for name, value in given.items() if isinstance(value, str)}


def _keys(case: Case, account: Account) -> list[str]:
    """The secret settings, and the tokens that the account was given."""
    if "authenticate" not in case.implemented:
        return [*_private(case).values()]
    credential = account.authenticate()
    tokens = (credential.token, credential.refresh_token)
    return [*_private(case).values(), *filter(None, tokens)]


def _contents(case: Case) -> list[str]:
    """The texts and codes that went to phones, or came from them."""
    codes = [item.code for item in case.emulator.outbox() if item.code]
    return [TEXT, CODE_TEXT, *_CODES, *codes]


def _told(words: Iterable[str], text: str) -> bool:
    """Whether one of the words is in the text; a code only as a number of its own."""
    return any(re.search(rf"(?<!\d){re.escape(word)}(?!\d)", text) for word in words)


def _calls(case: Case, *wrappers: object) -> Iterator[tuple[str, Account, Callable[[], Any]]]:
    """Each hook, ready to be called, on an account of its own."""
    for hook in case.asking_hooks():
        account = case.account_of(case.provider(**case.settings()), *wrappers)
        yield hook, account, case.prepared(hook, account)


def _echo(status: int, words: Iterable[str]) -> Fault:
    """A reply that repeats all that it should not, in a form that no document has."""
    words = [*words]
    body = json.dumps({"echo": words}, ensure_ascii=False).encode()
    headers = [("Content-Type", "application/json")]
    headers += [("X-Echo", word) for word in words if word.isascii()]
    response = Response(status=status, headers=headers, body=body)
    return Fault(name=f"an echo with status {status}", response=response)


def _failures(case: Case, words: Iterable[str]) -> list[Fault]:
    return [*(_echo(status, words) for status in (200, 400, 401, 500)), NO_ANSWER[0]]


@rule("SEC-1")
def nothing_shows_a_secret(case: Case) -> None:
    """No secret is in the `repr` or `str` of the provider, its account, its credential or results.

    Troubleshooting: make every key, password and token a field of `qasid.fields.secret()`, and
    leave `__repr__` to attrs. Do not carry secrets about in `Activation.extra` or in ids.
    """
    wrong = _wrong(case)
    provider = case.provider(**{**case.settings(), **wrong})
    for shown in (provider, case.account_of(provider)):
        told = _told(wrong.values(), f"{shown!r} {shown}")
        assert not told, f"the {type(shown).__name__} shows a secret"
    for hook, account, call in _calls(case):
        result = call()
        told = _told(_keys(case, account), f"{result!r} {result}")
        assert not told, f"the result of {hook} shows a secret"


@rule("SEC-2")
def logs_are_silent_on_secrets(case: Case) -> None:
    """No log record of any logger tells a secret, a token, a code or a message's text.

    Troubleshooting: log what was asked and what status came, never a body, a header, an address
    or a value that you were given; at DEBUG neither, as somebody runs that in production.
    """
    with _listening() as records:
        for hook, account, call in _calls(case):
            _performed(case, call, [*_keys(case, account), *_contents(case)])
            words = [*_keys(case, account), *_contents(case)]
            loud = [record.name for record in records if _told(words, _all_of(record))]
            assert not loud, f"{hook}: the logger {loud[0]!r} tells what it should not"
            records.clear()


def _performed(case: Case, call: Callable[[], Any], words: list[str]) -> None:
    """Let a call succeed, then fail in several ways."""
    call()
    for fault in _failures(case, words):
        with case.failing(fault), contextlib.suppress(QasidError):
            call()


class _Ears(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextlib.contextmanager
def _listening() -> Iterator[list[logging.LogRecord]]:
    """Every record that reaches the root logger, whatever its level."""
    root, ears = logging.getLogger(), _Ears(level=1)
    before = root.level
    root.addHandler(ears)
    root.setLevel(1)
    try:
        yield ears.records
    finally:
        root.setLevel(before)
        root.removeHandler(ears)


def _all_of(record: logging.LogRecord) -> str:
    """The text with its traceback, the arguments, and what `extra` adds."""
    extra = {name: value for name, value in vars(record).items() if name not in _USUAL}
    return f"{logging.Formatter().format(record)} {record.args} {extra}"


_USUAL: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime"})


@rule("SEC-3")
def errors_are_silent_on_secrets(case: Case) -> None:
    """No error tells a secret, a token, a code or a text, and none keeps a reply with a secret.

    Troubleshooting: never put a reply's body or its free text, or a value that you were given,
    into an error's words; say which field is wrong instead. Its `response` may be the reply: the
    core takes the account's secrets out of that, but only those that are settings or credentials.
    """
    watch = Watch()
    for hook, account, call in _calls(case, watch):
        keys = _keys(case, account)
        words = [*keys, *_contents(case)]
        for fault in _failures(case, words):
            with case.failing(fault):
                _check(hook, call, keys, [*words, *_contents(case)], watch)
    stranger = case.provider(**{**case.settings(), **_wrong(case)})
    calls, wrong = case.bare_calls(case.account_of(stranger, watch)), [*_wrong(case).values()]
    for hook in case.asking_hooks():
        _check(hook, calls[hook], wrong, wrong, watch)


def _check(
    hook: str, call: Callable[[], Any], keys: list[str], words: list[str], watch: Watch
) -> None:
    watch.said.clear()
    error = _raised(call)
    for own, said in watch.said:  # before the core took out what it knows of
        assert not _told(words, said), f"{hook}: the plugin's own {own} tells too much"
    kind = type(error).__name__
    assert not _told(words, words_of(error)), f"{hook}: the text of {kind} tells too much"
    assert not _told(keys, _reply_of(error)), f"{hook}: {kind} keeps a reply with a secret"


def _raised(call: Callable[[], Any]) -> QasidError | None:
    try:
        call()
    except QasidError as error:
        return error
    return None


def _reply_of(error: QasidError | None) -> str:
    if not isinstance(error, ProviderError) or error.response is None:
        return ""
    return f"{error.response.headers} {error.response.body.decode(errors='replace')}"


@rule("SEC-4")
def addresses_are_silent_on_secrets(case: Case) -> None:
    """No address of a request holds a secret, a token, a code or a message's text.

    Troubleshooting: addresses are written to the logs of every server on the way. Send such values
    in a header or in the body; where the document knows the query only, ask whether it takes a
    form as well.
    """
    for hook, account, call in _calls(case):
        call()
        words = [*_keys(case, account), *_contents(case)]
        for request in case.wire.requests:
            told = _told(words, f"{request.url} {unquote_plus(request.url)}")
            assert not told, f"{hook}: the address of a {request.method} request tells too much"


@attrs.frozen
class _Moved:
    """An emulator that answers at another address than the document's."""

    emulator: Any
    home: str

    def handle(self, request: Request) -> Response:
        below = request.url.removeprefix(_ELSEWHERE).lstrip("/")
        reply: Response = self.emulator.handle(attrs.evolve(request, url=f"{self.home}/{below}"))
        return reply


@rule("SEC-5")
def requests_go_home(case: Case) -> None:
    """Every request goes to `base_url` and below its path, also when that is set to another.

    Troubleshooting: write `f"{self.base_url}/path"` for every address, in every hook. `urljoin`
    with a leading slash drops the path of the base, and a constant drops all of it. The field is
    best made by `qasid.fields.base_url`, which takes a slash at the end away.
    """
    home = case.provider(**case.settings()).base_url.rstrip("/")
    case.wire.emulator = _Moved(case.emulator, home)  # type: ignore[assignment]
    for hook in case.asking_hooks():
        case.prepared(hook, case.account(base_url=f"{_ELSEWHERE}/"))()
        for request in case.wire.requests:
            assert request.url.startswith(f"{_ELSEWHERE}/"), f"{hook} asks {request.origin}"
            below = request.path.removeprefix(urlsplit(_ELSEWHERE).path)
            assert not below.startswith("//"), f"{hook}: two slashes after the base"
