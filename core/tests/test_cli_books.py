"""The commands see the numbers in the user's file and in the journals of all accounts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from qasid import errors, journal
from qasid.cli.exits import EXIT_CODES
from qasid.rentals import Rentals, user_rentals
from qasid.settings import Options
from qasid.values import Activation

from .commandline import ACQUIRE, AT_ONCE, LOOK, Command, Staged, lines, served, settle

RENT: Final = ("rent", "whatsapp", "SA")
HOUR: Final = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settle(monkeypatch, tmp_path)


@pytest.fixture
def smsarab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Staged]:
    """Each number gets a message at once."""
    emulator = Staged()
    with served(monkeypatch, emulator, deliver_after=AT_ONCE):
        yield emulator


@pytest.fixture
def urls(tmp_path: Path) -> tuple[str, str]:
    """Two journals."""
    return f"sqlite:///{tmp_path}/one.sqlite3", f"sqlite:///{tmp_path}/two.sqlite3"


def configure(**journals: str | None) -> None:
    """Accounts of the sandbox, each with its own journal or with none."""
    tables = []
    for name, url in journals.items():
        kept = "" if url is None else f'journal = "on"\njournal_url = "{url}"\n'
        tables.append(f'[accounts.{name}]\nprovider = "sandbox"\n{kept}')
    path = Path("qasid.toml")
    path.write_text("\n".join(tables))
    path.chmod(0o600)


def rent(book: Rentals, account: str, identity: str) -> None:
    """Write down a number that is open."""
    now = datetime.now(UTC)
    told = {"price": None, "options": Options(max_open=99)}
    claims = book.begin(account, "sandbox", 1, now=now, lifetime=HOUR, **told)  # type: ignore[arg-type]
    given = {"number": "+9661", "service": "acme", "country": "SA", "acquired_at": now}
    book.settle(claims, [Activation(id=identity, **given)])  # type: ignore[arg-type]


def rent_in(url: str | None, account: str, identity: str) -> None:
    """The same in a journal, or in the user's file."""
    if url is None:
        with contextlib.closing(user_rentals()) as book:
            rent(book, account, identity)
    else:
        with contextlib.closing(journal.opened(account, url)) as kept:
            rent(Rentals(kept.shelf), account, identity)


def listed(qasid: Command, *arguments: str) -> list[tuple[str, str]]:
    """Account and activation of what is listed."""
    found = qasid("activations", "--json", *arguments).data
    return [(one["account"], one["activation"]["id"]) for one in found]


def test_numbers_are_listed_from_everywhere_once(qasid: Command, urls: tuple[str, str]) -> None:
    """Oldest first; two accounts share a journal, and one of them has a number in the file."""
    configure(a=None, b=urls[0], c=urls[0], d=urls[1])
    for url, account, identity in [
        (urls[1], "d", "1"),
        (None, "a", "2"),
        (urls[0], "b", "3"),
        (None, "c", "4"),
        (None, "gone", "5"),
    ]:
        rent_in(url, account, identity)
    everything = [("d", "1"), ("a", "2"), ("b", "3"), ("c", "4"), ("gone", "5")]
    assert [everything, everything] == [listed(qasid) for _ in range(2)]
    assert [("c", "4")] == listed(qasid, "--account", "c")
    with contextlib.closing(user_rentals()) as book:  # where it was
        now = datetime.now(UTC)
        assert [] == book.current(now=now, account="c")


def test_a_journal_that_cannot_be_read_hides_no_other(
    qasid: Command, urls: tuple[str, str], tmp_path: Path
) -> None:
    """Its error is told, with its exit code; a number that is found is found."""
    configure(a=urls[0], b=f"sqlite:///{tmp_path}", c=None)
    rent_in(urls[0], "a", "1")
    rent_in(None, "b", "2")
    code = EXIT_CODES[errors.JournalUnavailable]
    ended = qasid("activations")
    assert code == ended.code
    assert [["1"], ["2"]] == [line.split()[:1] for line in lines(ended.out)[1:]]
    assert "error: JournalUnavailable" in ended.err
    assert code == qasid("inbox", "nothing").code
    assert "NumberNotFound" in qasid("inbox", "1").err  # at the sandbox, where it never was


