"""A look at a real account: free without a cap, and then only what somebody says yes to."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import attrs
import jsonschema
import pytest
from click.testing import CliRunner, Result

import qasid
from qasid import finding
from qasid.effects import Request, Response
from qasid.serving import HttpServer
from qasid_contract import commands, live
from qasid_sandbox import Sandbox
from qasid_sandbox.emulator import SandboxEmulator

FREE = {"/token", "/balance", "/offers"}


@attrs.define
class Real:
    """A provider's server, as real as they come here: it is reached over the network."""

    emulator: SandboxEmulator = attrs.field(factory=SandboxEmulator)
    asked: list[Request] = attrs.field(factory=list)
    instead: dict[str, Response] = attrs.field(factory=dict)

    def handle(self, request: Request) -> Response:
        """Note the request and answer it, or say what is to be said instead at its path's end."""
        self.asked.append(request)
        last = request.path.rpartition("/")[2]
        return self.instead.get(last) or self.emulator.handle(request)

    @property
    def paths(self) -> set[str]:
        """What was asked for."""
        return {request.path for request in self.asked}

    @property
    def paid(self) -> list[str]:
        """What costs money and was asked for."""
        return [r.path for r in self.asked if r.method == "POST" and r.path not in FREE]


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch, tmp_path: FilePath) -> Iterator[Real]:
    """The server, and the settings that lead there."""
    made = Real()
    server = HttpServer(0, made.handle)
    monkeypatch.setenv("QASID_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("QASID_SANDBOX_BASE_URL", server.url)
    yield made
    server.close()


def look(*words: str, answers: str = "") -> Result:
    """`qasid contract sandbox --live` with these answers."""
    return CliRunner().invoke(commands.contract, ["sandbox", "--live", *words], input=answers)


CAP = ("--spend-cap", "5.00 USD")
OWN = ("--recipient", "+989121112233")


def test_without_a_cap_nothing_is_paid_for(real: Real) -> None:
    """What is free is asked; what costs money is not even offered."""
    ended = look(*OWN)
    assert 0 == ended.exit_code
    assert FREE == real.paths
    assert "balance: 100.00 USD" in ended.stdout
    assert 3 == ended.stdout.count("it costs money: give --spend-cap")
    assert "Try it?" not in ended.output


@pytest.mark.parametrize(("reply", "ok"), [(None, None), (Response(status=400), False)])
def test_what_a_plugin_refuses_to_ask_was_not_tried(reply: Response | None, ok: Any) -> None:
    """As where `offers` must be told a service; what the provider refuses has failed."""

    def call() -> object:
        raise qasid.InvalidRequest("service: name one", response=reply)

    assert ok is live._tried("offers", call).ok


def test_each_is_confirmed_by_itself(real: Real) -> None:
    """Three questions; a yes to one is no yes to another."""
    ended = look(*CAP, *OWN, answers="n\ny\nn\n")
    assert 0 == ended.exit_code
    assert ["/messages"] == real.paid
    assert 3 == ended.stderr.count("Try it?")
    assert "send: accepted" in ended.stdout
    assert 2 == ended.stdout.count("not wanted")


def test_a_yes_to_all_is_done_and_tidied_up(real: Real) -> None:
    """The number is released again; the cheapest there is was rented."""
    ended = look(*CAP, *OWN, answers="y\ny\ny\n")
    assert 0 == ended.exit_code
    assert "acquire_number: 0 messages; released" in ended.stdout
    assert "otp: on its way" in ended.stdout
    assert ["released"] == [number.state for number in real.emulator.activations()]
    assert 2 == len(real.emulator.outbox())


@pytest.mark.parametrize("answers", ["n\nn\nn\n", "\n\n\n"])
def test_no_is_no(real: Real, answers: str) -> None:
    """Nothing is paid where the answer is no, or only a new line."""
    assert 0 == look(*CAP, *OWN, answers=answers).exit_code
    assert [] == real.paid


def test_where_nobody_answers_it_ends(real: Real) -> None:
    """The end of the input is no yes; it ends as with Ctrl-C."""
    ended = look(*CAP, *OWN)
    assert isinstance(ended.exception, SystemExit | KeyboardInterrupt)
    assert [] == real.paid


def test_the_cap_refuses_before_the_request(real: Real) -> None:
    """A number that costs more than the cap is not asked for, although somebody said yes."""
    ended = look("--spend-cap", "0.10 USD", answers="y\n")
    assert [] == real.paid
    assert "not tried  acquire_number: max_spend" in ended.stdout
    assert 0 == ended.exit_code


def test_without_a_number_of_ones_own_nothing_is_sent(real: Real) -> None:
    """Nobody else's phone gets a message."""
    ended = look(*CAP, answers="n\n")
    assert 2 == ended.stdout.count("it needs a number of your own: give --recipient")
    assert 1 == ended.stderr.count("Try it?")
    assert [] == real.paid


def test_where_no_price_is_known_nothing_is_rented(real: Real) -> None:
    """A cap that cannot be kept is no cap."""
    real.instead["offers"] = Response(status=200, body=b'{"offers": []}')
    ended = look(*CAP, answers="y\n")
    assert [] == real.paid
    assert "acquire_number: no number is in stock whose price is known" in ended.stdout


def test_what_fails_is_told_and_ends_with_1(real: Real) -> None:
    """A failure is in the output and in the exit code, and the rest is still looked at."""
    real.instead["balance"] = Response(status=200, body=b"{}")
    ended = look()
    assert 1 == ended.exit_code
    assert "FAILED     balance: ProtocolError" in ended.stdout
    assert "ok         offers:" in ended.stdout


def test_a_number_that_cannot_be_read_is_released(real: Real) -> None:
    """Whatever comes after the rent, the number is given back."""
    real.instead["messages"] = Response(status=200, body=b"{}")
    ended = look(*CAP, answers="y\n")
    assert 1 == ended.exit_code
    assert "FAILED     acquire_number: ProtocolError" in ended.stdout
    assert ["released"] == [number.state for number in real.emulator.activations()]


def test_a_number_that_is_kept_is_told(real: Real) -> None:
    """A release that is refused is a failure, and no word says that it was released."""
    real.instead["release"] = Response(status=409, body=b'{"error": {"code": "release_refused"}}')
    ended = look(*CAP, answers="y\n")
    assert 1 == ended.exit_code
    assert "FAILED     acquire_number:" in ended.stdout
    assert "released" not in ended.stdout


class Renting(Sandbox):
    """A provider that rents, and does nothing else."""

    balance = offers = fetch_sms = release = send = otp = None  # type: ignore[assignment]


class Selling(Sandbox):
    """A provider that rents for good: nothing is read, and nothing given back."""

    balance = fetch_sms = release = send = otp = None  # type: ignore[assignment]


def test_what_a_provider_does_not_have_is_left_out(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a list of offers there is no price, and without a release no word of one."""
    monkeypatch.setattr(finding, "provider", lambda name: Renting)
    ended = look(*CAP, answers="y\n")
    assert "acquire_number: no number is in stock whose price is known" in ended.stdout
    assert [] == real.paid
    monkeypatch.setattr(finding, "provider", lambda name: Selling)
    assert "0 messages; it cannot be released" in look(*CAP, answers="y\n").stdout
    assert ["/numbers"] == real.paid


def test_the_report_is_no_verdict(real: Real, tmp_path: FilePath) -> None:
    """Its section is of another name, fits the schema, and holds no secret."""
    target = tmp_path / "live.json"
    look("--report", str(target), "--account", "sandbox")
    text = target.read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    schema = importlib.resources.files("qasid_contract").joinpath("report.schema.json").read_text()
    jsonschema.validate(document, json.loads(schema))
    assert "verdict" not in text
    assert "token" not in text
    assert {"hook": "balance", "ok": True, "words": "100.00 USD"} in document["live"]["seen"]


def test_a_cap_that_is_no_amount_is_refused(real: Real) -> None:
    """Nothing is asked of the provider then."""
    ended = look("--spend-cap", "five")
    assert isinstance(ended.exception, ValueError)
    assert [] == real.asked
