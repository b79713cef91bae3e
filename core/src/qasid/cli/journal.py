"""``qasid journal list``, ``show``, ``resolve``, ``export`` and ``prune``."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import click

import qasid
from qasid import settings
from qasid.cli.books import open_books
from qasid.cli.exits import NO
from qasid.cli.output import plain, say, show, table
from qasid.cli.session import SANDBOX, account_option, json_option, open_account
from qasid.journal.records import OVER, Answer, Operation, State

if TYPE_CHECKING:
    from qasid.journal.store import Journal

_HEADER = ["ID", "HOOK", "STATE", "REFERENCE", "FOR", "ACCOUNT", "BEGUN (UTC)"]


@click.group("journal")
def command() -> None:
    """See what was sent, rented and given back, and settle what is not known."""


def _filters(function: Any) -> Any:
    """``--account``, ``--state`` and ``--since``."""
    since = click.option(
        "--since",
        type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
        help="Begun at that moment of UTC, or later.",
    )
    choice = click.Choice([state.value for state in State])
    return account_option(click.option("--state", type=choice)(since(function)))


@command.command("list")
@_filters
@json_option
def list_(account: str | None, state: str | None, since: datetime | None, as_json: bool) -> None:
    """List the operations, oldest first. "unknown" may have been performed, and nobody knows."""
    with _opened(account) as journal:
        found = list(_chosen(journal, account, state, since))
    if not found:
        say("Nothing is recorded.")
    text = table([_HEADER, *map(_row, found)]) if found else ""
    show([_data(one) for one in found], as_json=as_json, text=text)


@command.command("export")
@_filters
def export(account: str | None, state: str | None, since: datetime | None) -> None:
    """Print the operations, oldest first, as one line of JSON each."""
    with _opened(account) as journal:
        for one in _chosen(journal, account, state, since):
            show(_data(one), as_json=True, text="")


@command.command("show")
@click.argument("identity", metavar="ID")
@account_option
@json_option
def show_(identity: str, account: str | None, as_json: bool) -> None:
    """Show all that is recorded of the operation ID. Texts and codes never are."""
    with _opened(account) as journal:
        found = _found(journal, identity)
    rows = [[name, str(value)] for name, value in _data(found).items() if value is not None]
    show(_data(found), as_json=as_json, text=table(rows))


@command.command("prune")
@click.option(
    "--older-than",
    type=click.FloatRange(min=0, max=36_500),
    metavar="DAYS",
    help="Instead of each account's setting journal_retention.",
)
@account_option
@json_option
def prune(older_than: float | None, account: str | None, as_json: bool) -> None:
    """Delete what ended long ago. What is pending or unknown stays, however old it is.

    With it goes the memory of its reference: asked for again, it would be done again.
    """
    now = datetime.now(UTC)
    with _opened(account) as journal:
        old = [(name, now - timedelta(days=days)) for name, days in _old(account, older_than)]
        gone = sum(journal.prune(name, before) for name, before in old)
    show({"deleted": gone}, as_json=as_json, text=f"{gone} deleted")


@command.command("resolve")
@click.argument("identity", metavar="ID", required=False)
@click.option(
    "--as",
    "decided",
    type=click.Choice([state.value for state in OVER]),
    help="What you have found out yourself of the operation ID.",
)
@account_option
@json_option
def resolve(identity: str | None, decided: str | None, account: str | None, as_json: bool) -> None:
    """Settle the operation ID whose end is not known, or all of them, by asking the providers.

    What no provider can tell is for you to find out, such as from its list of charges. Then say so:
    with "--as performed" it is never tried again, with "--as refused" it may be, under the same
    reference too. Exit code 1 while anything is left.
    """
    if decided and identity is None:
        raise click.UsageError("--as is said of one operation: give its ID")
    with _opened(account) as journal:
        open_ones = _unsettled(journal, identity, account)
        rows = [_settled(journal, one, decided) for one in open_ones]
    text = table([[row["id"], row["state"], row["words"]] for row in rows]) if rows else ""
    show(rows, as_json=as_json, text=text)
    if any(row["state"] == State.UNKNOWN.value for row in rows):
        raise click.exceptions.Exit(NO)


# The journal.


@contextlib.contextmanager
def _opened(account: str | None) -> Iterator[Journal]:
    """The journal of that account, or the one that all accounts share."""
    from qasid.journal import opened

    names = [account] if account else settings.configured()
    urls = {settings.options(name).journal_url for name in names} or {None}
    if len(urls) > 1:
        raise click.UsageError("the accounts keep several journals; choose with --account")
    with contextlib.closing(opened(account or "*", *urls)) as journal:
        yield journal


def _old(account: str | None, days: float | None) -> list[tuple[str | None, float]]:
    """Whose operations are old after how many days."""
    if days is not None:
        return [(account, days)]
    names = [account] if account else settings.configured() or [SANDBOX]
    return [(name, settings.options(name).journal_retention) for name in names]


def _chosen(
    journal: Journal, account: str | None, state: str | None, since: datetime | None
) -> Iterator[Operation]:
    return journal.operations(
        datetime.now(UTC),
        account=account,
        state=None if state is None else State(state),
        since=None if since is None else since.replace(tzinfo=UTC),
    )


def _found(journal: Journal, identity: str) -> Operation:
    found = journal.find(identity)
    if found is None:
        raise click.UsageError(f"no operation {identity!r} is recorded; see: qasid journal list")
    return found.at(datetime.now(UTC))


# What is shown.


def _row(one: Operation) -> list[str]:
    whom = one.recipient or one.subject or ""
    begun = f"{one.created_at:%Y-%m-%d %H:%M:%S}"
    return [one.id, one.hook, one.state.value, one.reference or "", whom, one.account, begun]


def _data(one: Operation) -> dict[str, Any]:
    result = None if one.result is None else json.loads(one.result)
    return {**plain(one), "result": result}


# What is settled.


def _unsettled(journal: Journal, identity: str | None, account: str | None) -> list[Operation]:
    if identity is None:
        return list(_chosen(journal, account, State.UNKNOWN.value, None))
    found = _found(journal, identity)
    if found.state is not State.UNKNOWN:
        raise click.UsageError(f"{identity} is {found.state.value}: there is nothing to settle")
    return [found]


def _settled(journal: Journal, one: Operation, decided: str | None) -> dict[str, str]:
    if decided is None:
        answer, by = _asked(journal, one), "provider"
    else:
        answer, by = Answer(state=State(decided), words="as you say"), "person"
    if answer.state is None:
        return _left(one, answer.words)
    known = attrs.evolve(one, state=answer.state, result=answer.result or one.result)
    journal.resolve(known, by=by, now=datetime.now(UTC))
    return {"id": one.id, "state": answer.state.value, "words": answer.words}


def _left(one: Operation, words: str) -> dict[str, str]:
    say(
        f"{one.id}: {words}. A person must decide: look at {one.provider} for {_deed(one)}"
        f" at about {one.created_at:%Y-%m-%d %H:%M:%S} UTC, then run:"
        f" qasid journal resolve {one.id} --as performed (it was done) or --as refused (it was not)"
    )
    return {"id": one.id, "state": State.UNKNOWN.value, "words": words}


def _deed(one: Operation) -> str:
    return f"{one.hook} {one.recipient or one.subject or ''}".strip()


def _asked(journal: Journal, one: Operation) -> Answer:
    try:
        with open_account(one.account) as account:
            answer = account.inquire(one, _activations(journal, one))
            if answer.state is None:
                _hint(journal, account, one)
            return answer
    except qasid.QasidError as error:
        words = f"the account cannot be opened ({type(error).__name__})"
        return Answer(state=None, words=words)


def _hint(journal: Journal, account: qasid.Account, one: Operation) -> None:
    """What the balance tells, where there is one: it is evidence for a person, and decides nothing.

    It is noted too, for whoever asks later about what comes now.
    """
    from qasid.journal.balances import difference

    try:
        now = account.balance()
    except qasid.QasidError as error:
        say(f"The balance of {one.account} is no help: {type(error).__name__}.")
        return
    was = journal.balance(one.account, one.created_at)
    journal.note(one.account, now, datetime.now(UTC))
    since = was and _chosen(journal, one.account, None, was.seen_at)
    words = difference(was, now, since or ())
    say(f"A hint, and no proof: the balance of {one.account} {words}.")


def _activations(journal: Journal, one: Operation) -> Sequence[qasid.Activation]:
    """The numbers of that account that are written down, and that no other operation rented."""
    with open_books(one.account) as books:
        found = books.current()
        books.check()
    known = [rental.activation for rental in found if rental.activation is not None]
    taken = _taken(journal, one) if one.hook == "acquire_number" else set()
    return [activation for activation in known if activation.id not in taken]


def _taken(journal: Journal, one: Operation) -> set[str]:
    done = journal.operations(datetime.now(UTC), account=one.account, state=State.PERFORMED)
    rented = [other.result for other in done if other.hook == one.hook and other.result]
    results = map(json.loads, rented)
    return {found["id"] for result in results for found in result["activations"]}
