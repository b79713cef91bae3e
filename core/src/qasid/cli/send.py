"""``qasid send``."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

import qasid
from qasid.cli.exits import NOT_ALL
from qasid.cli.moments import moment
from qasid.cli.outgoing import Item, Wanted
from qasid.cli.output import plain, require_stdout, say, show, show_lines
from qasid.cli.session import (
    account_option,
    json_option,
    money,
    open_account,
    reference_option,
    timeout_option,
)
from qasid.cli.signals import Signals

if TYPE_CHECKING:
    from qasid.cli.estimate import Estimate, Line

# What a single message does not need is imported by what does.


def _pairs(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if not all(name and equals for name, equals, _ in pairs):
        raise click.BadParameter("write it as NAME=VALUE")
    values = {name: value for name, _, value in pairs}
    if len(values) < len(pairs):
        raise click.BadParameter("a name comes twice")
    return values


@click.command("send")
@click.argument("words", nargs=-1, metavar="[TO]... [TEXT]")
@click.option("--text", help='One text for all recipients. "-" is stdin.')
@click.option("--template", metavar="ID", help="A template that the provider holds, for all.")
@click.option(
    "--value",
    "values",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="A value of the template; once for each.",
)
@click.option(
    "--to-file",
    metavar="FILE",
    help='Recipients, one a line; blank lines and what follows a # do not count. "-" is stdin.',
)
@click.option(
    "--csv",
    "csv_file",
    metavar="FILE",
    help="A message a row, with a header: to and text, or to, template and a column for each"
    ' value. UTF-8, commas. "-" is stdin.',
)
@click.option(
    "--at",
    metavar="MOMENT",
    callback=moment,
    help="Send then, such as '2026-12-01 14:30 Asia/Tehran' or 2026-12-01T14:30+03:30.",
)
@click.option("--sender", metavar="NUMBER", help="The sender, where the provider lets you choose.")
@reference_option
@click.option(
    "--max-segments",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Refuse a longer text.",
)
@click.option("--allow-duplicates", is_flag=True, help="Let a recipient come more than once.")
@click.option("--dry-run", is_flag=True, help="Send nothing; tell what it would take.")
@click.option(
    "--price",
    metavar="MONEY",
    callback=money,
    help="What a segment costs you, such as '0.05 USD', for --dry-run.",
)
@account_option
@timeout_option
@json_option
def command(
    dry_run: bool,
    price: qasid.Money | None,
    account: str | None,
    timeout: float | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Send a text to one number, or messages to up to 100,000.

    \b
    qasid send TO TEXT
    qasid send TO... --text TEXT
    qasid send --to-file FILE --text TEXT
    qasid send TO... --template ID --value NAME=VALUE
    qasid send --csv FILE

    One number: prints the receipt's id; "-" as TEXT reads stdin. A list: prints a line for each
    message, as soon as its batch is sent: recipient, id or "-", and "accepted", "refused" or
    "unknown", parted by tabs; with --at also the batch id, which qasid schedule cancel takes. With
    --json a line of JSON for each. To --reference each recipient of a list is added. The exit code
    is 28 unless all are accepted. Ctrl-C waits for the batch that is on its way, and sends no
    other.
    """  # noqa: D301, click's own mark for lines that stay as they are
    require_stdout()
    if price is not None and not dry_run:
        raise click.UsageError("--price goes with --dry-run")
    wanted = Wanted(**given)
    items = wanted.items(datetime.now(UTC))
    with open_account(account, timeout=timeout) as opened:
        if dry_run:
            _rehearse(opened, wanted, items, price, as_json)
        elif wanted.alone:
            _send_one(opened, items[0], as_json)
        else:
            _send_all(opened, items, as_json)


@contextlib.contextmanager
def _paying(account: qasid.Account) -> Iterator[tuple[qasid.Account, Signals]]:
    """The account, such that no signal comes between what is sent and its receipts."""
    signals = Signals()
    with signals.kept():
        yield account.with_driver(signals.attentive(account.driver, paying=True)), signals


# One message.


def _send_one(account: qasid.Account, item: Item, as_json: bool) -> None:
    with _paying(account) as (paying, _):
        receipt = paying.send(item.message)
        say(f"Accepted for {receipt.to}.")
        if item.message.send_at is not None and receipt.batch_id is not None:
            say(f"Take it back with: qasid schedule cancel {receipt.batch_id}")
        show(receipt, as_json=as_json, text=receipt.id or "")


