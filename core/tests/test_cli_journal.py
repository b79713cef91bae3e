"""`qasid journal`: what was done is listed, and what is not known is settled."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from qasid import errors, journal
from qasid.cli.exits import EXIT_CODES, NO
from qasid.journal.records import Ending, State, intent
from qasid.journal.results import recorded
from qasid.rentals import Rentals
from qasid.settings import Options
from qasid.values import Money, NumberOrder, OtpOrder, Receipt, TextMessage

from .commandline import Command, lines, settle

TO: Final = "+989121112233"
NOW: Final = datetime.now(UTC)
DAY: Final = timedelta(days=1)


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)
    monkeypatch.setenv("QASID_STATE_DIR", str(tmp_path / "kept"))


def begun(asked: Any = None, ago: timedelta = DAY, account: str = "sandbox", **of: Any) -> str:
    """An operation that began so long ago and is not settled; gives its id."""
    hooks = {TextMessage: "send", OtpOrder: "otp", NumberOrder: "acquire_number"}
    asked = asked or TextMessage(to=TO, text="secret words", reference="order-42")
    lease = of.pop("lease", timedelta(hours=1))
    whose = {"account": account, "provider": "sandbox", "lease": lease, "hide_recipient": False}
    one = intent(hooks[type(asked)], asked, **whose)
    with contextlib.closing(journal.opened("*", None)) as book:
        book.begin([one], NOW - ago)
        if of:
            book.settle([Ending(claim=one.claim, **of)], NOW - ago)
    return one.claim


def plain(reference: str | None = None) -> TextMessage:
    """Another message."""
    return TextMessage(to=TO, text="x", reference=reference)


def test_an_account_with_a_journal_keeps_it(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the other commands do is listed, as a table and as JSON; the key of it all is the id."""
    monkeypatch.setenv("QASID_SANDBOX_JOURNAL", "strict")
    assert 0 == qasid("send", TO, "secret words").code
    (one,) = qasid("journal", "list", "--json").data
    assert (TO, "performed", 12) == (one["recipient"], one["state"], one["text_length"])
    head, row = lines(qasid("journal", "list").out)
    assert "ID HOOK STATE REFERENCE FOR ACCOUNT BEGUN (UTC)" == head
    assert row.startswith(f"{one['id']} send performed {TO} sandbox 20")
    shown = qasid("journal", "show", one["id"])
    assert f"recipient {TO}" in lines(shown.out)
    assert one == qasid("journal", "show", one["id"], "--json").data
    assert "secret words" not in shown.out + json.dumps(one)


def test_an_empty_journal_says_so(qasid: Command) -> None:
    """On stderr; the data is an empty list."""
    ended = qasid("journal", "list")
    assert ("", "Nothing is recorded.\n") == (ended.out, ended.err)
    assert [] == qasid("journal", "list", "--json").data
    assert "" == qasid("journal", "export").out


def test_a_list_is_filtered(qasid: Command) -> None:
    """By account, state and time of UTC."""
    old = begun(ago=3 * DAY)
    new = begun(plain(), state=State.PERFORMED, account="other")
    since = f"{NOW - 2 * DAY:%Y-%m-%dT%H:%M:%S}"
    for filters, found in [
        ((), [old, new]),
        (("--state", "unknown"), [old]),
        (("--since", since), [new]),
        (("--account", "sandbox"), [old]),
    ]:
        assert found == [one["id"] for one in qasid("journal", "list", "--json", *filters).data]


def test_an_export_is_a_line_for_each(qasid: Command) -> None:
    """JSON, with the result as it is kept."""
    begun(ago=2 * DAY)
    begun(plain(), state=State.PERFORMED, result=recorded(Receipt(to=TO, id="m1")))
    first, second = map(json.loads, qasid("journal", "export").out.splitlines())
    assert (None, "unknown") == (first["result"], first["state"])
    assert "m1" == second["result"]["id"]


def test_an_unknown_id_is_a_wrong_use(qasid: Command) -> None:
    """Where to look is said."""
    ended = qasid("journal", "show", "nothing")
    assert 2 == ended.code
    assert "no operation 'nothing' is recorded; see: qasid journal list" in ended.err


# Pruning.


