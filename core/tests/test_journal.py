"""What costs money is written down before it is tried; a reference lets it be done once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from qasid.errors import Outcome, ReferenceConflict
from qasid.journal import opened
from qasid.journal.records import Operation
from qasid.journal.store import Journal
from qasid.values import TemplateMessage, TextMessage

from .acme import FACES, TO, Server

OTHER: Final = "+989121112244"
TEXT: Final = "the secret words of this text"
LATER: Final = datetime(2030, 1, 1, tzinfo=UTC)

Open = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where the journal is."""
    return f"sqlite:///{tmp_path}/journal.sqlite3"


@pytest.fixture
def book(url: str) -> Iterator[Journal]:
    """The same journal, as another process would open it."""
    with contextlib.closing(opened("work", url)) as journal:
        yield journal


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest, url: str) -> Open:
    """Opens an account of either kind whose journal is strict, unless told."""

    def _open(server: Server, *args: Any, **options: Any) -> AbstractContextManager[Any]:
        usual = {"journal": "strict", "journal_url": url}
        return request.param(server, *args, **{**usual, **options})

    return _open


def text(reference: str | None = "order-42", **members: Any) -> TextMessage:
    """One message."""
    return TextMessage(**{"to": TO, "text": TEXT, "reference": reference, **members})


def read(book: Journal, now: datetime = LATER, **filters: Any) -> list[Operation]:
    """What stands in the journal, as it is to be read long after all leases."""
    return list(book.operations(now, **filters))


# A reference.


def test_a_reference_is_sent_once_and_gives_the_same_receipt_again(face: Open) -> None:
    """Also to another account object, as it would in another process; no request is made."""
    server = Server()
    with face(server) as account:
        first = account.send(text())
        again = account.send(text())
    with face(server) as account:
        third = account.send(text())
    assert first == again == third
    assert [TO] == server.acts
    assert 1 == len(server.requests)


def test_another_request_under_the_reference_is_a_conflict(face: Open) -> None:
    """It names the reference and the record, and nothing is sent."""
    server = Server()
    with face(server) as account:
        account.send(text())
        for other in (text(text="x"), text(to=OTHER), TemplateMessage(to=TO, template="t")):
            asked = attrs.evolve(other, reference="order-42")
            with pytest.raises(ReferenceConflict, match="'order-42'") as caught:
                account.send(asked)
            assert Outcome.NOT_PERFORMED is caught.value.outcome
    assert [TO] == server.acts