def test_an_account_with_bad_settings_hides_no_other(qasid: Command, urls: tuple[str, str]) -> None:
    """Its error is told."""
    configure(a=urls[0])
    with Path("qasid.toml").open("a") as file:
        file.write('[accounts.bad]\nprovider = "sandbox"\njournal = "maybe"\n')
    rent_in(urls[0], "a", "1")
    ended = qasid("activations", "--json")
    assert EXIT_CODES[errors.SettingsError] == ended.code
    assert "'bad', field 'journal'" in ended.err
    assert ["1"] == [one["activation"]["id"] for one in ended.data]
    assert "No number is rented" not in qasid("activations", "--account", "bad").err


def test_a_route_has_no_book(qasid: Command, urls: tuple[str, str]) -> None:
    """Its accounts have."""
    configure(a=urls[0])
    with Path("qasid.toml").open("a") as file:
        file.write('[routes.both]\naccounts = ["a"]\n')
    rent_in(urls[0], "a", "1")
    assert [] == listed(qasid, "--account", "both")


@pytest.mark.usefixtures("smsarab")
def test_a_number_in_a_journal_is_read_and_released(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one in the file is; and one that was rented before the account had a journal."""
    ids = []
    for mode in ("off", "on"):
        monkeypatch.setenv("QASID_SMSARAB_JOURNAL", mode)
        assert 0 == qasid(*RENT, "--keep").code
    ids = [identity for _, identity in listed(qasid)]
    assert 2 == len(ids)
    for identity in ids:
        assert 1 == len(qasid("inbox", identity, "--json").data)
        assert "no parse_webhook" in qasid("webhook", "new", "--activation", identity).err
        qasid("release", identity)
    with contextlib.closing(user_rentals()) as book:
        assert [] == book.current(now=datetime.now(UTC))


def test_the_cap_holds_over_what_was_rented_before_the_journal(
    qasid: Command, smsarab: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third number is one too many."""
    for mode in ("off", "on"):
        monkeypatch.setenv("QASID_SMSARAB_JOURNAL", mode)
        assert 0 == qasid(*RENT, "--keep").code
    ended = qasid(*RENT, "--keep")
    assert EXIT_CODES[errors.BudgetExceeded] == ended.code
    assert 2 == len(smsarab.activations())


# A reference.


def test_a_reference_rents_one_number(
    qasid: Command, smsarab: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time it is the one that is recorded, and its messages are looked for."""
    monkeypatch.setenv("QASID_SMSARAB_JOURNAL", "strict")
    told = [qasid(*RENT, "--keep", "--reference", "sign-up", "--json").data for _ in range(2)]
    assert told[0]["activation"]["id"] == told[1]["activation"]["id"]
    assert told[0]["code"] == told[1]["code"]
    assert 1 == smsarab.asked.count(ACQUIRE)
    other = qasid("rent", "telegram", "SA", "--reference", "sign-up")
    assert EXIT_CODES[errors.ReferenceConflict] == other.code
    assert 1 == len(smsarab.activations())


def test_a_reference_needs_a_journal(qasid: Command, smsarab: Staged) -> None:
    """Nothing is rented."""
    ended = qasid(*RENT, "--reference", "sign-up")
    assert EXIT_CODES[errors.SettingsError] == ended.code
    assert "this account keeps no journal" in ended.err
    assert [] == smsarab.states()
    assert LOOK not in smsarab.asked


def test_a_number_that_nobody_knows_is_said(qasid: Command, urls: tuple[str, str]) -> None:
    """And where to look."""
    configure(a=urls[0])
    ended = qasid("release", "nothing")
    assert EXIT_CODES[errors.NumberNotFound] == ended.code
    assert "no open activation 'nothing' is written down; see: qasid activations" in ended.err
