"""The numbers of this user, wherever they are written down: in a file, and in journals."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime

import attrs

from qasid import journal, settings
from qasid.cli.session import open_rentals
from qasid.errors import NumberNotFound, QasidError
from qasid.rentals import Fallback, Inheriting, Rental, Rentals

__all__ = ["Books", "open_books"]


@attrs.frozen
class Books:
    """The book in the user's `file`, and those in the journals of the accounts `named`.

    A journal that cannot be read hides none of the others: it is among the `problems`.
    """

    file: Fallback
    named: list[str]
    account: str | None
    problems: list[QasidError] = attrs.field(factory=list)

    def current(self) -> list[Rental]:
        """Every rental that is current, oldest first."""
        now = datetime.now(UTC)
        found = self.file.by_claim(now=now, account=self.account)
        for url, names in self._journals().items():
            # What was moved meanwhile, or is being moved, is in both: the journal knows better.
            with self._noted(), contextlib.closing(journal.opened(names[0], url)) as kept:
                for name in names:
                    book = Rentals(Inheriting(kept.shelf, name))
                    found |= book.by_claim(now=now, account=self.account)
        return sorted(found.values(), key=lambda rental: rental.begun_at)

    def rented(self, activation_id: str) -> tuple[str, Rental]:
        """The rental of that activation, and its account.

        Raises `NumberNotFound`, or what kept a journal from being read that may have it.
        """
        for rental in self.current():
            if rental.activation is not None and rental.activation.id == activation_id:
                return rental.account, rental
        self.check()
        raise NumberNotFound(
            f"no open activation {activation_id!r} is written down; see: qasid activations"
        )

    def check(self) -> None:
        """Raise the first of the `problems`."""
        for problem in self.problems:
            raise problem

    def _journals(self) -> dict[str | None, list[str]]:
        """The accounts that keep each journal, by its address."""
        found: dict[str | None, list[str]] = {}
        for name in self.named:
            with self._noted():
                options = settings.options(name)
                if options.journal != "off":
                    found.setdefault(options.journal_url, []).append(name)
        return found

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except QasidError as error:
            self.problems.append(error)


@contextlib.contextmanager
def open_books(account: str | None) -> Iterator[Books]:
    """The books of one account, or of all of this user; an account need not be configured."""
    named = settings.configured() if account is None else [account]
    accounts = [name for name in named if name not in settings.routes()]
    with contextlib.closing(open_rentals()) as file:
        yield Books(file, accounts, account)
