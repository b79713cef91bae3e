"""`qasid webhook`: from an address that nobody can guess to the message, over real sockets."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from qasid import errors
from qasid.cli import listening
from qasid.cli.exits import CLOSED_OUTPUT, EXIT_CODES
from qasid.drivers.http_sync import RequestsTransport
from qasid.effects import Request
from qasid.serving import serve
from qasid_myonlinesim.emulator import MyOnlineSimEmulator

from .commandline import KEY, Command, Process, process, settle

ACCOUNT: Final = ("--account", "myonlinesim")
SERVE: Final = ("webhook", "serve", "--port", "0")


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    settle(monkeypatch, tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[MyOnlineSimEmulator]:
    """MyOnlineSim on a port, and an environment in which it is the one account."""
    emulator = MyOnlineSimEmulator()
    with serve(emulator) as server:
        for name, value in {"base_url": server.url, **emulator.settings}.items():
            monkeypatch.setenv(f"QASID_MYONLINESIM_{name}".upper(), value)
        yield emulator


@contextlib.contextmanager
def server(*words: str, **streams: Any) -> Iterator[tuple[Process, str]]:
    """The server as a process, and where it listens."""
    with process(*SERVE, *words, **streams) as running:
        said = running.hear("Listening at")
        yield running, said.split()[2].rstrip(";")


def stopped(running: Process) -> Any:
    """Its end, by a signal."""
    running.popen.send_signal(signal.SIGTERM)
    return running.ended()


def post(request: Request) -> int:
    """The status that an HTTP client sees."""
    with contextlib.closing(RequestsTransport(request.origin)) as transport:
        return transport.send(request.encode()).status


def text(url: str, said: str) -> Request:
    """What MyOnlineSim posts."""
    return Request(method="POST", url=url, json={"ok": True, "status": "received", "sms": said})


def used(tmp_path: Path) -> list[int]:
    """For each rental, whether its provider has seen it used."""
    file = tmp_path / "state" / "qasid" / "rentals.sqlite3"
    with contextlib.closing(sqlite3.connect(file)) as book:
        return [row[0] for row in book.execute("SELECT used FROM rental")]


# From the order to the message.


def test_a_message_that_was_answered_with_200_survives_a_kill(
    qasid: Command, emulator: MyOnlineSimEmulator, tmp_path: Path
) -> None:
    """It is to the number that was rented with that address, and the number counts as used."""
    with server() as (running, _):
        url = qasid("webhook", "new").out.strip()
        rented = qasid("rent", "tg", "60", "--callback", url, "--timeout", "0", "--keep")
        assert EXIT_CODES[errors.WaitTimeout] == rented.code
        (number,) = emulator.activations()
        emulator.deliver(number.id, "رمز: ۴۷۱۱")
        (posted,) = emulator.webhooks()
        assert 200 == post(posted)
        running.popen.kill()
        assert -signal.SIGKILL == running.ended().code
    (found,) = qasid("webhook", "messages", "--json").data
    assert ("message", "4711") == (found["kind"], found["code"])
    assert ("رمز: ۴۷۱۱", f"+{number.number.lstrip('+')}") == (
        found["item"]["text"],
        found["item"]["to"],
    )
    assert number.id == found["hook"]["activation"]["id"]
    assert [1] == used(tmp_path)


def test_who_posts_what_is_answered_as_it_deserves(
    qasid: Command, emulator: MyOnlineSimEmulator
) -> None:
    """Over a real connection: a duplicate, another path, too much, nonsense, another method."""
    with server() as (running, base):
        url = qasid("webhook", "new").out.strip()
        assert url.startswith(f"{base}/hook/")
        statuses = [
            post(text(url, "code 4711")),
            post(text(url, "code 4711")),
            post(text(f"{base}/hook/{'A' * 43}", "code 4711")),
            post(text(url, "x" * 70_000)),
            post(text(url, "x" * 3_000_000)),
            post(Request(method="POST", url=url, json={"hello": 1})),
            post(Request(method="GET", url=url)),
        ]
        ended = stopped(running)
    assert [200, 200, 404, 413, 413, 400, 405] == statuses
    assert (0, "") == (ended.code, ended.out)
    assert ["code 4711"] == [m["item"]["text"] for m in qasid("webhook", "messages", "--json").data]
    token = url.rpartition("/")[2]
    assert [] == [secret for secret in (token, "4711") if secret in ended.err]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_the_ordinary_end(number: signal.Signals) -> None:
    """And quick."""
    with server() as (running, _):
        running.popen.send_signal(number)
        ended = running.ended()
    assert (0, "") == (ended.code, ended.out)


def test_messages_are_printed_as_they_come(qasid: Command, emulator: MyOnlineSimEmulator) -> None:
    """On stdout, in columns; a duplicate is not."""
    with server("--print") as (running, _):
        url = qasid("webhook", "new").out.strip()
        assert [200] * 3 == [post(text(url, said)) for said in ("code 4711", "code 4711", "hi")]
        ended = stopped(running)
    first, second = ended.out.splitlines()
    assert ["", "4711", "code 4711"] == first.split("  ")[1:]
    assert ["", "", "hi"] == second.split("  ")[1:]


def test_messages_are_printed_as_json_too(qasid: Command) -> None:
    """One line each, at once; the sandbox posts a message or a report."""
    report = {"id": "r1", "state": "delivered", "at": "2026-01-01T00:00:00+00:00"}
    with server("--print", "--json") as (running, _):
        url = qasid("webhook", "new", "--account", "sandbox", "--label", "mine", "--json").data
        body = {"event": "delivery", "data": report}
        assert 200 == post(Request(method="POST", url=url["url"], json=body))
        assert running.popen.stdout is not None
        line = running.popen.stdout.readline()
        stopped(running)
    (kept,) = qasid("webhook", "messages", "--json").data
    assert '"kind": "report"' in line
    assert ("r1", "mine") == (kept["item"]["receipt_id"], kept["hook"]["label"])
    assert ["delivered", "r1"] == qasid("webhook", "messages").out.split()[2:]


def test_the_server_ends_when_nobody_reads_what_it_prints(
    qasid: Command, emulator: MyOnlineSimEmulator
) -> None:
    """As in `qasid webhook serve --print | head -1`; the message is kept and answered with 200."""
    reader, writer = os.pipe()
    with server("--print", stdout=writer) as (running, _):
        os.close(writer)
        os.close(reader)
        url = qasid("webhook", "new").out.strip()
        assert 200 == post(text(url, "code 4711"))
        assert CLOSED_OUTPUT == running.ended().code
    assert ["4711"] == [m["code"] for m in qasid("webhook", "messages", "--json").data]


def test_messages_are_kept_for_a_day_unless_told(
    qasid: Command, emulator: MyOnlineSimEmulator
) -> None:
    """Here for a moment: the next start finds none."""
    with server() as (running, _):
        assert 200 == post(text(qasid("webhook", "new").out.strip(), "code 4711"))
        stopped(running)
    assert 1 == len(qasid("webhook", "messages", "--json").data)
    with server("--keep", "0.000001") as (running, _):
        stopped(running)
    assert [] == qasid("webhook", "messages", "--json").data
    assert "Nothing has come.\n" == qasid("webhook", "messages").err


# Addresses.


def test_an_address_for_a_number_that_is_rented_is_its_own(
    qasid: Command, emulator: MyOnlineSimEmulator
) -> None:
    """It is listed with it, and without its secret."""
    qasid("rent", "tg", "60", "--timeout", "0", "--keep")
    (number,) = emulator.activations()
    words = ["--activation", number.id, "--public-url", "https://my.example/in/", "--for", "60"]
    made = qasid("webhook", "new", *words, "--json")
    token = made.data["url"].removeprefix("https://my.example/in/hook/")
    assert (0, 43, "myonlinesim", number.id) == (
        made.code,
        len(token),
        made.data["account"],
        made.data["activation"],
    )
    listed, data = qasid("webhook", "list"), qasid("webhook", "list", "--json")
    assert ["1", "myonlinesim", number.id] == listed.out.splitlines()[1].split()[:3]
    assert number.id == data.data[0]["activation"]["id"]
    assert token not in listed.out + data.out


def test_there_may_be_no_address(qasid: Command) -> None:
    """It says how to make one."""
    ended = qasid("webhook", "list")
    assert (0, "") == (ended.code, ended.out)
    assert "make one with: qasid webhook new" in ended.err


def test_where_the_server_is_must_be_known(qasid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a server that was begun, or told."""
    ended = qasid("webhook", "new", "--account", "sandbox")
    assert (2, "") == (ended.code, ended.out)
    assert "say --public-url, or run qasid webhook serve first" in ended.err