# A list.


@attrs.define
class _Tally:
    """What became of the messages of a list so far."""

    total: int
    states: Counter[str] = attrs.field(factory=Counter)
    errors: Counter[str] = attrs.field(factory=Counter)
    firsts: dict[str, qasid.Receipt] = attrs.field(factory=dict)

    def add(self, receipt: qasid.Receipt) -> None:
        self.states[_state(receipt)] += 1
        if receipt.error is not None:
            kind = type(receipt.error).__name__
            self.errors[kind] += 1
            self.firsts.setdefault(kind, receipt)

    @contextlib.contextmanager
    def summed_up(self) -> Iterator[None]:
        """Say at the end, whatever it is, how far it came."""
        try:
            yield
        finally:
            say(", ".join(f"{self.states[state]} {state}" for state in _STATES.values()) + ".")
            for kind, first in self.firsts.items():
                say(f"{kind}: {self.errors[kind]}, first for {first.to}: {first.error}")
            self._say_what_is_left()

    def _say_what_is_left(self) -> None:
        if self.states["unknown"]:
            say("What is unknown may have been sent: look before sending it again.")
        if left := self.total - self.states.total():
            say(f"{left} not tried.")


_STATES: Final = {
    None: "accepted",
    qasid.Outcome.NOT_PERFORMED: "refused",
    qasid.Outcome.UNKNOWN: "unknown",
}


def _state(receipt: qasid.Receipt) -> str:
    return _STATES[receipt.outcome]


def _send_all(account: qasid.Account, items: Sequence[Item], as_json: bool) -> None:
    from qasid.cli.progress import bar

    tally = _Tally(len(items))
    with _paying(account) as (paying, signals), tally.summed_up(), bar(len(items)) as drawn:

        def tell(receipts: list[qasid.Receipt]) -> None:
            for receipt in receipts:
                tally.add(receipt)
            with drawn.aside(len(receipts)):
                show_lines(_written(receipt, items[0], as_json) for receipt in receipts)
            signals.settle()

        paying.send_many((item.message for item in items), tell=tell)
    if tally.errors:
        raise click.exceptions.Exit(NOT_ALL)


def _written(receipt: qasid.Receipt, one: Item, as_json: bool) -> str:
    if as_json:
        return json.dumps(_data(receipt))
    cells = [receipt.to, receipt.id, _state(receipt)]
    if one.message.send_at is not None:
        cells.append(receipt.batch_id)
    return "\t".join(" ".join((cell or "-").split()) for cell in cells)


def _data(receipt: qasid.Receipt) -> dict[str, Any]:
    data = plain(receipt)
    if receipt.error is not None:
        data["error"]["code"] = receipt.error.code
    return {**data, "outcome": _state(receipt)}


# Nothing.


def _rehearse(
    account: qasid.Account,
    wanted: Wanted,
    items: Sequence[Item],
    price: qasid.Money | None,
    as_json: bool,
) -> None:
    from qasid.cli.estimate import estimate

    account.send_many([])  # refused where the provider sends nothing
    found = estimate(items, account.info.max_batch, price)
    show(found, as_json=as_json, text="\n".join(map(_line, found.messages)))
    _say_sum(found)
    errors = [item.error for item in items if item.error is not None]
    if errors and wanted.alone:
        raise errors[0]
    if errors:
        raise click.exceptions.Exit(NOT_ALL)


def _line(line: Line) -> str:
    kind = line.encoding or ("template" if line.error is None else "refused")
    return "\t".join([" ".join(line.to.split()), str(line.segments or "-"), kind])


def _say_sum(found: Estimate) -> None:
    refused = sum(line.error is not None for line in found.messages)
    count = "not known" if found.segments is None else found.segments
    say(f"Messages: {len(found.messages) - refused}; refused: {refused}; segments: {count}")
    least, more = ("at least ", "; more where the provider sends different ones apart")
    say(f"Requests: {least if found.at_least else ''}{found.requests}{more * found.at_least}")
    say(f"Price: {'not known' if found.price is None else found.price}")
    say("Nothing was sent.")
