"""The commands of `qasid`: data on stdout, all else on stderr, and an exit code for each end."""

from __future__ import annotations

import io
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from qasid import errors
from qasid._version import VERSION
from qasid.cli import main, running
from qasid.cli.exits import CLOSED_OUTPUT, EXIT_CODES, NO, NOT_ALL, exit_code
from qasid.cli.output import plain
from qasid.values import TextMessage
from qasid_sandbox.emulator import SandboxEmulator

from .commandline import ACQUIRE, KEY, Command, Staged, answering, lines, served, settle
from .loopback import hang_up, serving

SANDBOX_NOTICE: Final = (
    "No account is configured: this is the sandbox, and nothing in it is real.\n"
)
COMMANDS: Final = [[name] for name in running._COMMANDS]
PARTS: Final = [["otp", "send"], ["otp", "verify"], ["schedule", "cancel"]]
TO: Final = "+989120000000"


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)


@pytest.fixture
def smsarab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Staged]:
    emulator = Staged()
    with served(monkeypatch, emulator):
        yield emulator


def keep_one(qasid: Command) -> str:
    """Rent a number at SMSArab and keep it; gives its activation."""
    assert 9 == qasid("rent", "whatsapp", "SA", "--keep", "--timeout", "0").code
    return str(qasid("activations", "--json").data[-1]["activation"]["id"])


# What each command prints.


def test_the_balance_is_the_data_and_the_notice_is_not(qasid: Command) -> None:
    """With nothing configured it is the sandbox's, and that is said on stderr."""
    ended = qasid("balance")
    assert (0, "100.00 USD\n", SANDBOX_NOTICE) == (ended.code, ended.out, ended.err)


def test_json_has_exact_amounts(qasid: Command) -> None:
    """As text, never as a float."""
    assert {"amount": "100.00", "currency": "USD"} == qasid("balance", "--json").data


def test_offers_are_a_table(qasid: Command) -> None:
    """With a header, and the stock where the provider tells."""
    ended = qasid("offers", "--service", "acme", "--country", "SA")
    assert ["SERVICE COUNTRY PRICE STOCK NAME", "acme SA 0.50 USD 100"] == lines(ended.out)


def test_a_stock_that_is_not_told_is_a_question_mark(qasid: Command, smsarab: Staged) -> None:
    """And names come from the provider, in its own script."""
    ended = qasid("offers", "--service", "google")
    assert "google EG 0.3 USD ? Google, مصر" == lines(ended.out)[1]


def test_offers_as_json(qasid: Command) -> None:
    """One line, with every field."""
    (offer,) = qasid("offers", "--service", "acme", "--country", "SA", "--json").data
    assert ("acme", {"amount": "0.50", "currency": "USD"}) == (offer["service"], offer["price"])


def test_an_empty_list_is_said_on_stderr_alone(qasid: Command) -> None:
    """A table of nothing is no data."""
    ended = qasid("offers", "--country", "nowhere")
    notice = "Nothing is on offer for that service and country.\n"
    assert (0, "", SANDBOX_NOTICE + notice) == (ended.code, ended.out, ended.err)


def test_the_inbox_shows_each_message_in_a_line_with_its_code(qasid: Command) -> None:
    """Digits of any script are the code in ASCII."""
    ended = qasid("inbox", "--limit", "2")
    rows = [re.fullmatch(r"\S+ \S+ Acme ([0-9]{6}) .+", line) for line in lines(ended.out)]
    assert [True, True] == [row is not None for row in rows]


def test_the_inbox_as_json_has_the_code_too(qasid: Command) -> None:
    """Beside the text that it was found in."""
    (message,) = qasid("inbox", "--limit", "1", "--json").data
    assert ("Acme", 6) == (message["sender"], len(message["code"]))


def test_json_is_ascii(qasid: Command) -> None:
    """So it is right whatever the encoding of stdout."""
    assert qasid("inbox", "--json").out.isascii()


def test_the_inbox_of_an_activation_is_empty_until_a_message_comes(
    qasid: Command, smsarab: Staged
) -> None:
    """No message yet is no error, and is said on stderr."""
    ended = qasid("inbox", keep_one(qasid))
    assert (0, "", "No message yet.\n") == (ended.code, ended.out, ended.err)