@pytest.mark.parametrize(
    "url", ["http://my.example", "ftp://my.example", "my.example", "https://a@my.example", ""]
)
@pytest.mark.parametrize("words", [("new", "--account", "sandbox"), ("serve", "--port", "0")])
def test_an_address_in_the_clear_is_a_wrong_use(
    qasid: Command, words: tuple[str, ...], url: str
) -> None:
    """Codes would pass by others."""
    ended = qasid("webhook", *words, "--public-url", url)
    assert (2, "") == (ended.code, ended.out)
    assert "Invalid value for '--public-url': must b" in ended.err


def test_a_provider_that_posts_nothing_gets_no_address(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that do are named."""
    monkeypatch.setenv("QASID_SMSARAB_API_KEY", KEY)
    ended = qasid("webhook", "new", "--account", "smsarab", "--public-url", "https://my.example")
    assert EXIT_CODES[errors.UnsupportedOperation] == ended.code
    assert "smsarab has no parse_webhook; installed providers that have: myonlinesim" in ended.err


# Listening.


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "my.example", ""])
def test_to_listen_beyond_this_machine_needs_a_proxy(qasid: Command, host: str) -> None:
    """As there is no TLS here. Nothing listens."""
    ended = qasid("webhook", "serve", "--host", host)
    assert (2, "") == (ended.code, ended.out)
    assert "put a proxy with TLS before it and say --behind-proxy" in ended.err


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_this_machine_alone_is_known_by_its_addresses(host: str) -> None:
    """All of them."""
    assert listening.is_loopback(host)


def test_behind_a_proxy_the_public_address_is_the_one_to_give(qasid: Command) -> None:
    """Where it is not told, none is: it cannot be guessed."""
    with server("--host", "0.0.0.0", "--behind-proxy") as (running, _):
        stopped(running)
    assert "providers reach it at an address that was not told." in running.heard
    assert 2 == qasid("webhook", "new", "--account", "sandbox").code
    with server("--host", "0.0.0.0", "--behind-proxy", "--public-url", "https://my.example") as (
        running,
        _,
    ):
        stopped(running)
    url = qasid("webhook", "new", "--account", "sandbox").out
    assert url.startswith("https://my.example/hook/")


def test_ipv6_will_do() -> None:
    """Its address is written as addresses are."""
    with contextlib.closing(listening.listener("::1", 0)) as found:
        assert f"http://[::1]:{found.getsockname()[1]}" == listening.address(found)


def test_a_port_that_is_taken_is_a_wrong_use(qasid: Command) -> None:
    """Told in a line, with the port."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = f"{taken.getsockname()[1]}"
        ended = qasid("webhook", "serve", "--port", port)
    assert (2, "") == (ended.code, ended.out)
    assert f"Invalid value for '--port': nothing can listen on {port}: " in ended.err


def test_without_uvicorn_it_says_what_to_install(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line that can be copied."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ended = qasid(*SERVE)
    assert EXIT_CODES[errors.QasidError] == ended.code
    assert 'uvicorn is not installed; run: pip install "qasid[webhook]"' in ended.err


def test_a_server_that_ends_by_itself_says_why() -> None:
    """It does not seem to listen for ever."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        """Nothing ever comes."""

    ended, found = threading.Event(), listening.listener("127.0.0.1", 0)
    found.close()
    with (
        pytest.raises(errors.QasidError, match="the server ended: "),
        listening.serving(application, found, ended),
    ):
        assert ended.wait(30)


def test_an_order_with_a_callback_that_is_not_ours_is_none_of_our_business(
    qasid: Command, emulator: MyOnlineSimEmulator
) -> None:
    """The provider gets the address as it is."""
    url = "https://my.example/sms?secret=1"
    qasid("rent", "tg", "60", "--callback", url, "--timeout", "0", "--keep")
    (number,) = emulator.activations()
    emulator.deliver(number.id, "hello")
    assert [url] == [request.url for request in emulator.webhooks()]
    assert [] == qasid("webhook", "list", "--json").data


def test_nothing_is_ordered_while_the_inbox_cannot_be_used(
    qasid: Command, emulator: MyOnlineSimEmulator, tmp_path: Path
) -> None:
    """As nobody could tell whose messages come to that address."""
    (tmp_path / "state" / "qasid" / "webhooks.sqlite3").mkdir(parents=True)
    ended = qasid("rent", "tg", "60", "--callback", "https://my.example", "--timeout", "0")
    assert (EXIT_CODES[errors.SettingsError], ()) == (ended.code, emulator.activations())