def test_pruning_keeps_to_the_setting_of_each_account(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never takes what is unknown."""
    unknown = begun(ago=999 * DAY)
    old = begun(plain(), ago=2 * DAY, state=State.PERFORMED)
    assert "0 deleted\n" == qasid("journal", "prune").out
    monkeypatch.setenv("QASID_SANDBOX_JOURNAL_RETENTION", "1.5")
    other = begun(plain(), ago=9 * DAY, state=State.REFUSED, account="other")
    assert {"deleted": 1} == qasid("journal", "prune", "--json").data
    left = [one["id"] for one in qasid("journal", "list", "--json").data]
    assert old not in left
    assert "1 deleted\n" == qasid("journal", "prune", "--older-than", "8").out
    assert [unknown] == [i for i in left if i != other]


def test_pruning_may_be_of_one_account(qasid: Command) -> None:
    """Others keep theirs."""
    begun(plain(), state=State.PERFORMED, account="other")
    assert "0 deleted\n" == qasid("journal", "prune", "--account", "sandbox").out
    ended = qasid("journal", "prune", "--older-than", "0.5", "--account", "sandbox")
    assert "0 deleted\n" == ended.out


# Settling.


def test_a_person_settles_what_no_provider_can_tell(qasid: Command) -> None:
    """How is said, with what to look for; then the exit code is 0, and nothing is left."""
    one = begun()
    ended = qasid("journal", "resolve")
    assert NO == ended.code
    assert f"A person must decide: look at sandbox for send {TO} at about" in ended.err
    assert f"qasid journal resolve {one} --as performed" in ended.err
    assert (
        "proof: the balance of sandbox is 100.00 USD now, and none was noted before." in ended.err
    )
    settled = qasid("journal", "resolve", one, "--as", "performed", "--json")
    assert [{"id": one, "state": "performed", "words": "as you say"}] == settled.data
    assert "person" == qasid("journal", "show", one, "--json").data["settled_by"]
    done = qasid("journal", "resolve")
    assert (0, "") == (done.code, done.out)


def test_the_balance_is_evidence_and_decides_nothing(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noted when it was asked for before; what it tells then is said, and it is noted again."""
    monkeypatch.setenv("QASID_SANDBOX_JOURNAL", "on")
    qasid("balance")
    assert 0 == qasid("send", TO, "x").code
    begun(ago=NOW - datetime.now(UTC), lease=timedelta(0))
    ended = qasid("journal", "resolve")
    assert NO == ended.code
    assert "the balance of sandbox was 100.00 USD at 20" in ended.err
    assert "known cost account for" in ended.err
    assert "unknown" in ended.out
    with contextlib.closing(journal.opened("*", None)) as book:
        found = book.balance("sandbox", datetime.now(UTC))
    assert found is not None
    assert found.seen_at > NOW


def test_a_balance_that_is_not_told_is_no_help(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider may have no such call, or be out of reach."""
    begun()
    monkeypatch.setenv("QASID_SANDBOX_BASE_URL", "http://127.0.0.1:1")
    assert "The balance of sandbox is no help: ConnectFailed." in qasid("journal", "resolve").err


@pytest.mark.parametrize(("decided", "sent"), [("performed", 0), ("refused", 1)])
def test_what_a_person_says_decides_about_the_reference(
    qasid: Command, monkeypatch: pytest.MonkeyPatch, decided: str, sent: int
) -> None:
    """Performed, it is never sent again; refused, it may be."""
    import qasid as library

    one = begun()
    assert 0 == qasid("journal", "resolve", one, "--as", decided).code
    with library.connect("sandbox", journal="strict") as account:
        receipt = account.send(TextMessage(to=TO, text="secret words", reference="order-42"))
    assert receipt.accepted
    assert sent == (receipt.id is not None)


def test_a_rental_that_a_person_calls_performed_has_no_number_to_give(qasid: Command) -> None:
    """It is not rented again either: the caller is told that nobody knows which it is."""
    import qasid as library

    one = begun(NumberOrder(services="acme", country="SA", reference="n"))
    assert 0 == qasid("journal", "resolve", one, "--as", "performed").code
    with (
        library.connect("sandbox", journal="strict") as account,
        pytest.raises(errors.NoAnswer, match=f"settled by hand as {one}"),
    ):
        account.acquire_number("acme", "SA", reference="n")


def test_a_provider_settles_what_it_knows(qasid: Command, tmp_path: Path) -> None:
    """Such as a number in the book of rentals that no other order is known to have got."""
    ids = [begun(NumberOrder(services="acme", country="SA"), lease=2 * DAY, state=State.UNKNOWN)]
    ids.append(begun(plain(), state=State.UNKNOWN, result=recorded(_sent(qasid))))
    _rented(tmp_path, qasid)
    ended = qasid("journal", "resolve", "--json")
    assert 0 == ended.code, ended.err
    assert dict.fromkeys(ids, "performed") == {one["id"]: one["state"] for one in ended.data}
    kept = qasid("journal", "show", ids[0], "--json").data
    assert ("provider", "acme") == (
        kept["settled_by"],
        kept["result"]["activations"][0]["service"],
    )
    begun(NumberOrder(services="acme", country="SA"), lease=2 * DAY, state=State.UNKNOWN)
    assert NO == qasid("journal", "resolve").code


def _sent(qasid: Command) -> Receipt:
    return Receipt(to=TO, id=qasid("send", TO, "x").out.strip())


def _rented(tmp_path: Path, qasid: Command) -> None:
    """A number of the sandbox that is in the book, and one whose order was cut off."""
    import qasid as library

    book = Rentals(tmp_path / "kept" / "rentals.sqlite3")
    with contextlib.closing(book), library.connect("sandbox", rentals=book) as account:
        account.acquire_number("acme", "SA")
    with contextlib.closing(Rentals(tmp_path / "kept" / "rentals.sqlite3")) as again:
        price, options = Money("0.50", "USD"), Options()
        again.begin("sandbox", "sandbox", 1, now=NOW, lifetime=DAY, price=price, options=options)


def test_an_account_that_cannot_be_opened_settles_nothing(qasid: Command) -> None:
    """It is said, and a person must decide."""
    begun(account="gone")
    ended = qasid("journal", "resolve")
    assert NO == ended.code
    assert "the account cannot be opened (ProviderNotFound). A person must decide" in ended.err


@pytest.mark.parametrize("state", [State.PERFORMED, State.REFUSED, State.PENDING])
def test_only_what_is_unknown_can_be_settled(qasid: Command, state: State) -> None:
    """What is pending is being tried."""
    one = begun(plain(), state=state, ago=timedelta(0))
    ended = qasid("journal", "resolve", one, "--as", "refused")
    assert 2 == ended.code
    assert f"{one} is {state.value}: there is nothing to settle" in ended.err


def test_a_decision_is_on_one_operation(qasid: Command) -> None:
    """Nobody can have looked at them all."""
    begun()
    ended = qasid("journal", "resolve", "--as", "refused")
    assert 2 == ended.code
    assert "give its ID" in ended.err


# Which journal.


def test_accounts_with_several_journals_are_chosen_from(
    qasid: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One of all accounts is found by itself, also where a key is missing."""
    monkeypatch.setenv("QASID_SMSARAB_JOURNAL_URL", f"sqlite:///{tmp_path}/other.sqlite3")
    begun()
    assert [] == qasid("journal", "list", "--json").data
    monkeypatch.setenv("QASID_SANDBOX_SEED", "1")
    ended = qasid("journal", "list")
    assert 2 == ended.code
    assert "the accounts keep several journals; choose with --account" in ended.err
    assert 1 == len(qasid("journal", "list", "--json", "--account", "sandbox").data)


def test_a_journal_that_cannot_be_read_has_an_exit_code(
    qasid: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of its own."""
    monkeypatch.setenv("QASID_SANDBOX_JOURNAL_URL", f"sqlite:///{tmp_path}")
    ended = qasid("journal", "list")
    assert EXIT_CODES[errors.JournalUnavailable] == ended.code
    assert "error: JournalUnavailable: the journal" in ended.err


# A reference on the command line.


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's account keeps a journal."""
    monkeypatch.setenv("QASID_SANDBOX_JOURNAL", "strict")


@pytest.mark.usefixtures("strict")
def test_the_same_reference_gives_the_same_receipt(qasid: Command) -> None:
    """Of a text; and of a code, which is not told a second time."""
    sent = [qasid("send", TO, "x", "--reference", "order-42").out for _ in range(2)]
    assert sent[0] == sent[1]
    assert sent[0].startswith("msg.")
    told = [qasid("otp", "send", TO, "--direct", "--reference", "login-7").out for _ in range(2)]
    assert (7, "") == (len(told[0]), told[1])
    found = qasid("journal", "list", "--json").data
    assert ["order-42", "login-7"] == [one["reference"] for one in found]


@pytest.mark.usefixtures("strict")
def test_a_list_goes_on_where_it_ended(qasid: Command, tmp_path: Path) -> None:
    """Each recipient has a reference of its own, however the number is written."""
    (tmp_path / "first").write_text("+989121112244\n")
    (tmp_path / "all").write_text(f"0912 111 2244\n{TO}\n")
    for name in ("first", "all", "all"):
        to = str(tmp_path / name)
        assert 0 == qasid("send", "--to-file", to, "--text", "x", "--reference", "shop").code
    found = qasid("journal", "list", "--json").data
    assert ["shop +989121112244", f"shop {TO}"] == [one["reference"] for one in found]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reference", ""], "reference must be a text of 1 to 200 printable characters"),
        (["--reference", "r", "--allow-duplicates"], "exclude each other"),
        (["--reference", "r"], "this account keeps no journal"),
    ],
    ids=["empty", "duplicates", "no journal"],
)
def test_a_reference_that_cannot_be_kept_is_refused(
    qasid: Command, arguments: list[str], words: str
) -> None:
    """Nothing is sent."""
    ended = qasid("send", TO, "x", *arguments)
    assert 0 != ended.code
    assert words in ended.err
    assert "" == ended.out


def test_doctor_tells_whether_the_journal_can_be_used(
    qasid: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And nothing where the account keeps none."""
    assert "journal" not in qasid("doctor", "--account", "sandbox").out
    monkeypatch.setenv("QASID_SANDBOX_JOURNAL", "on")
    assert "ok sandbox journal on" in lines(qasid("doctor", "--account", "sandbox").out)
    monkeypatch.setenv("QASID_SANDBOX_JOURNAL_URL", f"sqlite:///{tmp_path}")
    ended = qasid("doctor", "--account", "sandbox")
    assert NO == ended.code
    assert any(row.startswith("FAILED sandbox journal the journal") for row in lines(ended.out))
