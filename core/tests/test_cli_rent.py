"""`qasid rent`: the code alone on stdout, and nothing left rented behind."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

import attrs
import pytest

from qasid import errors
from qasid.cli.exits import EXIT_CODES
from qasid.cli.signals import Interrupted, Signals
from qasid.drivers.sync import SyncDriver
from qasid.effects import Flow, Request, Response, Sleep

from .commandline import (
    ACQUIRE,
    AT_ONCE,
    CANCEL,
    LOOK,
    OFFERS,
    Command,
    Staged,
    answering,
    served,
    settle,
    signalling,
)

RENT: Final = ("rent", "whatsapp", "SA")
CODES: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)


@pytest.fixture
def smsarab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Staged]:
    """No number gets a message."""
    emulator = Staged()
    with served(monkeypatch, emulator):
        yield emulator


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Staged]:
    """Each number gets a message with Persian digits at once."""
    emulator = Staged()
    with served(monkeypatch, emulator, deliver_after=AT_ONCE):
        yield emulator


def delivering(emulator: Staged, *messages: tuple[str, str]) -> None:
    """Let these senders' texts be there when it is first looked for them."""

    def cue(response: Response) -> Response:
        for sender, text in messages:
            emulator.deliver(emulator.activations()[-1].id, text, sender)
        return response

    emulator.cues[ACQUIRE] = cue


# A message comes.


def test_the_code_is_printed_alone(qasid: Command, answered: Staged) -> None:
    """In ASCII digits, though the text has Persian ones."""
    ended = qasid(*RENT)
    assert (0, "123456\n") == (ended.code, ended.out)


def test_what_happens_is_said_on_stderr(qasid: Command, answered: Staged) -> None:
    """The number, its price and the end of its time; never the text or the code."""
    rented, waiting, released = qasid(*RENT, "--timeout", "2.5").err.splitlines()
    (activation,) = answered.activations()
    assert rented.startswith(f"Rented {activation.number} for 0.5 USD until ")
    assert rented.endswith(f" UTC (activation {activation.id}).")
    assert ("Waiting up to 2.5 s for a message.", "The number was released.") == (waiting, released)


def test_the_number_is_released_after_its_message(qasid: Command, answered: Staged) -> None:
    """At the provider and in the book."""
    qasid(*RENT)
    assert (["CANCELLED"], []) == (answered.states(), qasid("activations", "--json").data)


def test_everything_is_in_the_json(qasid: Command, answered: Staged) -> None:
    """The activation, the message and the code in it."""
    data = qasid(*RENT, "--json").data
    assert ("whatsapp", "کد تأیید شما: ۱۲۳۴۵۶", "123456") == (
        data["activation"]["service"],
        data["message"]["text"],
        data["code"],
    )


def test_a_message_without_a_code_is_printed(qasid: Command, smsarab: Staged) -> None:
    """Its text, and that it is no code is said."""
    delivering(smsarab, ("Acme", "سلام"))
    ended = qasid(*RENT)
    assert (0, "سلام\n") == (ended.code, ended.out)
    assert "A message came, with no code in it; here is its text." in ended.err


def test_json_of_a_message_without_a_code_says_so_itself(qasid: Command, smsarab: Staged) -> None:
    """Nothing is said about it on stderr."""
    delivering(smsarab, ("Acme", "Hello"))
    ended = qasid(*RENT, "--json")
    assert (None, False) == (ended.data["code"], "no code" in ended.err)


def test_only_the_sender_asked_for_counts(qasid: Command, smsarab: Staged) -> None:
    """Exactly that one."""
    delivering(smsarab, ("Globex", "Code 1111"), ("Globex2", "Code 2222"))
    assert "1111\n" == qasid(*RENT, "--sender", "Globex").out


def test_only_a_text_with_the_pattern_counts(qasid: Command, smsarab: Staged) -> None:
    """Anywhere in it."""
    delivering(smsarab, ("Acme", "Code 1111"), ("Globex", "Offer 2222"))
    assert "1111\n" == qasid(*RENT, "--pattern", "^Co.e").out


def test_a_number_within_the_price_is_rented(qasid: Command, answered: Staged) -> None:
    """The price is looked up before."""
    assert (0, OFFERS) == (qasid(*RENT, "--max-price", "0.5 USD").code, answered.asked[0])


