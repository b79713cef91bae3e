"""`qasid` as a process of its own: signals, streams that are closed, and a kill without warning."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from qasid import errors
from qasid.cli import main
from qasid.cli.exits import CLOSED_OUTPUT, EXIT_CODES

from .commandline import (
    ACQUIRE,
    AT_ONCE,
    CANCEL,
    KEY,
    OFFERS,
    Command,
    Gate,
    Staged,
    in_shell,
    install,
    process,
    served,
    settle,
)

RENT: Final = ("rent", "whatsapp", "SA")
CODES: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    settle(monkeypatch, tmp_path)
    # Whoever started these tests may ignore Ctrl-C, and processes inherit that, but no handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def smsarab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Staged]:
    emulator = Staged()
    with served(monkeypatch, emulator):
        yield emulator


@pytest.fixture(params=CODES, ids=lambda number: number.name)
def number(request: pytest.FixtureRequest) -> signal.Signals:
    found: signal.Signals = request.param
    return found


# Signals.


def test_a_signal_before_acquiring_rents_nothing(smsarab: Staged, number: signal.Signals) -> None:
    """The command does not even wait for the price that it has asked for."""
    gate = smsarab.cues[OFFERS] = Gate()
    with process(*RENT, "--max-price", "1 USD") as running:
        gate.came.wait(30)
        running.popen.send_signal(number)
        ended = running.ended()
        gate.go.set()
    assert (CODES[number], "", "interrupted\n") == (ended.code, ended.out, ended.err)
    assert [] == smsarab.states()


def test_a_signal_while_acquiring_waits_for_the_answer(
    smsarab: Staged, number: signal.Signals
) -> None:
    """Which is slow, and has the number that is to be released."""
    gate = smsarab.cues[ACQUIRE] = Gate()
    with process(*RENT) as running:
        gate.came.wait(30)
        running.popen.send_signal(number)
        gate.go.set()
        ended = running.ended()
    assert (CODES[number], "") == (ended.code, ended.out)
    assert "The number was released.\ninterrupted\n" == ended.err
    assert ["CANCELLED"] == smsarab.states()


def test_a_signal_while_waiting_releases_the_number(
    smsarab: Staged, number: signal.Signals
) -> None:
    """And the command ends at once."""
    with process(*RENT) as running:
        running.hear("Waiting up to")
        running.popen.send_signal(number)
        ended = running.ended()
    assert (CODES[number], "") == (ended.code, ended.out)
    assert ended.err.endswith("The number was released.\ninterrupted\n")
    assert ["CANCELLED"] == smsarab.states()


def test_a_second_signal_waits_for_the_release(smsarab: Staged, number: signal.Signals) -> None:
    """However impatient the person is."""
    gate = smsarab.cues[CANCEL] = Gate()
    with process(*RENT) as running:
        running.hear("Waiting up to")
        running.popen.send_signal(number)
        gate.came.wait(30)
        for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            running.popen.send_signal(again)
        gate.go.set()
        ended = running.ended()
    assert (CODES[number], True) == (ended.code, "The number was released.\n" in ended.err)
    assert ["CANCELLED"] == smsarab.states()


def test_a_number_survives_a_kill_without_warning(qasid: Command, smsarab: Staged) -> None:
    """Another process knows it, and can release it."""
    with process(*RENT) as running:
        running.hear("Waiting up to")
        running.popen.kill()
        assert -signal.SIGKILL == running.ended().code
    (rental,) = qasid("activations", "--json").data
    assert 0 == qasid("release", rental["activation"]["id"]).code
    assert (["CANCELLED"], []) == (smsarab.states(), qasid("activations", "--json").data)


def test_a_kill_while_acquiring_leaves_a_trace(qasid: Command, smsarab: Staged) -> None:
    """Pending: the number may be rented, and counts for the budget."""
    gate = smsarab.cues[ACQUIRE] = Gate()
    with process(*RENT) as running:
        gate.came.wait(30)
        running.popen.kill()
        running.ended()
        gate.go.set()
    assert ["pending"] == [rental["state"] for rental in qasid("activations", "--json").data]


# Streams.


@pytest.mark.parametrize(
    "words", [["balance"], ["providers"], ["doctor"], ["--help"], ["--version"]]
)
def test_a_closed_stdout_ends_nothing_in_a_traceback(words: list[str]) -> None:
    """A command that costs nothing just has nobody to tell."""
    ended = in_shell(">&-", *words)
    assert (0, "") == (ended.code, ended.out)


def test_with_a_closed_stdout_nothing_is_rented(smsarab: Staged) -> None:
    """As nobody could be told the code."""
    ended = in_shell(">&-", *RENT)
    assert (EXIT_CODES[errors.SettingsError], []) == (ended.code, smsarab.asked)


def test_a_closed_stderr_costs_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a number."""
    emulator = Staged()
    with served(monkeypatch, emulator, deliver_after=AT_ONCE):
        ended = in_shell("2>&-", *RENT)
    assert (0, "123456\n", ["CANCELLED"]) == (ended.code, ended.out, emulator.states())


