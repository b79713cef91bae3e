"""`qasid send` of lists, `--at`, templates and `--dry-run`; `qasid schedule` and `qasid status`."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from qasid import errors, finding
from qasid.cli.exits import CLOSED_OUTPUT, EXIT_CODES, NOT_ALL
from qasid.cli.outgoing import MOST
from qasid.effects import Request, Response
from qasid.serving import serve
from qasid_sandbox.emulator import SandboxEmulator

from .commandline import Command, Ended, Staged, install, served, settle, signalling

TO: Final = "+989121112233"
NEXT: Final = "+989121112234"
REFUSED: Final = "+989121110001"
UNANSWERED: Final = "+989121110004"
SOON: Final = "2099-12-01T14:30+03:30"
IN_A_CENTURY: Final = timedelta(days=36_500)
NO_NUMBER: Final = "'to' is not a phone number; write it as +, the country code and the number"
OVER: Final = [[TO, "Hello"], [TO, NEXT, "--text", "x"], [TO, "x", "--dry-run"]]
CODES: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}


@attrs.define(kw_only=True, eq=False)
class Batched(SandboxEmulator):
    """Lets the answer to the n-th batch, from 1, pass its cue."""

    batches: list[int] = attrs.field(factory=list)
    cues: dict[int, Callable[[Response], Response]] = attrs.field(factory=dict)

    def handle(self, request: Request) -> Response:
        response = SandboxEmulator.handle(self, request)
        if (request.method, request.path) != ("POST", "/messages"):
            return response
        self.batches.append(len(request.payload()["messages"]))
        cue = self.cues.get(len(self.batches))
        return cue(response) if cue else response


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Batched]:
    emulator = Batched()
    with serve(emulator) as server:
        monkeypatch.setenv("QASID_SANDBOX_BASE_URL", server.url)
        yield emulator


@pytest.fixture(params=CODES, ids=lambda number: number.name)
def number(request: pytest.FixtureRequest) -> signal.Signals:
    found: signal.Signals = request.param
    return found


def write(name: str, text: str | bytes) -> str:
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


def numbered(count: int) -> list[str]:
    """So many recipients, of a prefix that no operator has; the sandbox refuses none of them."""
    return [f"+98970{2_000_000 + 10 * number}" for number in range(count)]


def listed(count: int) -> str:
    """A file of so many recipients."""
    return write("list.txt", "\n".join(numbered(count)))


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let stdin hold that text."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8"))


def rows(ended: Ended) -> list[list[str]]:
    return [line.split("\t") for line in ended.out.splitlines()]


def states(ended: Ended) -> list[tuple[str, str]]:
    return [(row[0], row[2]) for row in rows(ended)]


def objects(ended: Ended) -> list[Any]:
    return [json.loads(line) for line in ended.out.splitlines()]


def sent(sandbox: SandboxEmulator) -> list[tuple[str, str]]:
    return [(item.to, item.text) for item in sandbox.outbox()]


def refused(ended: Ended, sandbox: Batched, *said: str) -> None:
    """It was a wrong use, nothing was sent, nothing is on stdout, and this was said."""
    assert (2, "", []) == (ended.code, ended.out, sandbox.batches)
    assert all(words in ended.err for words in said), ended.err


# Where recipients come from.


def test_recipients_may_be_arguments(qasid: Command, sandbox: Batched) -> None:
    """Each gets the text, and a line with its receipt's id."""
    ended = qasid("send", TO, "0912 111 2234", "--text", "Hello")
    assert (0, [(TO, "accepted"), (NEXT, "accepted")]) == (ended.code, states(ended))
    assert all(re.fullmatch(r"msg\.\S+", row[1]) for row in rows(ended))
    assert [(TO, "Hello"), (NEXT, "Hello")] == sent(sandbox)


