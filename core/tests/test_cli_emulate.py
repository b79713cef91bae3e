"""`qasid emulate --all`, and the switches of emulators."""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs
import click
import pytest

from qasid import errors, finding
from qasid.cli import switches
from qasid.cli.exits import EXIT_CODES
from qasid.drivers.http_sync import RequestsTransport
from qasid.effects import Request
from qasid.emulation import Clock, Emulator, utc_now

from .commandline import Command, Process, install, process, settle

EMULATORS: Final = ("deftsms", "mrotp", "myonlinesim", "sandbox", "smsafzar", "smsarab")
BROKEN: Final = """class Four:
    settings = {}
    def __init__(self):
        raise ValueError("out of order")
    def handle(self, request): ...
"""


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    settle(monkeypatch, tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
    finding.forget()


@contextlib.contextmanager
def emulated(*words: str) -> Iterator[tuple[Process, Any]]:
    """The command as a process, and its line of JSON."""
    with process("emulate", *words, "--json") as running:
        assert running.popen.stdout is not None
        yield running, json.loads(running.popen.stdout.readline())


def ended(running: Process, number: signal.Signals = signal.SIGTERM) -> Any:
    """Its end, by a signal."""
    running.popen.send_signal(number)
    return running.ended()


def knock(control: str, method: str, door: str, **members: Any) -> Any:
    """What a back door gives."""
    with contextlib.closing(RequestsTransport(control)) as transport:
        request = Request(method=method, url=f"{control}/{door}", json=members or None)
        return transport.send(request.encode()).json()


# All of them.


def test_all_emulators_are_served_together_until_a_signal(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed of each is enough to use it."""
    with emulated("--all") as (running, told):
        assert {*EMULATORS} <= {*told}
        for name in EMULATORS:
            assert {"url", "settings", "control"} == {*told[name]}
            for key, value in told[name]["settings"].items():
                monkeypatch.setenv(f"QASID_{name}_{key}".upper(), value)
        doctors = {name: qasid("doctor", "--account", name).code for name in EMULATORS}
        balances = {name: qasid("balance", "--account", name).code for name in EMULATORS}
        end = ended(running, signal.SIGINT)
    assert dict.fromkeys(EMULATORS, 0) == doctors == balances
    assert (0, "", "") == (end.code, end.out, end.err)


def test_each_has_a_port_in_the_order_of_their_names(free_ports: int) -> None:
    """From the one that was given."""
    with emulated("--all", "--port", f"{free_ports}") as (running, told):
        ended(running)
    ports = [int(told[name]["url"].rpartition(":")[2]) for name in sorted(told)]
    assert [free_ports + place for place in range(len(told))] == ports


@pytest.fixture
def free_ports() -> int:
    """The first of enough ports in a row that were free a moment ago."""
    count = len(finding.installed(finding.EMULATORS))
    return next(first for first in range(20_000, 30_000, 50) if _are_free(first, count))


def _are_free(first: int, count: int) -> bool:
    with contextlib.ExitStack() as stack:
        try:
            for port in range(first, first + count):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        except OSError:
            return False
    return True


def test_people_get_a_block_for_each() -> None:
    """With an empty line between."""
    with process("emulate", "--all") as running:
        assert running.popen.stdout is not None
        heads: list[str] = []
        while len(heads) < len(finding.installed(finding.EMULATORS)):
            line = running.popen.stdout.readline().split()
            heads += line[:1] if line[1:3] == ["listens", "at"] else []
        ended(running)
    assert [*finding.installed(finding.EMULATORS)] == heads


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise SystemExit(1)", "SystemExit: 1"),
        (BROKEN, "the emulator 'bad' is broken: ValueError: out of order"),
        ("Four = 4", "must name an emulator's class"),
        ("class Four:\n    settings = 4\n    handle = print", "its settings are no mapping"),
        ("class Four:\n    handle = print", "has no attribute 'settings'"),
    ],
    ids=["import", "making", "class", "settings", "no settings"],
)
def test_a_broken_emulator_keeps_no_other_from_being_served(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, words: str
) -> None:
    """It is told of on stderr."""
    entry = "bad = bad_emulator:Four"
    install(monkeypatch, tmp_path / "site", "qasid-bad", entry, source, group=finding.EMULATORS)
    with emulated("--all") as (running, told):
        end = ended(running)
    assert ("bad" in told, {*EMULATORS} <= {*told}) == (False, True)
    assert (0, True, True) == (end.code, "bad is not served: " in end.err, words in end.err)


def test_a_broken_emulator_alone_is_a_fault_of_the_plugin(
    qasid: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is served."""
    entry = "bad = bad_emulator:Four"
    install(monkeypatch, tmp_path / "site", "qasid-bad", entry, BROKEN, group=finding.EMULATORS)
    end = qasid("emulate", "bad")
    assert (EXIT_CODES[errors.PluginError], "") == (end.code, end.out)
    assert "the emulator 'bad' is broken: ValueError: out of order" in end.err


def test_messages_are_delivered_where_numbers_are_rented(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the others are served all the same."""
    words = ["--all", "--deliver-after", "0", "--text", "Acme code 90210"]
    with emulated(*words) as (running, told):
        for key, value in told["smsarab"]["settings"].items():
            monkeypatch.setenv(f"QASID_SMSARAB_{key}".upper(), value)
        rented = qasid("rent", "whatsapp", "SA", "--account", "smsarab")
        asked = [knock(told[name]["control"], "GET", "balance") for name in ("mrotp", "deftsms")]
        ended(running)
    assert "90210\n" == rented.out
    assert [{"amount", "currency"}] * 2 == [{*balance} for balance in asked]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "name one emulator, or say --all"),
        (["smsarab", "--all"], "name one emulator, or say --all"),
        (["--all", "--set", "raw_samples=true"], "--set is for one emulator: name it"),
        (["--all", "--port", "65535"], "emulators do not fit above 65535"),
    ],
    ids=["neither", "both", "a switch of all", "ports"],
)
def test_what_cannot_be_meant_is_a_wrong_use(
    qasid: Command, words: list[str], problem: str
) -> None:
    """Nothing is served."""
    end = qasid("emulate", *words)
    assert (2, "") == (end.code, end.out)
    assert problem in end.err


def test_a_taken_port_among_them_is_a_wrong_use(qasid: Command, free_ports: int) -> None:
    """Those that listened already are closed again."""
    with contextlib.closing(socket.create_server(("127.0.0.1", free_ports + 1))):
        end = qasid("emulate", "--all", "--port", f"{free_ports}")
    assert (2, "") == (end.code, end.out)
    assert f"nothing can listen on {free_ports + 1}: " in end.err
    assert _are_free(free_ports, 2)


def test_where_no_emulator_is_installed_it_says_which_to_install(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one for everything."""
    monkeypatch.setattr(finding, "installed", functools.cache(nothing))
    end = qasid("emulate", "--all")
    assert EXIT_CODES[errors.ProviderNotFound] == end.code
    assert "no emulator is installed; try: pip install qasid-sandbox" in end.err


def nothing(group: str) -> dict[str, Any]:
    """What is installed there."""
    return {}


# Switches.


def test_a_switch_is_set_from_the_command_line() -> None:
    """Such as the browser's way back, and replies that are as the document prints them."""
    back = "http://127.0.0.1:9000/back"
    words = ["--set", f"callback={back}", "--set", "raw_samples=true"]
    with emulated("myonlinesim", *words) as (running, told):
        url = f"{told['url']}/oauth/authorize?client_id=CLIENT_ID&response_type=code"
        headers = {"Authorization": "Bearer ACCESS_TOKEN"}
        raw = Request(
            method="POST",
            url=f"{told['url']}/api/number/prices",
            headers=headers,
            form={"service_code": "tg"},
        )
        with contextlib.closing(RequestsTransport(told["url"])) as transport:
            sent_back = transport.send(Request(method="GET", url=url).encode())
            reply = transport.send(raw.encode())
        ended(running)
    assert (302, True) == (
        sent_back.status,
        (sent_back.header("Location") or "").startswith(f"{back}?code="),
    )
    with pytest.raises(errors.ProtocolError):
        reply.json()


@attrs.define(kw_only=True)
class Switched:
    """An emulator, as far as switches go."""

    settings: ClassVar[dict[str, str]] = {}

    clock: Clock = utc_now
    raw: bool = False
    status: int = attrs.field(default=404, validator=attrs.validators.ge(400))
    most: int | None = None
    price: Decimal = Decimal(1)
    mode: str = "a"
    names: dict[str, str] = attrs.field(factory=dict)
    _hidden: int = attrs.field(init=False, default=0)


def made(*given: str, kind: Any = Switched) -> Any:
    """An emulator with these switches."""
    pairs = [(text.partition("=")[0], text.partition("=")[2]) for text in given]
    return switches.made("switched", kind, pairs)


def test_switches_have_the_types_of_their_fields() -> None:
    """A text may hold an equals sign."""
    found = made("raw=yes", "status=500", "most=7", "price=2.50", "mode=a=b")
    assert Switched(raw=True, status=500, most=7, price=Decimal("2.50"), mode="a=b") == found


def test_mappings_and_lists_are_json() -> None:
    """As SMSAfzar's emulator has them."""
    found = made(
        *('templates={"T": "{code}"}', "states=[3, 4, 5]", "unit=تومان"),
        kind=finding.emulator("smsafzar"),
    )
    assert ({"T": "{code}"}, (3, 4, 5), "تومان") == (found.templates, found.states, found.unit)


@pytest.mark.parametrize(
    "given",
    [
        "states=[3, 4]",
        "states=[3, 4, true]",
        'states=[3, 4, "5"]',
        "states={}",
        "states=3, 4, 5",
        'templates={"T": 1}',
        "templates=[]",
        f"templates={'[' * 100_000}",
        "unit=rial",
        "price=NaN",
        "price=much",
        "reading_empties=maybe",
    ],
    ids=lambda given: given[:20],
)
def test_a_value_that_does_not_fit_is_refused(given: str) -> None:
    """With the switch, and how to write it."""
    with pytest.raises(click.BadParameter, match=f"^{given.partition('=')[0]} is n"):
        made(given, kind=finding.emulator("smsafzar"))


def test_a_value_that_the_emulator_refuses_is_a_wrong_use() -> None:
    """It knows best what it can be."""
    with pytest.raises(click.BadParameter, match=r"switched takes no such value: .*must be >= 400"):
        made("status=200")


@pytest.mark.parametrize("given", ["clock=x", "_hidden=1", "hidden=1", "names={}", "=x"])
def test_an_unknown_switch_is_refused_with_those_that_are_known(given: str) -> None:
    """What no text can say is none of them."""
    with pytest.raises(click.BadParameter, match=r"known: mode, most, price, raw, status$"):
        made(given)


def test_a_wrong_switch_is_a_wrong_use(qasid: Command) -> None:
    """Nothing is served."""
    end = qasid("emulate", "mrotp", "--set", "raw_usd=true")
    assert (2, "") == (end.code, end.out)
    assert "Invalid value for '--set': mrotp has no 'raw_usd'; known: default_type, " in end.err


def test_an_emulator_may_have_no_switches() -> None:
    """Then it says so."""

    class Plain:
        settings: ClassVar[dict[str, str]] = {}

    assert isinstance(made(kind=Plain), Plain)
    with pytest.raises(click.BadParameter, match="switched has no 'raw'; known: none"):
        made("raw=1", kind=Plain)


def test_a_switch_without_a_value_is_a_wrong_use(qasid: Command) -> None:
    """With an example."""
    end = qasid("emulate", "smsarab", "--set", "raw_samples")
    assert (2, "") == (end.code, end.out)
    assert "Invalid value for '--set': write it like raw_samples=true" in end.err


def test_every_emulator_of_ours_can_be_made_with_its_own_defaults() -> None:
    """As texts: all of their switches can be reached."""
    for name in EMULATORS:
        kind: type[Emulator] = finding.emulator(name)
        for key, field in switches.known(name, kind).items():
            default = getattr(kind(), field.name)
            if default is not None:
                text = _written(default)
                assert default == getattr(switches.made(name, kind, [(key, text)]), field.name)


def _written(value: Any) -> str:
    if hasattr(value, "total_seconds"):
        return f"{value.total_seconds():f}"
    return json.dumps(value) if isinstance(value, dict | tuple | bool) else f"{value}"