def test_a_number_above_the_price_is_not_rented(qasid: Command, answered: Staged) -> None:
    """Nothing but the price is asked."""
    ended = qasid(*RENT, "--max-price", "0.49 USD")
    assert (EXIT_CODES[errors.BudgetExceeded], [OFFERS]) == (ended.code, answered.asked)


def test_a_number_that_must_not_be_released_is_no_error(qasid: Command, smsarab: Staged) -> None:
    """The provider keeps it after a message: there is the code, and a word about it."""
    smsarab.cancel_after_message = False
    delivering(smsarab, ("Acme", "4711"))
    ended = qasid(*RENT)
    assert (0, "4711\n") == (ended.code, ended.out)
    assert "The number needs no release: ReleaseRefused: " in ended.err


def test_a_number_that_could_not_be_released_is_told(qasid: Command, answered: Staged) -> None:
    """With what to try; it stays in the book."""
    answered.cues[CANCEL] = answering(500)
    ended = qasid(*RENT)
    (rental,) = qasid("activations", "--json").data
    assert (0, "123456\n") == (ended.code, ended.out)
    assert "The number could NOT be released: ProviderUnavailable: " in ended.err
    assert f"Try: qasid release {rental['activation']['id']}\n" in ended.err


def test_the_sandbox_rents_without_an_account(qasid: Command) -> None:
    """Its message comes after a second."""
    ended = qasid("rent", "acme", "SA")
    assert (0, True) == (ended.code, ended.out.strip().isdecimal())
    assert ended.err.startswith("No account is configured: this is the sandbox")


# No message comes.


def test_after_the_time_out_the_number_is_released(qasid: Command, smsarab: Staged) -> None:
    """And that is said."""
    ended = qasid(*RENT, "--timeout", "0")
    assert (EXIT_CODES[errors.WaitTimeout], "") == (ended.code, ended.out)
    assert "The number was released.\nerror: WaitTimeout: " in ended.err
    assert ["CANCELLED"] == smsarab.states()


def test_a_number_is_kept_if_so_wished(qasid: Command, smsarab: Staged) -> None:
    """And how to release it is said."""
    ended = qasid(*RENT, "--timeout", "0", "--keep")
    (rental,) = qasid("activations", "--json").data
    assert EXIT_CODES[errors.WaitTimeout] == ended.code
    assert f"The number is kept; release it with: qasid release {rental['activation']['id']}\n" in (
        ended.err
    )
    assert ["WAITING_FOR_MESSAGE"] == smsarab.states()


def test_a_third_open_number_is_refused_before_it_is_asked_for(
    qasid: Command, smsarab: Staged
) -> None:
    """Two are the cap, unless the settings have another."""
    for _ in range(2):
        qasid(*RENT, "--timeout", "0", "--keep")
    smsarab.asked.clear()
    assert (EXIT_CODES[errors.BudgetExceeded], []) == (qasid(*RENT).code, smsarab.asked)


# Wrong words, before anything is paid.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--timeout", "-1"], "--timeout"),
        (["--timeout", "nan"], "--timeout"),
        (["--timeout", "soon"], "--timeout"),
        (["--pattern", "("], "no regular expression"),
        (["--pattern", "a{99999999999}"], "no regular expression"),
        (["--max-price", "cheap"], "--max-price"),
        (["--max-price", "1.00 dollars"], "--max-price"),
        (["more"], "unexpected extra argument"),
    ],
)
def test_a_wrong_option_is_refused_first(
    qasid: Command, smsarab: Staged, words: list[str], said: str
) -> None:
    """By the command line itself."""
    ended = qasid(*RENT, *words)
    assert (2, "", [], True) == (ended.code, ended.out, smsarab.asked, said in ended.err)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("rent", "whatsapp", "XX"), errors.InvalidRequest),
        (("rent", "no-such", "SA"), errors.InvalidRequest),
        (("rent", "soldout", "SA", "--account", "sandbox"), errors.NoNumbersAvailable),
    ],
)
def test_what_the_provider_does_not_rent_is_its_refusal(
    qasid: Command, smsarab: Staged, words: tuple[str, ...], kind: type[errors.QasidError]
) -> None:
    """Nothing is rented, nor written down."""
    ended = qasid(*words)
    assert (EXIT_CODES[kind], "", True) == (
        ended.code,
        ended.out,
        "It was not performed." in ended.err,
    )
    assert ([], []) == (smsarab.states(), qasid("activations", "--json").data)