def test_recipients_may_be_in_a_file(qasid: Command, sandbox: Batched) -> None:
    """One a line; blank lines and comments do not count, in any encoding of Unicode's mark."""
    file = write("list.txt", f"\ufeff{TO}\r\n\r\n# friends\n ۰۹۱۲۱۱۱۲۲۳۴  # Sara\n")
    assert 0 == qasid("send", "--to-file", file, "--text", "Hello").code
    assert [(TO, "Hello"), (NEXT, "Hello")] == sent(sandbox)


def test_recipients_may_come_from_stdin_and_from_arguments(
    qasid: Command, sandbox: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments go first."""
    typed(monkeypatch, f"{NEXT}\n")
    assert 0 == qasid("send", TO, "--to-file", "-", "--text", "Hello").code
    assert [TO, NEXT] == [to for to, _ in sent(sandbox)]


def test_a_list_of_one_is_a_list(qasid: Command, sandbox: Batched) -> None:
    """What a program reads does not change with the length of its file."""
    ended = qasid("send", "--to-file", listed(1), "--text", "Hello")
    assert [(numbered(1)[0], "accepted")] == states(ended)


def test_one_number_with_a_text_option_is_one_message(qasid: Command, sandbox: Batched) -> None:
    """The receipt's id is printed alone; the text may come from stdin then too."""
    assert re.fullmatch(r"msg\.\S+\n", qasid("send", TO, "--text", "Hello").out)


def test_the_text_for_a_list_may_come_from_stdin(
    qasid: Command, sandbox: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is, line ends too."""
    typed(monkeypatch, "two\nlines")
    assert 0 == qasid("send", TO, NEXT, "--text", "-").code
    assert [(TO, "two\nlines"), (NEXT, "two\nlines")] == sent(sandbox)


# Templates and CSV.


def test_a_template_has_its_values(qasid: Command, sandbox: Batched) -> None:
    """A value may hold an equals sign."""
    words = ["--template", "welcome", "--value", "name=Sara", "--value", "sum=1+1=2"]
    assert 0 == qasid("send", TO, NEXT, *words).code
    assert (TO, "[welcome] name=Sara sum=1+1=2") == sent(sandbox)[0]


def test_a_csv_file_has_a_text_for_each(qasid: Command, sandbox: Batched) -> None:
    """With quotes and line ends in cells; rows of empty cells do not count."""
    file = write("m.csv", f'\ufeffto, text\r\n{TO},"Hello,\r\n""you"""\r\n,\r\n\r\n{NEXT},سلام\r\n')
    ended = qasid("send", "--csv", file)
    assert (0, [(TO, "accepted"), (NEXT, "accepted")]) == (ended.code, states(ended))
    assert [(TO, 'Hello,\r\n"you"'), (NEXT, "سلام")] == sent(sandbox)


def test_a_csv_file_may_have_templates(
    qasid: Command, sandbox: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column for each value; a cell that is empty is no value. From stdin, here."""
    typed(monkeypatch, f"template,to,place,code\nwelcome,{TO},Shiraz,\notp,{NEXT},,4711\n")
    assert 0 == qasid("send", "--csv", "-").code
    assert [(TO, "[welcome] place=Shiraz"), (NEXT, "[otp] code=4711")] == sent(sandbox)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "there is no column 'to'"),
        (f"phone,text\n{TO},x\n", 1, "there is no column 'to'"),
        (f"to;text\n{TO};x\n", 1, "parted by commas"),
        (f"\n\nto\n{TO}\n", 3, "there must be a column 'text', or a column 'template'"),
        (f"to,text,template\n{TO},x,y\n", 1, "there must be a column 'text'"),
        (f"to,text,\n{TO},x,\n", 1, "a column without a name"),
        (f"to,text,to\n{TO},x,{TO}\n", 1, "a column comes twice"),
        (f"to,text,name\n{TO},x,y\n", 1, "beside 'to' and 'text' there is no other column"),
        (f'to,text\n{TO},"a\nb"\n{NEXT},x,y\n', 4, "3 cells, where the header has 2"),
        (f"to,text\n{TO},x\n,y\n", 3, "'to' is empty"),
        (f"to,text\n{TO},x\n{NEXT},\n", 3, "the text is empty"),
        (f"to,template\n{TO}, \n", 2, "'template' is empty"),
        (f'to,text\n{TO},x\n{NEXT},"never ends\n{TO},x\n', 3, "this is no CSV: unexpected end"),
        (f"to,text\n{TO},x\n".encode() + b"\xff\xfe\n", 3, "save the file as UTF-8"),
        (f"to,text\n{TO},x\n{NEXT},{'x' * 1600}", 3, "11 segments, more than --max-segments 10"),
    ],
)
def test_a_fault_in_a_csv_file_is_found_before_anything_is_sent(
    qasid: Command, sandbox: Batched, text: str | bytes, line: int, problem: str
) -> None:
    """Its line is named, and no cell is shown."""
    ended = qasid("send", "--csv", write("m.csv", text))
    refused(ended, sandbox, f"m.csv, line {line}: ", problem, "nothing was sent")
    assert "never ends" not in ended.err


def test_a_list_that_is_not_utf8_is_refused_by_its_line(qasid: Command, sandbox: Batched) -> None:
    """As of some spreadsheets."""
    file = write("list.txt", f"{TO}\n{NEXT}\n".encode("utf-16"))
    ended = qasid("send", "--to-file", file, "--text", "Hello")
    refused(ended, sandbox, "list.txt, line 1: this is not UTF-8")


@pytest.mark.parametrize(
    ("name", "problem"), [("none.txt", "No such file"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_named(
    qasid: Command, sandbox: Batched, name: str, problem: str
) -> None:
    """And is a wrong use."""
    ended = qasid("send", "--to-file", name, "--text", "Hello")
    refused(ended, sandbox, f"{name}: {problem}")


@pytest.mark.parametrize("words", [["--csv", "-"], ["--to-file", "-", "--text", "Hello"]])
def test_a_list_from_a_closed_stdin_is_a_wrong_use(
    qasid: Command, sandbox: Batched, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """And no empty list."""
    monkeypatch.setattr(sys, "stdin", None)
    refused(qasid("send", *words), sandbox, "stdin is closed")


# What does not go together.


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "give TO and TEXT"),
        ([TO], "give TO and TEXT"),
        ([TO, "Hello", "you"], "give TO and TEXT"),
        (["Hello", "--to-file", "list.txt"], "give TO and TEXT"),
        ([TO, "--text", "x", "--template", "y"], "exclude each other"),
        (["--csv", "m.csv", "--text", "x"], "exclude each other"),
        ([TO, "--csv", "m.csv"], "in its column 'to' alone"),
        (["--to-file", "list.txt", "--csv", "m.csv"], "in its column 'to' alone"),
        ([TO, "--text", "x", "--value", "a=b"], "--value goes with --template"),
        ([TO, "--template", "x", "--value", "a"], "write it as NAME=VALUE"),
        ([TO, "--template", "x", "--value", "=a"], "write it as NAME=VALUE"),
        ([TO, "--template", "x", "--value", "a=1", "--value", "a=2"], "a name comes twice"),
        (["--to-file", "-", "--text", "-"], "only one thing can be read from stdin"),
        ([TO, "x", "--price", "1 USD"], "--price goes with --dry-run"),
        ([TO, "x", "--dry-run", "--price", "cheap"], "a decimal number"),
        ([TO, ""], "the text is empty"),
        ([TO, "caf\udce9"], "the text is not UTF-8"),
        ([TO, "x" * 1600], "the text takes 11 segments, more than --max-segments 10"),
        ([TO, "x" * 161, "--max-segments", "1"], "takes 2 segments, more than --max-segments 1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    qasid: Command, sandbox: Batched, words: list[str], problem: str
) -> None:
    """The message says what to do."""
    refused(qasid("send", *words), sandbox, problem)


def test_a_text_at_the_limit_goes(qasid: Command, sandbox: Batched) -> None:
    """Ten segments, unless told otherwise; a template has none that could be counted."""
    assert 0 == qasid("send", TO, "x" * 1530).code
    assert 0 == qasid("send", TO, "x" * 1531, "--max-segments", "11").code


@pytest.mark.parametrize("text", ["", "\n# nobody\n"])
def test_a_list_of_nobody_is_refused(qasid: Command, sandbox: Batched, text: str) -> None:
    """It is no success, as somebody was to get something."""
    ended = qasid("send", "--to-file", write("list.txt", text), "--text", "Hello")
    refused(ended, sandbox, "there is no recipient; nothing was sent")


def test_a_csv_of_nobody_is_refused(qasid: Command, sandbox: Batched) -> None:
    """A header alone."""
    refused(qasid("send", "--csv", write("m.csv", "to,text\n")), sandbox, "there is no recipient")


def test_too_many_recipients_are_refused(qasid: Command, sandbox: Batched) -> None:
    """100,001: before anything is sent."""
    ended = qasid("send", "--to-file", listed(MOST + 1), "--text", "Hello")
    refused(ended, sandbox, "there are more than 100,000 recipients; nothing was sent")


def test_as_many_recipients_as_may_be_are_taken(qasid: Command) -> None:
    """100,000, in a rehearsal."""
    ended = qasid("send", "--to-file", listed(MOST), "--text", "Hello", "--dry-run", "--json")
    assert (0, MOST, 1000) == (ended.code, ended.data["segments"], ended.data["requests"])


# Duplicates.


def test_a_recipient_that_comes_twice_is_refused(qasid: Command, sandbox: Batched) -> None:
    """In whatever form it is written; the first such pair is named with its places."""
    file = write("list.txt", f"{NEXT}\n\n0912-111-2233\n{NEXT}\n")
    ended = qasid("send", TO, "--to-file", file, "--text", "Hello")
    said = f"{TO} comes twice, in argument 1 and in list.txt, line 3"
    refused(ended, sandbox, said, "--allow-duplicates")


def test_a_csv_row_for_the_same_recipient_is_refused(qasid: Command, sandbox: Batched) -> None:
    """With another text, too."""
    file = write("m.csv", f'to,text\n{TO},"a\nb"\n{TO},c\n')
    refused(qasid("send", "--csv", file), sandbox, "m.csv, line 2 and in m.csv, line 4")


def test_duplicates_may_be_allowed(qasid: Command, sandbox: Batched) -> None:
    """Then each is sent."""
    assert 0 == qasid("send", TO, TO, "--text", "Hello", "--allow-duplicates").code
    assert [(TO, "Hello")] * 2 == sent(sandbox)


# What becomes of a list.


def test_a_recipient_that_is_refused_does_not_keep_the_others(
    qasid: Command, sandbox: Batched
) -> None:
    """Whether by us or by the provider; the exit code tells, and the reasons are summed up."""
    ended = qasid("send", TO, "my friend", REFUSED, NEXT, "--text", "Hello")
    assert NOT_ALL == ended.code
    assert ["accepted", "refused", "refused", "accepted"] == [row[2] for row in rows(ended)]
    assert [["my friend", "-"], [REFUSED, "-"]] == [row[:2] for row in rows(ended)[1:3]]
    assert [
        "2 accepted, 2 refused, 0 unknown.",
        f"InvalidRecipient: 2, first for my friend: {NO_NUMBER}",
    ] == ended.err.splitlines()


def test_what_is_unknown_is_said_to_be_looked_at(qasid: Command, sandbox: Batched) -> None:
    """No other batch is held up by it."""
    ended = qasid("send", "--to-file", listed(100), UNANSWERED, "--text", "Hello")
    assert (NOT_ALL, {"unknown", "accepted"}) == (ended.code, {row[2] for row in rows(ended)})
    assert "1 accepted, 0 refused, 100 unknown.\n" in ended.err
    assert "may have been sent: look before sending it again." in ended.err


def test_json_has_a_line_for_each(qasid: Command, sandbox: Batched) -> None:
    """With what it cost or why it was refused, and never the text."""
    ended = qasid("send", TO, REFUSED, "--text", "SESAME", "--json")
    good, bad = objects(ended)
    assert (TO, "accepted", None, "0.05") == (
        good["to"],
        good["outcome"],
        good["error"],
        good["cost"]["amount"],
    )
    assert good["id"] == good["batch_id"]
    assert ("refused", "InvalidRecipient", "invalid_recipient", None) == (
        bad["outcome"],
        bad["error"]["error"],
        bad["error"]["code"],
        bad["id"],
    )
    assert {"to", "id", "account", "batch_id", "cost", "outcome", "error"} == {*good} == {*bad}
    assert "SESAME" not in ended.out + ended.err


def test_a_tab_in_a_recipient_does_not_make_a_column(qasid: Command, sandbox: Batched) -> None:
    """Nor a line end a line."""
    file = write("m.csv", f'to,text\n"my\t\nfriend",x\n{TO},x\n')
    assert ["my friend", "-", "refused"] == rows(qasid("send", "--csv", file))[0]


def test_what_would_refuse_every_batch_is_told_for_each_message(
    qasid: Command, sandbox: Batched
) -> None:
    """No request is spent on the rest."""
    poor = "+989121110003"
    ended = qasid("send", poor, "--to-file", listed(250), "--text", "Hello")
    assert (NOT_ALL, [100]) == (ended.code, sandbox.batches)
    assert [(to, "refused") for to in [poor, *numbered(250)]] == states(ended)
    assert f"InsufficientCredit: 251, first for {poor}: " in ended.err


def test_a_provider_that_cannot_send_is_told_by_its_own_code(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No message was tried, in a rehearsal neither."""
    emulator = Staged()
    with served(monkeypatch, emulator):
        ended = qasid("send", TO, NEXT, "--text", "Hello")
        assert EXIT_CODES[errors.UnsupportedOperation] == ended.code
        assert "2 not tried.\n" in ended.err
        assert ended.code == qasid("send", TO, "Hello", "--dry-run").code
    assert [] == emulator.asked


# In the middle.


def test_a_signal_waits_for_the_batch_and_sends_no_other(
    qasid: Command, sandbox: Batched, number: signal.Signals
) -> None:
    """What was sent is printed, and what was not is counted."""
    sandbox.cues[2] = signalling(number)
    ended = qasid("send", "--to-file", listed(350), "--text", "Hello")
    assert (CODES[number], [100, 100]) == (ended.code, sandbox.batches)
    assert [(to, "accepted") for to in numbered(200)] == states(ended)
    assert "200 accepted, 0 refused, 0 unknown.\n150 not tried.\ninterrupted\n" == ended.err


def test_a_signal_in_the_last_batch_leaves_nothing_untried(
    qasid: Command, sandbox: Batched, number: signal.Signals
) -> None:
    """It still ends the command as signals do."""
    sandbox.cues[1] = signalling(number)
    ended = qasid("send", TO, NEXT, "--text", "Hello")
    assert (CODES[number], 2) == (ended.code, len(rows(ended)))
    assert "not tried" not in ended.err


def test_a_signal_while_one_message_is_sent_waits_for_its_receipt(
    qasid: Command, sandbox: Batched, number: signal.Signals
) -> None:
    """Whose id is printed, as it was paid for."""
    sandbox.cues[1] = signalling(number)
    ended = qasid("send", TO, "Hello")
    assert (CODES[number], True) == (ended.code, ended.out.startswith("msg."))


def test_a_signal_ends_the_wait_for_the_next_batch(
    qasid: Command, sandbox: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what went before is told: here the second batch is refused for a quarter of an hour."""
    monkeypatch.setenv("QASID_SANDBOX_MAX_WAIT", "1000")

    def busy(response: Response) -> Response:
        os.kill(os.getpid(), signal.SIGTERM)
        return Response(status=429, headers={"Retry-After": "900"}, body=response.body)

    sandbox.cues[2] = busy
    ended = qasid("send", "--to-file", listed(150), "--text", "Hello")
    assert (CODES[signal.SIGTERM], 100) == (ended.code, len(rows(ended)))
    assert "50 not tried.\n" in ended.err


def test_each_batch_is_printed_before_the_next_is_sent(
    qasid: Command, sandbox: Batched, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that a reader has it, and a crash loses nothing."""
    seen: list[int] = []

    def look(response: Response) -> Response:
        seen.append(capsys.readouterr().out.count("\n"))
        return response

    sandbox.cues = {1: look, 2: look, 3: look}
    assert 0 == qasid("send", "--to-file", listed(201), "--text", "Hello").code
    assert [0, 100, 100] == seen


def test_a_reader_that_goes_away_ends_the_sending(
    qasid: Command, sandbox: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As nobody can be told any more."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        ended = qasid("send", "--to-file", listed(150), "--text", "Hello")
    assert (CLOSED_OUTPUT, [100]) == (ended.code, sandbox.batches)
    assert "50 not tried.\n" in ended.err


def drain(master: int, seen: list[bytes]) -> None:
    """Read a terminal until its other end is closed; then reading it is an error."""
    with contextlib.suppress(OSError):
        while chunk := os.read(master, 65_536):
            seen.append(chunk)


def test_who_watches_a_terminal_sees_how_far_it_has_come(
    qasid: Command, sandbox: Batched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bar on stderr that counts; stdout has the lines alone."""
    monkeypatch.setenv("TERM", "xterm")
    master, terminal = os.openpty()
    seen: list[bytes] = []
    watching = threading.Thread(target=drain, args=(master, seen))
    watching.start()
    with os.fdopen(terminal, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        ended = qasid("send", "--to-file", listed(150), "--text", "Hello")
    watching.join()
    os.close(master)
    shown = b"".join(seen).decode()
    assert [(to, "accepted") for to in numbered(150)] == states(ended)
    assert ("100/150" in shown, "150 accepted" in shown) == (True, True)


# Moments.


def test_a_message_may_be_scheduled_and_taken_back(qasid: Command, sandbox: Batched) -> None:
    """The command that takes it back is said."""
    ended = qasid("send", TO, "Hello", "--at", SOON)
    line = next(line for line in ended.err.splitlines() if "Take it back with" in line)
    words = line.partition(": qasid ")[2].split()
    back = qasid(*words)
    assert (0, "", "It will not be sent.\n") == (back.code, back.out, back.err)
    sandbox.advance(IN_A_CENTURY)
    assert [] == sent(sandbox)


def test_a_scheduled_list_has_the_batch_ids(qasid: Command, sandbox: Batched) -> None:
    """In a column of their own; none for what was refused."""
    ended = qasid("send", TO, REFUSED, "--text", "Hello", "--at", SOON)
    good, bad = rows(ended)
    assert (4, ["-", "refused", "-"]) == (len(good), bad[1:])
    assert {"batch_id": good[3]} == qasid("schedule", "cancel", good[3], "--json").data


@pytest.mark.parametrize(
    "written",
    [
        "2099-12-01 14:30 Asia/Tehran",
        "2099-12-01 14:30:00 Asia/Tehran",
        "2099-12-01T14:30+03:30",
        "2099-12-01 14:30 +0330",
        "2099-12-01T11:00Z",
        "۲۰۹۹-۱۲-۰۱ ۱۴:۳۰ Asia/Tehran",
    ],
)
def test_a_moment_is_written_with_its_zone(qasid: Command, sandbox: Batched, written: str) -> None:
    """By the name of the zone or by its offset: all of these are the same."""
    receipt = qasid("send", TO, "Hello", "--at", written, "--json").data
    assert (
        receipt["id"].split(".")[2]
        == qasid("send", TO, "Hello", "--at", "2099-12-01T11:00:00Z", "--json")
        .data["id"]
        .split(".")[2]
    )


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("2099-12-01 14:30", "it has no time zone; write it as"),
        ("2099-12-01T14:30", "it has no time zone; write it as"),
        ("2099-12-01 Asia/Tehran", "no date with a time; write it as"),
        ("tomorrow", "no date with a time; write it as"),
        ("2099-02-30 14:30 Asia/Tehran", "day is out of range for month"),
        ("2099-12-01 25:30 Asia/Tehran", "hour must be in 0..23"),
        ("2099-12-01 14:30 Asia/Theran", "'Asia/Theran' is no time zone"),
        ("2099-12-01 14:30 Asia", "'Asia' is no time zone"),
        ("2099-12-01 14:30 ../etc", "'../etc' is no time zone"),
        ("2099-12-01T14:30+99:00", "write it as"),
        ("0001-01-01T00:00+14:00", "write it as"),
        ("2027-03-28 02:30 Europe/Berlin", "does not exist: clocks are put forward past it"),
    ],
)
def test_a_moment_that_says_nothing_certain_is_refused(
    qasid: Command, sandbox: Batched, written: str, problem: str
) -> None:
    """With how it is written."""
    refused(qasid("send", TO, "Hello", "--at", written), sandbox, "'--at'", problem)


@pytest.mark.parametrize(
    "words", [[TO, "Hello"], [TO, NEXT, "--text", "x"], [TO, "x", "--dry-run"]]
)
def test_a_moment_that_is_over_is_refused(
    qasid: Command, sandbox: Batched, words: list[str]
) -> None:
    """For a list as a whole, before anything is sent."""
    ended = qasid("send", *words, "--at", "2020-12-01 14:30 Asia/Tehran")
    assert (EXIT_CODES[errors.InvalidRequest], "") == (ended.code, ended.out)
    assert "send_at is not later than now" in ended.err
    assert [] == sandbox.batches


def test_what_is_not_scheduled_cannot_be_taken_back(qasid: Command, sandbox: Batched) -> None:
    """The provider says so."""
    assert EXIT_CODES[errors.InvalidRequest] == qasid("schedule", "cancel", "no-such").code


# Rehearsing.


def test_a_rehearsal_tells_segments_requests_and_price(qasid: Command, sandbox: Batched) -> None:
    """A line for each message; the sum is on stderr, and nothing is sent."""
    words = ["--to-file", listed(101), "--text", "سلام" * 20, "--dry-run", "--price", "0.05 USD"]
    ended = qasid("send", *words)
    assert (0, [[to, "2", "UCS-2"] for to in numbered(101)]) == (ended.code, rows(ended))
    assert [
        "Messages: 101; refused: 0; segments: 202",
        "Requests: 2",
        "Price: 10.10 USD",
        "Nothing was sent.",
    ] == ended.err.splitlines()
    assert [] == sandbox.batches


def test_no_price_is_made_up(qasid: Command, sandbox: Batched) -> None:
    """Providers tell none beforehand."""
    ended = qasid("send", TO, "Hello", "--dry-run")
    assert (f"{TO}\t1\tGSM-7\n", True) == (ended.out, "Price: not known\n" in ended.err)


def test_texts_that_differ_may_take_more_requests(qasid: Command, sandbox: Batched) -> None:
    """How many is the provider's matter, so the least is told."""
    file = write("m.csv", f"to,text\n{TO},Hello\n{NEXT},سلام\n")
    assert "Requests: at least 1; more where" in qasid("send", "--csv", file, "--dry-run").err
    same = write("m.csv", f"to,text\n{TO},Hello\n{NEXT},Hello\n")
    assert "Requests: 1\n" in qasid("send", "--csv", same, "--dry-run").err


def test_the_segments_of_a_template_are_not_known(qasid: Command, sandbox: Batched) -> None:
    """Nor is, so, what it costs."""
    words = ["--template", "welcome", "--dry-run", "--price", "1 USD"]
    ended = qasid("send", TO, NEXT, *words)
    assert [[TO, "-", "template"], [NEXT, "-", "template"]] == rows(ended)
    assert ["Messages: 2; refused: 0; segments: not known", "Price: not known"] == [
        line for line in ended.err.splitlines() if line.startswith(("Messages", "Price"))
    ]
    assert "Requests: at least 1" in ended.err
    assert "Requests: 1\n" in qasid("send", TO, *words).err


def test_a_rehearsal_finds_recipients_that_are_no_numbers(qasid: Command, sandbox: Batched) -> None:
    """As sending would; the exit code is the same too."""
    ended = qasid("send", TO, "my friend", "--text", "Hello", "--dry-run")
    assert (NOT_ALL, ["my friend", "-", "refused"]) == (ended.code, rows(ended)[1])
    assert "Messages: 1; refused: 1; segments: 1\n" in ended.err
    alone = qasid("send", "my friend", "Hello", "--dry-run")
    assert EXIT_CODES[errors.InvalidRecipient] == alone.code


def test_a_rehearsal_as_json_is_one_line(qasid: Command, sandbox: Batched) -> None:
    """With the sums, and the messages without their texts."""
    ended = qasid("send", TO, "x", "--text", "SESAME", "--dry-run", "--price", "2 IRR", "--json")
    data = ended.data
    assert (1, 1, False, {"amount": "2", "currency": "IRR"}) == (
        data["segments"],
        data["requests"],
        data["at_least"],
        data["price"],
    )
    assert {"to": TO, "segments": 1, "encoding": "GSM-7", "error": None} == data["messages"][0]
    assert "InvalidRecipient" == data["messages"][1]["error"]["error"]
    assert "SESAME" not in ended.out + ended.err


# Afterwards.

SILENT: Final = """
from qasid.hookspecs import hookimpl
from qasid.values import DeliveryReport, DeliveryState
from qasid_sandbox import Sandbox

class Silent(Sandbox):
    @hookimpl
    def delivery_status(self, receipts):
        yield from ()
        known = [(receipt.id, receipt.to) for receipt in receipts]
        state = DeliveryState.PENDING
        return [DeliveryReport(receipt_id=name, state=state, to=to) for name, to in known]
"""


def ids(ended: Ended) -> Sequence[str]:
    return [row[1] for row in rows(ended)]


def test_the_status_of_messages_is_asked_by_their_ids(qasid: Command, sandbox: Batched) -> None:
    """A table, in the order of the ids; one that nobody knows is unknown."""
    sent_ids = ids(qasid("send", TO, "+989121110006", "--text", "Hello"))
    sandbox.advance(timedelta(seconds=2))
    header, *found = [line.split() for line in qasid("status", *sent_ids, "x").out.splitlines()]
    assert ["ID", "STATE"] == header[:2]
    assert [[sent_ids[0], "delivered"], [sent_ids[1], "failed"], ["x", "unknown"]] == [
        row[:2] for row in found
    ]
    assert TO in found[0]


def test_the_status_as_json_is_a_list(qasid: Command, sandbox: Batched) -> None:
    """With every field of the reports."""
    (report,) = qasid("status", *ids(qasid("send", TO, NEXT, "--text", "x"))[:1], "--json").data
    assert (TO, "pending") == (report["to"], report["state"])


def test_a_recipient_that_the_provider_does_not_tell_is_not_told(
    qasid: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its plugin has it from the receipt, and here there is none."""
    install(monkeypatch, tmp_path / "site", "qasid-silent", "silent = silent:Silent", SILENT)
    (report,) = qasid("status", "m1", "--account", "silent", "--json").data
    assert ("m1", None) == (report["receipt_id"], report["to"])
    finding.forget()


def test_no_id_is_a_wrong_use(qasid: Command, sandbox: Batched) -> None:
    """There is nothing to ask."""
    assert 2 == qasid("status").code