def test_a_closed_stdin_is_a_wrong_use() -> None:
    """Where the text should come from there."""
    assert 2 == in_shell("<&-", "send", "+989120000000", "-").code


def gone() -> int:
    """The writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("words", [["inbox"], ["--help"], ["--version"], ["completion", "bash"]])
def test_a_reader_that_goes_away_is_no_error(words: list[str]) -> None:
    """As in `qasid inbox | head -1`."""
    writer = gone()
    with process(*words, stdout=writer) as running:
        os.close(writer)
        assert CLOSED_OUTPUT == running.ended().code


def test_a_number_is_released_though_nobody_reads_its_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was asked for while there still was a reader, for all that is known."""
    emulator, writer = Staged(), gone()
    with (
        served(monkeypatch, emulator, deliver_after=AT_ONCE),
        process(*RENT, stdout=writer) as running,
    ):
        os.close(writer)
        ended = running.ended()
    assert (CLOSED_OUTPUT, ["CANCELLED"]) == (ended.code, emulator.states())
    assert ended.err.endswith("The number was released.\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_encoding_will_do(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """For texts of any script."""
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    with process("inbox") as running:
        assert (0, 6) == ((ended := running.ended()).code, ended.out.count("\n"))


def test_a_bar_is_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here stderr is one, and stdout is not."""
    monkeypatch.setenv("TERM", "xterm")
    master, terminal = os.openpty()
    with (
        served(monkeypatch, Staged(), deliver_after=AT_ONCE),
        process(*RENT, stderr=terminal) as running,
    ):
        ended = running.ended()
    seen = os.read(master, 65_536).decode()
    os.close(master)
    os.close(terminal)
    assert (0, "123456\n", True) == (ended.code, ended.out, "0:00:00" in seen)


def test_there_is_no_bar_where_nobody_watches(smsarab: Staged) -> None:
    """A log gets plain lines."""
    with process(*RENT, "--timeout", "0.2") as running:
        assert "\x1b" not in running.ended().err


# What a new process finds.


def test_a_damaged_state_is_said_to_be_set_aside(tmp_path: Path) -> None:
    """On stderr, and the command goes on."""
    folder = tmp_path / "state" / "qasid"
    folder.mkdir(parents=True)
    (folder / "rentals.sqlite3").write_bytes(b"\xffnot a database")
    with process("activations") as running:
        ended = running.ended()
    (aside,) = folder.glob("*.damaged-*")
    assert (0, b"\xffnot a database") == (ended.code, aside.read_bytes())
    assert f"it was set aside as {aside} and a new one begun" in ended.err


def test_a_broken_plugin_breaks_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found as any installed one is."""
    install(monkeypatch, tmp_path / "a", "qasid-bad", "bad = bad_four:Bad", "raise SystemExit(1)")
    with process("balance", "--account", "sandbox") as running:
        assert "100.00 USD\n" == running.ended().out


def test_completion_works_as_a_shell_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By three variables."""
    asked = {"_QASID_COMPLETE": "bash_complete", "COMP_WORDS": "qasid ren", "COMP_CWORD": "1"}
    for variable, value in asked.items():
        monkeypatch.setenv(variable, value)
    with process() as running:
        assert (0, "plain,rent\n") == ((ended := running.ended()).code, ended.out)


def test_bash_accepts_its_completion_script() -> None:
    """As far as it can be told without using it."""
    with process("completion", "bash") as running:
        script = running.ended().out
    subprocess.run(
        ["/bin/sh", "-c", "command -v bash && bash -n"], input=script, text=True, check=True
    )


# Emulators.


@pytest.mark.parametrize("name", ["smsarab", "sandbox"])
def test_an_emulator_is_served_until_a_signal(
    qasid: Command, monkeypatch: pytest.MonkeyPatch, name: str, number: signal.Signals
) -> None:
    """It listens when its line of JSON is there; a signal is its ordinary end."""
    with process("emulate", name, "--json") as running:
        settings = settings_of(running.popen, monkeypatch, name)
        assert 0 == qasid("balance", "--account", name).code
        running.popen.send_signal(number)
        ended = running.ended()
    assert (0, "", "") == (ended.code, ended.out, ended.err)
    assert {"base_url", "api_key"} == {*settings}


def settings_of(
    popen: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> dict[str, str]:
    """What an emulator says that it is reached with; the environment has it from now on."""
    import json

    assert popen.stdout is not None
    told = json.loads(popen.stdout.readline())
    assert {"url", "settings", "control"} == {*told}
    for key, value in told["settings"].items():
        monkeypatch.setenv(f"QASID_{name}_{key}".upper(), value)
    found: dict[str, str] = told["settings"]
    return found


def test_an_emulator_delivers_a_text_by_itself(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To each rented number, after the time that was asked for."""
    words = ["--deliver-after", "0", "--text", "Acme code 90210", "--port", "0", "--json"]
    with process("emulate", "smsarab", *words) as running:
        settings_of(running.popen, monkeypatch, "smsarab")
        assert "90210\n" == qasid(*RENT).out


def test_an_emulator_tells_people_what_to_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the address of the back doors."""
    reader, writer = os.pipe()
    seen: list[str] = []
    stop = threading.Thread(target=stop_when_served, args=(reader, seen))
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        stop.start()
        code = main(["emulate", "smsarab"])
    stop.join()
    url = seen[0].rpartition(" ")[2]
    assert (0, f"smsarab listens at {url}") == (code, seen[0])
    assert seen[1].startswith("control address: http://127.0.0.1:")
    assert [f"export QASID_SMSARAB_BASE_URL={url}", f"export QASID_SMSARAB_API_KEY={KEY}"] == seen[
        2:
    ]


def stop_when_served(reader: int, seen: list[str]) -> None:
    """Once it waits for its end, it gets it."""
    with os.fdopen(reader) as lines:
        seen += [lines.readline().rstrip("\n") for _ in range(4)]
    main_thread = threading.main_thread().ident
    while sys._current_frames()[main_thread or 0].f_code.co_name != "wait":
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_port_that_is_taken_is_a_wrong_use(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told in a line, with the port."""
    with served(monkeypatch) as server:
        port = server.url.rpartition(":")[2]
        ended = qasid("emulate", "sandbox", "--port", port)
    assert (2, "") == (ended.code, ended.out)
    assert f"Invalid value for '--port': nothing can listen on {port}: " in ended.err


def test_an_unknown_emulator_names_those_that_are_there(qasid: Command) -> None:
    """And what to install."""
    ended = qasid("emulate", "nobody")
    assert EXIT_CODES[errors.ProviderNotFound] == ended.code
    assert "no emulator 'nobody' is installed (there are: " in ended.err
    assert "pip install qasid-nobody" in ended.err


@pytest.mark.parametrize(
    "words", [["--port", "70000"], ["--deliver-after", "-1"], ["--deliver-after", "nan"]]
)
def test_a_wrong_option_of_an_emulator_is_a_wrong_use(qasid: Command, words: list[str]) -> None:
    """Nothing is served."""
    assert (2, "") == ((ended := qasid("emulate", "sandbox", *words)).code, ended.out)