def test_an_empty_service_is_a_wrong_use(qasid: Command, smsarab: Staged) -> None:
    """Nothing is sent."""
    assert (2, []) == (qasid("rent", "", "SA").code, smsarab.asked)


# The state directory.


def test_a_state_that_cannot_be_written_is_found_before_anything_is_paid(
    qasid: Command, smsarab: Staged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here because the place is below a file."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("QASID_STATE_DIR", str(tmp_path / "file" / "below"))
    ended = qasid(*RENT)
    assert (EXIT_CODES[errors.SettingsError], []) == (ended.code, smsarab.asked)
    assert "name another with QASID_STATE_DIR" in ended.err


def test_a_damaged_state_is_set_aside(
    qasid: Command,
    answered: Staged,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With every byte; the command goes on and says so."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "rentals.sqlite3").write_bytes(b"no database at all" * 100)
    monkeypatch.setenv("QASID_STATE_DIR", str(folder))
    assert "123456\n" == qasid(*RENT).out
    (aside,) = folder.glob("*.damaged-*")
    assert b"no database at all" * 100 == aside.read_bytes()
    assert f"set aside as {aside}" in caplog.text


# Progress.


def test_who_watches_a_terminal_sees_that_time_passes(
    qasid: Command, answered: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bar on stderr; stdout has the code alone all the same."""
    monkeypatch.setenv("TERM", "xterm")
    master, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        ended = qasid(*RENT)
        seen = os.read(master, 65_536).decode()
    os.close(master)
    assert (0, "123456\n", True) == (ended.code, ended.out, "0:00:00" in seen)


def test_a_closed_stderr_stops_nothing(
    qasid: Command, answered: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code is what counts."""
    monkeypatch.setattr(sys, "stderr", None)
    assert "123456\n" == qasid(*RENT).out


# Signals, at every stage. `signalling` sends them while the answer is on its way.


@pytest.fixture(params=CODES, ids=lambda number: number.name)
def number(request: pytest.FixtureRequest) -> signal.Signals:
    found: signal.Signals = request.param
    return found


def test_a_signal_before_acquiring_rents_nothing(
    qasid: Command, smsarab: Staged, number: signal.Signals
) -> None:
    """While the price is looked up."""
    smsarab.cues[OFFERS] = signalling(number)
    ended = qasid(*RENT, "--max-price", "1 USD")
    assert (CODES[number], "", "interrupted\n") == (ended.code, ended.out, ended.err)
    assert ([], []) == (smsarab.states(), qasid("activations", "--json").data)


def test_a_signal_while_acquiring_is_kept_until_the_answer(
    qasid: Command, smsarab: Staged, number: signal.Signals
) -> None:
    """So the number is known, and released."""
    smsarab.cues[ACQUIRE] = signalling(number)
    ended = qasid(*RENT)
    assert (CODES[number], "") == (ended.code, ended.out)
    assert "The number was released.\ninterrupted\n" == ended.err
    assert (["CANCELLED"], []) == (smsarab.states(), qasid("activations", "--json").data)


def test_a_signal_while_waiting_releases_the_number(
    qasid: Command, smsarab: Staged, number: signal.Signals
) -> None:
    """Without waiting any longer."""
    smsarab.cues[LOOK] = signalling(number)
    ended = qasid(*RENT)
    assert (CODES[number], "") == (ended.code, ended.out)
    assert ended.err.endswith("The number was released.\ninterrupted\n")
    assert ["CANCELLED"] == smsarab.states()


def test_a_signal_while_waiting_keeps_a_number_that_is_to_be_kept(
    qasid: Command, smsarab: Staged, number: signal.Signals
) -> None:
    """And says how to release it."""
    smsarab.cues[LOOK] = signalling(number)
    ended = qasid(*RENT, "--keep")
    assert (CODES[number], True) == (ended.code, "The number is kept; release" in ended.err)
    assert ["WAITING_FOR_MESSAGE"] == smsarab.states()


def test_a_second_signal_does_not_stop_the_release(
    qasid: Command, smsarab: Staged, number: signal.Signals
) -> None:
    """The exit code is that of the first."""
    smsarab.cues |= {LOOK: signalling(number), CANCEL: signalling(signal.SIGTERM)}
    ended = qasid(*RENT)
    assert (CODES[number], True) == (ended.code, "The number was released." in ended.err)
    assert ["CANCELLED"] == smsarab.states()


def test_a_signal_during_the_release_after_a_message_is_heeded_afterwards(
    qasid: Command, answered: Staged, number: signal.Signals
) -> None:
    """The code has been printed by then."""
    answered.cues[CANCEL] = signalling(number)
    ended = qasid(*RENT)
    assert (CODES[number], "123456\n", ["CANCELLED"]) == (
        ended.code,
        ended.out,
        answered.states(),
    )


def test_a_signal_during_the_release_after_a_time_out_hides_nothing(
    qasid: Command, smsarab: Staged, number: signal.Signals
) -> None:
    """That no message came is said too."""
    smsarab.cues[CANCEL] = signalling(number)
    ended = qasid(*RENT, "--timeout", "0")
    assert (CODES[number], True) == (ended.code, "error: WaitTimeout: " in ended.err)


def test_a_signal_and_an_unknown_outcome_are_both_told(
    qasid: Command, smsarab: Staged, number: signal.Signals
) -> None:
    """A number may be rented: it would be no good not to know."""
    smsarab.cues[ACQUIRE] = signalling(number, status=500)
    ended = qasid(*RENT)
    assert CODES[number] == ended.code
    assert ended.err.startswith("interrupted\nerror: ProviderUnavailable: ")
    assert ended.err.endswith("It may have been performed: look before trying again.\n")


def test_a_signal_while_the_provider_has_us_wait_is_heeded(
    qasid: Command, smsarab: Staged, number: signal.Signals
) -> None:
    """It refused the order, so nothing is rented, nor written down, nor tried again."""
    smsarab.cues[ACQUIRE] = signalling(number, status=429)
    assert (CODES[number], [ACQUIRE]) == (qasid(*RENT).code, smsarab.asked)
    assert [] == qasid("activations", "--json").data


def test_a_hang_up_releases_the_number(qasid: Command, smsarab: Staged) -> None:
    """As when the terminal is closed."""
    smsarab.cues[LOOK] = signalling(signal.SIGHUP)
    assert (129, ["CANCELLED"]) == (qasid(*RENT).code, smsarab.states())


def test_a_hang_up_is_ignored_under_nohup() -> None:
    """As whoever started the command wished."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Signals().kept():
        found = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)
    assert signal.SIG_IGN is found


def test_a_ctrl_c_in_any_other_command_is_told_by_the_exit_code(
    qasid: Command, smsarab: Staged
) -> None:
    """One that does not heed signals by itself."""
    smsarab.cues["GET /v1/balance"] = signalling(signal.SIGINT)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    try:
        ended = qasid("balance")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (130, "", "interrupted\n") == (ended.code, ended.out, ended.err)


def test_a_ctrl_c_while_loading_is_told_by_the_exit_code(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to tidy up yet."""

    class Interrupting:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "qasid.cli.running":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "qasid.cli.running", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting, *sys.meta_path])
    assert (130, "") == (qasid("balance").code, "")


# What is heeded when. The clock stands still; what happens while one sleeps is `meanwhile`.


@attrs.define
class Still:
    meanwhile: Callable[[], object]
    slept: list[float] = attrs.field(factory=list)

    def now(self) -> datetime:
        return datetime(2026, 11, 21, tzinfo=UTC)

    def tick(self) -> float:
        return 7.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.meanwhile()


@attrs.define
class Scripted:
    """A transport with one answer, or one refusal."""

    answer: Response | errors.ProviderError
    closed: bool = False

    def send(self, request: Request) -> Response:
        if isinstance(self.answer, errors.ProviderError):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.closed = True


def order_and_sleep(method: str) -> Flow[str]:
    try:
        yield Request(method=method, url="https://api.example.com/v1/numbers")
    except errors.ConnectFailed:
        """It may be tried again."""
    yield Sleep(60)
    return "slept"


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


DONE: Final = Response(status=200)
REFUSALS: Final = {
    "too many requests": Response(status=429),
    "never reached": errors.ConnectFailed("refused"),
}


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
def test_a_signal_ends_the_wait_after_a_refusal(answer: Response | errors.ProviderError) -> None:
    """As nothing was performed, there is nothing to wait for."""
    signals, clock = Signals(), Still(meanwhile=interrupt)
    driver = signals.attentive(SyncDriver(Scripted(answer), clock), paying=True)
    with pytest.raises(Interrupted), signals.kept():
        driver.run(order_and_sleep("POST"))
    assert [60] == clock.slept


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
def test_a_signal_that_was_kept_lets_no_wait_begin(answer: Response | errors.ProviderError) -> None:
    """It came while the refusal was on its way."""
    signals, clock = Signals(), Still(meanwhile=interrupt)
    driver = signals.attentive(SyncDriver(Scripted(answer), clock), paying=True)
    with pytest.raises(Interrupted), signals.kept():  # noqa: PT012, it comes from either line
        interrupt()
        driver.run(order_and_sleep("POST"))
    assert [] == clock.slept


def test_a_signal_is_kept_through_a_wait_after_an_answer() -> None:
    """A flow of several requests may have rented something by the first."""
    signals, clock, ends = Signals(), Still(meanwhile=interrupt), []
    driver = signals.attentive(SyncDriver(Scripted(DONE), clock), paying=True)
    with pytest.raises(Interrupted), signals.kept():
        ends.append(driver.run(order_and_sleep("POST")))
    assert ["slept"] == ends


def test_a_wait_after_a_request_that_costs_nothing_can_be_ended() -> None:
    """As for a provider's limits."""
    signals, clock, ends = Signals(), Still(meanwhile=interrupt), []
    driver = signals.attentive(SyncDriver(Scripted(DONE), clock), paying=True)
    with pytest.raises(Interrupted), signals.kept():
        ends.append(driver.run(order_and_sleep("GET")))
    assert [] == ends


def test_where_nothing_is_paid_every_wait_can_be_ended() -> None:
    """Whatever the method of the requests is."""
    signals, clock, ends = Signals(), Still(meanwhile=interrupt), []
    driver = signals.attentive(SyncDriver(Scripted(DONE), clock))
    with pytest.raises(Interrupted), signals.kept():
        ends.append(driver.run(order_and_sleep("POST")))
    assert [] == ends


def test_a_signal_is_kept_at_the_longest_until_the_end_of_the_block() -> None:
    """Where nothing waits, as with the book of rentals open."""
    signals, reached = Signals(), []
    with pytest.raises(Interrupted), signals.kept():  # noqa: PT012, it comes from the block's end
        interrupt()
        reached.append("the end")
    assert ["the end"] == reached


def test_the_handlers_are_given_back() -> None:
    """Whoever calls `main` has the ones from before."""
    before = signal.getsignal(signal.SIGTERM)
    with Signals().kept():
        assert before is not signal.getsignal(signal.SIGTERM)
    assert before is signal.getsignal(signal.SIGTERM)


def test_a_failure_comes_through() -> None:
    """Though another thread meets it."""
    driver = Signals().attentive(SyncDriver(Scripted(errors.NoAnswer("cut")), Still(interrupt)))
    with pytest.raises(errors.NoAnswer):
        driver.run(order_and_sleep("GET"))


def test_an_attentive_driver_is_the_driver_otherwise() -> None:
    """Its clock tells the same time, and closing it closes the same connections."""
    transport, clock = Scripted(DONE), Still(meanwhile=interrupt)
    driver = Signals().attentive(SyncDriver(transport, clock))
    assert (clock.now(), 7.0) == (driver.clock.now(), driver.clock.tick())
    driver.close()
    assert transport.closed


# Wherever it comes.


@attrs.define
class Striking:
    """A profiler that sends a signal at the n-th event in the command and its context managers."""

    left: int

    def __call__(self, frame: FrameType | None, event: str, argument: object) -> None:
        while frame and _home(frame) == "contextlib":
            frame = frame.f_back
        if frame and _home(frame).startswith(("qasid.cli", "qasid.rentals")):
            self.left -= 1
            if self.left == 0:
                interrupt()


def _home(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name


@pytest.mark.parametrize("nth", range(1, 360, 5))
def test_a_signal_at_any_moment_leaves_nothing_rented(
    qasid: Command, smsarab: Staged, nth: int
) -> None:
    """Of some 350 calls and returns each fifth is struck, one in each run."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # outside of the command's own handlers
    sys.setprofile(Striking(left=nth))
    ended = qasid(*RENT, "--timeout", "0")
    sys.setprofile(None)
    signal.signal(signal.SIGTERM, before)
    assert ended.code in {EXIT_CODES[errors.WaitTimeout], 143}
    assert set() == {*smsarab.states()} - {"CANCELLED"}