def test_the_inbox_of_an_activation_needs_no_account_name(
    qasid: Command, smsarab: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written down with the rental, so a second account does not matter."""
    activation = keep_one(qasid)
    monkeypatch.setenv("QASID_SANDBOX_SEED", "1")
    smsarab.deliver(activation, "Your code:\n4711", sender="Globex")
    ended = qasid("inbox", activation)
    assert "Globex 4711 Your code: 4711" == lines(ended.out)[0].split(" ", 2)[2]


def test_sending_prints_the_receipt(qasid: Command) -> None:
    """Its id alone; whom it went to is said on stderr, in E.164."""
    ended = qasid("send", "0912 000 00 00", "Hello")
    assert f"{SANDBOX_NOTICE}Accepted for {TO}.\n" == ended.err
    assert re.fullmatch(r"msg\.\S+\n", ended.out)


def test_a_receipt_as_json(qasid: Command) -> None:
    """With what it cost."""
    receipt = qasid("send", TO, "Hello", "--json").data
    assert (TO, None, "0.05") == (receipt["to"], receipt["error"], receipt["cost"]["amount"])


def test_a_text_may_come_from_stdin(
    qasid: Command, sandbox: SandboxEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is, line ends too; a sender may be named."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("two\nlines"))
    assert 0 == qasid("send", TO, "-", "--sender", "Acme").code
    assert [(TO, "two\nlines", "Acme")] == [(i.to, i.text, i.sender) for i in sandbox.outbox()]


def test_a_closed_stdin_is_a_wrong_use(qasid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not an empty text."""
    monkeypatch.setattr(sys, "stdin", None)
    assert 2 == qasid("send", TO, "-").code


def test_a_one_time_password_is_printed_alone(qasid: Command) -> None:
    """Where the provider tells it."""
    ended = qasid("otp", "send", TO, "--direct", "--code", "0471")
    assert "0471\n" == ended.out
    assert re.fullmatch(
        rf"A code is on its way to \{TO}, good until [0-9:]{{8}} UTC\.\n",
        ended.err.removeprefix(SANDBOX_NOTICE),
    )


def test_what_to_dial_is_said(qasid: Command) -> None:
    """For a code by USSD."""
    ended = qasid("otp", "send", TO, "--channel", "ussd", "--length", "4", "--lifetime", "60")
    assert re.search(r"^To see it, dial \*999\*[0-9]{4}#$", ended.err, re.MULTILINE)


def test_a_right_code_is_accepted(qasid: Command) -> None:
    """Also when it is typed in Persian digits."""
    code = qasid("otp", "send", TO, "--direct").out.strip()
    persian = code.translate({ord("0") + digit: 0x6F0 + digit for digit in range(10)})
    ended = qasid("otp", "verify", TO, persian, "--direct")
    assert (0, "accepted\n") == (ended.code, ended.out)


def test_a_wrong_code_is_rejected_with_exit_code_1(qasid: Command) -> None:
    """It is an answer, so it is on stdout, and nothing is said of an error."""
    ended = qasid("otp", "verify", TO, "000", "--direct")
    assert (NO, "rejected\n", SANDBOX_NOTICE) == (ended.code, ended.out, ended.err)


def test_a_verdict_as_json_has_the_reason(qasid: Command) -> None:
    """With the same exit code."""
    ended = qasid("otp", "verify", TO, "000", "--direct", "--json")
    assert (NO, {"accepted": False, "reason": "wrong"}) == (ended.code, ended.data)


def test_no_rented_number_is_said_on_stderr(qasid: Command) -> None:
    """And stdout stays empty."""
    ended = qasid("activations")
    assert (0, "", "No number is rented.\n") == (ended.code, ended.out, ended.err)


def test_no_rented_number_is_an_empty_list_in_json(qasid: Command) -> None:
    """A program needs no special case."""
    assert [] == qasid("activations", "--json").data


def test_activations_are_a_table_without_asking_the_provider(
    qasid: Command, smsarab: Staged
) -> None:
    """Of all that is written down."""
    activation = keep_one(qasid)
    smsarab.asked.clear()
    header, row = lines(qasid("activations").out)
    assert "ACTIVATION NUMBER SERVICE COUNTRY ACCOUNT STATE ENDS (UTC)" == header
    assert f"{activation} +966500000001 whatsapp SA smsarab open" == " ".join(row.split()[:6])
    assert [] == smsarab.asked


def test_activations_of_another_account_are_left_out(qasid: Command, smsarab: Staged) -> None:
    """With --account."""
    keep_one(qasid)
    assert "" == qasid("activations", "--account", "sandbox").out


def test_an_order_that_was_never_answered_is_listed(qasid: Command, smsarab: Staged) -> None:
    """As it may have rented a number, it is pending, and of what nobody knows."""
    smsarab.cues[ACQUIRE] = answering(500)
    ended = qasid("rent", "whatsapp", "SA")
    assert (24, True) == (ended.code, "It may have been performed: look" in ended.err)
    assert "? ? ? ? smsarab pending" == " ".join(lines(qasid("activations").out)[1].split()[:6])


def test_releasing_frees_the_number(qasid: Command, smsarab: Staged) -> None:
    """At the provider and in the book."""
    activation = keep_one(qasid)
    ended = qasid("release", activation)
    assert (0, "", "The number was released.\n") == (ended.code, ended.out, ended.err)
    assert (["CANCELLED"], []) == (smsarab.states(), qasid("activations", "--json").data)


def test_releasing_as_json_has_the_refund(qasid: Command, sandbox: SandboxEmulator) -> None:
    """A number may be reported as unusable by that."""
    qasid("rent", "acme", "SA", "--keep", "--timeout", "0")
    (rental,) = qasid("activations", "--json").data
    released = qasid("release", rental["activation"]["id"], "--unusable", "--json").data
    assert {"amount": "0.50", "currency": "USD"} == released["refund"]


def test_providers_are_a_matrix(qasid: Command) -> None:
    """Hooks down, providers across, and the notes of those that can do a part."""
    header, *rows = lines(qasid("providers").out)
    assert {"sandbox", "smsarab"} <= {*header.split()}
    assert {"send", "balance"} <= {row.partition(" ")[0] for row in rows}
    assert "smsarab acquire_number: one service in each order" in rows


def test_providers_as_json_tell_who_owns_them(qasid: Command) -> None:
    """And what each hook is worth."""
    (found,) = [e for e in qasid("providers", "--json").data if e["name"] == "sandbox"]
    assert ([f"qasid-sandbox {version('qasid-sandbox')}"], "full") == (
        found["distributions"],
        found["support"]["send"]["level"],
    )


# Which account.


def configure(text: str) -> None:
    Path("qasid.toml").write_text(text)


TWO: Final = '[accounts.work]\nprovider = "sandbox"\n[accounts.home]\nprovider = "sandbox"\n'


def test_the_one_account_of_the_file_is_taken(qasid: Command) -> None:
    """Without a word about it."""
    configure('[accounts.work]\nprovider = "sandbox"\n')
    ended = qasid("balance")
    assert ("100.00 USD\n", "") == (ended.out, ended.err)


def test_the_one_account_of_the_environment_is_taken(qasid: Command, smsarab: Staged) -> None:
    """A provider that has variables is an account."""
    ended = qasid("balance")
    assert ("45.75 USD\n", "") == (ended.out, ended.err)


def test_among_several_accounts_one_must_be_chosen(qasid: Command) -> None:
    """The error names them."""
    configure(TWO)
    ended = qasid("balance")
    assert (2, "") == (ended.code, ended.out)
    assert "several accounts are configured (work, home); choose with --account" in ended.err


@pytest.mark.parametrize("option", ["-a", "--account"])
def test_an_account_is_chosen_by_its_name(qasid: Command, option: str) -> None:
    """After which nothing is left to say."""
    configure(TWO)
    assert (0, "") == (qasid("balance", option, "home").code, qasid("balance", option, "home").err)


def test_an_account_is_chosen_by_a_variable(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a whole session of a shell."""
    configure(TWO)
    monkeypatch.setenv("QASID_ACCOUNT", "work")
    assert 0 == qasid("balance").code


# Exit codes.


def tree(above: type[errors.QasidError]) -> list[type[errors.QasidError]]:
    """The class and all below it, but for those that tests make."""
    below = [kind for kind in above.__subclasses__() if kind.__module__ == errors.__name__]
    return [above, *(kind for each in below for kind in tree(each))]


@pytest.mark.parametrize("kind", tree(errors.QasidError))
def test_every_class_of_error_has_an_exit_code(kind: type[errors.QasidError]) -> None:
    """Of its own."""
    assert kind in EXIT_CODES


def test_no_two_ends_have_the_same_exit_code() -> None:
    """Nor one of those that shells and Python give a meaning."""
    taken = {0, NO, 2, NOT_ALL, *range(120, 256)}
    assert sorted({*EXIT_CODES.values()} - taken) == sorted(EXIT_CODES.values())


def test_a_class_of_somebody_else_has_the_code_of_the_nearest_above() -> None:
    """So a plugin may refine an error."""

    class Blocked(errors.RecipientOptedOut):
        pass

    assert EXIT_CODES[errors.RecipientOptedOut] == exit_code(Blocked("x"))


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ("0001", errors.InvalidRecipient),
        ("0002", errors.RecipientOptedOut),
        ("0003", errors.InsufficientCredit),
        ("0004", errors.ProviderUnavailable),
        ("0005", errors.RateLimited),
    ],
)
def test_a_refusal_is_told_by_its_class_and_exit_code(
    qasid: Command, monkeypatch: pytest.MonkeyPatch, end: str, kind: type[errors.QasidError]
) -> None:
    """Nothing of it is on stdout, and the text that was to be sent is nowhere."""
    monkeypatch.setenv("QASID_SANDBOX_MAX_WAIT", "0")
    ended = qasid("send", f"+98912000{end}", "SESAME")
    assert (EXIT_CODES[kind], "") == (ended.code, ended.out)
    assert ended.err.startswith(f"error: {kind.__name__}: ")
    assert "SESAME" not in ended.err


def test_an_error_tells_when_to_try_again(qasid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """And that nothing was performed."""
    monkeypatch.setenv("QASID_SANDBOX_MAX_WAIT", "0")
    assert ["It was not performed.", "Try again in 1 s."] == qasid(
        "send", "+989120000005", "x"
    ).err.splitlines()[1:]


def test_an_error_tells_that_it_may_have_been_performed(qasid: Command) -> None:
    """Where that is not known."""
    said = "It may have been performed: look before trying again."
    assert said == qasid("send", "+989120000004", "x").err.splitlines()[-1]


def test_a_delivery_that_will_fail_is_still_accepted(qasid: Command) -> None:
    """The provider took it."""
    assert 0 == qasid("send", "+989120000006", "x").code


def test_a_refused_code_of_ones_own_is_no_verdict(qasid: Command) -> None:
    """OtpRejected: the provider would not send it."""
    ended = qasid("otp", "send", TO, "--direct", "--code", "12")
    assert EXIT_CODES[errors.OtpRejected] == ended.code


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, errors.PermissionDenied), (500, errors.ProviderUnavailable)],
)
def test_a_status_has_its_exit_code(
    qasid: Command,
    smsarab: Staged,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    kind: type[errors.QasidError],
) -> None:
    """Whatever the body is."""
    monkeypatch.setenv("QASID_SMSARAB_MAX_WAIT", "0")
    smsarab.cues["GET /v1/balance"] = answering(status)
    assert EXIT_CODES[kind] == qasid("balance").code


def test_what_a_provider_cannot_do_names_those_that_can(qasid: Command, smsarab: Staged) -> None:
    """Nothing is sent."""
    ended = qasid("send", TO, "Hello")
    assert (EXIT_CODES[errors.UnsupportedOperation], []) == (ended.code, smsarab.asked)
    assert re.search("installed providers that have: .*sandbox", ended.err)


def test_a_number_whose_time_is_over_has_an_exit_code(qasid: Command, smsarab: Staged) -> None:
    """When it is to be released."""
    activation = keep_one(qasid)
    smsarab.advance(timedelta(minutes=11))
    assert EXIT_CODES[errors.NumberExpired] == qasid("release", activation).code


def test_a_number_that_the_provider_keeps_has_an_exit_code(qasid: Command, smsarab: Staged) -> None:
    """And is listed as kept."""
    smsarab.cancel_after_message = False
    activation = keep_one(qasid)
    smsarab.deliver(activation, "4711")
    assert EXIT_CODES[errors.ReleaseRefused] == qasid("release", activation).code
    assert ["kept"] == [rental["state"] for rental in qasid("activations", "--json").data]


def test_one_of_several_activations_is_found(qasid: Command, smsarab: Staged) -> None:
    """And no other is released."""
    first, second = keep_one(qasid), keep_one(qasid)
    assert 0 == qasid("release", second).code
    assert [first] == [each["activation"]["id"] for each in qasid("activations", "--json").data]


@pytest.mark.parametrize("command", ["release", "inbox"])
def test_an_activation_that_nobody_wrote_down_is_not_found(qasid: Command, command: str) -> None:
    """And where to look is said."""
    ended = qasid(command, "no-such-id")
    assert EXIT_CODES[errors.NumberNotFound] == ended.code
    assert "no open activation 'no-such-id' is written down; see: qasid activations" in ended.err


def test_an_answer_that_never_comes_is_unknown(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NoAnswer: the connection was ended instead."""
    with serving(hang_up) as server:
        monkeypatch.setenv("QASID_SANDBOX_BASE_URL", server.url)
        monkeypatch.setenv("QASID_SANDBOX_MAX_WAIT", "0")
        assert EXIT_CODES[errors.NoAnswer] == qasid("balance").code


# Help, version and completion.


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize(
    "words", [[], *COMMANDS, ["otp", "send"], ["otp", "verify"], ["schedule", "cancel"]]
)
def test_every_command_has_help(qasid: Command, words: list[str], option: str) -> None:
    """On stdout, as it was asked for."""
    ended = qasid(*words, option)
    assert (0, "") == (ended.code, ended.err)
    assert ended.out.startswith(f"Usage: {' '.join(['qasid', *words])} ")


def test_no_command_is_a_wrong_use(qasid: Command) -> None:
    """The help is then on stderr."""
    ended = qasid()
    assert (2, "", True) == (ended.code, ended.out, ended.err.startswith("Usage: qasid "))


def test_an_unknown_command_is_a_wrong_use(qasid: Command) -> None:
    """Which is named."""
    ended = qasid("rnet")
    assert (2, True) == (ended.code, "No such command 'rnet'" in ended.err)


@pytest.mark.parametrize("words", [["--version"], ["--version", "balance"]])
def test_the_version_is_printed(qasid: Command, words: list[str]) -> None:
    """The same, whether before click is there or by it."""
    assert (0, f"qasid {VERSION}\n") == (qasid(*words).code, qasid(*words).out)


def _imported(*words: str) -> set[str]:
    """All modules that a process of the command imports."""
    code = "import sys; from qasid.cli import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", code, *words]
    # What measures the cover of a process would be imported too.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    ran = subprocess.run(command, env=alone, capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines()[-1].split())


#: What a sending account needs, and a list does not.
HEAVY: Final = frozenset(
    {
        "asyncio",
        "importlib.metadata",
        "qasid.account",
        "qasid.drivers",
        "qasid.rentals",
        "qasid.settings",
        "requests",
        "rich",
        "sqlite3",
        "stevedore",
    }
)


def test_the_version_needs_neither_click_nor_attrs() -> None:
    """Scripts ask for it, and it is there at once."""
    assert set() == _imported("--version") & {"click", "attr", "attrs", "typing", "re"}


def test_the_list_of_commands_needs_none_of_them() -> None:
    """Nor what they need."""
    imported = _imported("--help")
    ours = {"cli", "cli.exits", "cli.output", "cli.running", "distributions", "errors", "_version"}
    assert set() == imported & (HEAVY | {"attr", "pluggy"})
    assert {f"qasid.{name}" for name in ours} == {n for n in imported if n.startswith("qasid.")}


def test_the_list_of_commands_says_what_each_says_of_itself(qasid: Command) -> None:
    """Or the beginning of that."""
    listed = qasid("--help").out.partition("Commands:\n")[2]
    rows = [row.partition(" ") for row in lines(listed)]
    for name, _, words in rows:
        said = words.removesuffix("...").removesuffix(".")
        assert said in " ".join(qasid(name, "--help").out.split())
    assert {name for (name,) in COMMANDS} <= {name for name, _, _ in rows}


def test_the_list_of_providers_needs_none_of_what_an_account_needs() -> None:
    """Their classes are imported, and little else."""
    imported = _imported("providers", "--json")
    assert "qasid_smsarab" in imported
    assert set() == imported & HEAVY


def test_the_module_can_be_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the arguments of the process."""
    monkeypatch.setattr(sys, "argv", ["qasid", "otp", "verify", TO, "000"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("qasid.cli", run_name="__main__")
    assert (NO, "rejected\n") == (end.value.code, capsys.readouterr().out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion_script(qasid: Command, shell: str) -> None:
    """Which asks `qasid` by the variable that it answers to."""
    ended = qasid("completion", shell)
    assert (0, True) == (ended.code, f"_QASID_COMPLETE={shell}_complete" in ended.out)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("qasid ren", ["plain,rent"]),
        ("qasid otp ver", ["plain,verify"]),
        ("qasid emulate smsar", ["plain,smsarab"]),
        ("qasid balance --account w", ["plain,work"]),
        ("qasid balance --account sand", ["plain,sandbox"]),
    ],
)
def test_completion_knows_commands_accounts_and_emulators(
    qasid: Command, monkeypatch: pytest.MonkeyPatch, words: str, expected: list[str]
) -> None:
    """As bash asks for it."""
    configure('[accounts.work]\nprovider = "sandbox"\n')
    monkeypatch.setenv("_QASID_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    ended = qasid()
    assert (0, expected) == (ended.code, ended.out.splitlines())


# Where stdout is not what one thinks.


def test_without_a_stdout_a_free_command_does_its_work(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is just nobody to tell."""
    monkeypatch.setattr(sys, "stdout", None)
    assert 0 == main(["balance"])


@pytest.mark.parametrize("words", [["rent", "acme", "SA"], ["send", TO, "x"], ["otp", "send", TO]])
def test_without_a_stdout_nothing_is_paid(
    capsys: pytest.CaptureFixture[str],
    sandbox: SandboxEmulator,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:
    """As nobody could be told the result."""
    monkeypatch.setattr(sys, "stdout", None)
    assert EXIT_CODES[errors.SettingsError] == main(words)
    assert [] == [*sandbox.activations(), *sandbox.outbox()]
    assert "field 'stdout': is closed" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["balance", "--version", "--help"])
def test_a_reader_that_goes_away_is_no_error(
    qasid: Command, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """The exit code is that of SIGPIPE, and nothing is said."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        ended = qasid(word)
    assert (CLOSED_OUTPUT, "") == (ended.code, ended.err.removeprefix(SANDBOX_NOTICE))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
def test_a_full_disk_is_an_error(qasid: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is said."""
    with Path("/dev/full").open("w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        ended = qasid("balance")
    error = "error: stdout: No space left on device\n"
    assert (CLOSED_OUTPUT, error) == (ended.code, ended.err.removeprefix(SANDBOX_NOTICE))


def test_what_an_encoding_lacks_is_shown_escaped(
    qasid: Command, smsarab: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it has been paid for."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    assert 0 == main(["offers", "--service", "google"])
    assert rb"Google, \u0645\u0635\u0631" in written.getvalue()


def test_a_stderr_that_cannot_be_written_stops_nothing(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would have said is lost; the data is not."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as raw:
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, write_through=True))
        ended = qasid("balance")
    assert (0, "100.00 USD\n") == (ended.code, ended.out)


def test_values_become_plain() -> None:
    """Moments, durations and errors too."""
    error = errors.InvalidRecipient("no such number")
    assert [60.0, {"error": "InvalidRecipient", "message": "no such number"}, {"a": "1"}] == plain(
        [timedelta(minutes=1), error, {"a": "1"}]
    )
    assert {"to": TO, "text": "x", "sender": None, "send_at": None, "reference": None} == plain(
        TextMessage(to=TO, text="x")
    )


def test_the_key_is_what_these_tests_look_for() -> None:
    """`Command` hunts for it in all that is said on stderr."""
    assert "YOUR_API_KEY" == KEY
