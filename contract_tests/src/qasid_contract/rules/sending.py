"""What is sent arrives as it was written, once, and each receipt tells the truth."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import attrs
from hypothesis import strategies as st

from qasid.emulation import OutboxItem
from qasid.errors import InvalidRecipient, InvalidRequest, Outcome
from qasid.phone import e164
from qasid.values import DeliveryState, Receipt, TemplateMessage, TextMessage
from qasid_contract.case import TEXT, Case
from qasid_contract.rulebook import rule

Message = TextMessage | TemplateMessage

#: A landline that no mobile panel of Iran, Saudi Arabia or Egypt reaches; it belongs to no one.
FOREIGN: Final = "+442079460958"

_ODD_TEXTS: Final = (
    "",
    " ",
    " leading and trailing ",
    "رمز شما: ۱۲۳۴۵۶",
    "رمز التحقق هو ٤٧١١٠٨",
    "می‌خواهم",
    "\u200fright\u200eto\u202bleft\u202c",
    "👍🏽 👨‍👩‍👧 🇮🇷",
    "a;b;c",
    "100 % + 50 %25 +1",
    "quotes \" ' ` \\",
    "&text=other#fragment?",
    "<b>{0} {{name}}</b>",
    "nul \0 inside",
    "one\r\ntwo\nthree\rfour\ttab",
    "\u2028\ufeff\u0000",
    "long " * 1000,
    "دراز " * 500,
)


def _telling(message: Message, text: str) -> Message:
    """The same message with another text; in a template the first value stands for it."""
    if isinstance(message, TextMessage):
        return attrs.evolve(message, text=text)
    first = next(iter(message.values))
    return attrs.evolve(message, values={**message.values, first: text})


def _tells(item: OutboxItem, message: Message, text: str) -> bool:
    return text == item.text if isinstance(message, TextMessage) else text in item.text


def _addressed(case: Case, count: int) -> list[Message]:
    return [attrs.evolve(case.message(), to=to) for to in case.recipients(count)]


def _arrived(case: Case) -> list[str]:
    return [e164(item.to) for item in case.emulator.outbox()]


def _reasons(receipts: Sequence[Receipt]) -> str:
    return ", ".join(sorted({repr(r.error) for r in receipts if r.error is not None}))


@rule("SEND-1", needs={"send"})
def receipts_are_in_order(case: Case) -> None:
    """Each message gets one receipt, in the order of the messages, which is that of the phones.

    Troubleshooting: build the receipts from the messages that you were given, and look for each
    one's id in the reply; do not trust the reply's order unless its document promises it. If the
    provider cannot send a plain text at all, give the contract a `sample_message`.
    """
    messages = _addressed(case, 3)
    tos = [message.to for message in messages]
    receipts = case.account().send_many(messages)
    assert tos == [receipt.to for receipt in receipts], "the receipts are not in order"
    assert all(receipt.accepted for receipt in receipts), _reasons(receipts)
    assert tos == _arrived(case), "what was sent is not what arrived"


@rule("SEND-2", needs={"send"})
def batches_are_as_large_as_they_may_be(case: Case) -> None:
    """Many equal texts go in batches of `max_batch`, each in one request, and all arrive.

    Troubleshooting: `max_batch` in the info is what one request holds. If the provider takes one
    message for each request, it is 1; if it refuses a batch of that size, it is too large.
    """
    count = 2 * case.info.max_batch + 1
    case.fund()
    account = case.account()
    case.prepared("send", account)
    receipts = account.send_many(_addressed(case, count))
    asked = case.wire.unsafe
    assert all(receipt.accepted for receipt in receipts), _reasons(receipts)
    assert sorted(_arrived(case)) == sorted(case.recipients(count))
    assert asked <= math.ceil(count / case.info.max_batch), f"{asked} requests for {count} texts"


@rule("SEND-3", needs={"send"}, examples=True)
def texts_arrive_unchanged(case: Case) -> None:
    """Any text arrives unchanged, or is refused with `InvalidRequest` and does not arrive.

    Troubleshooting: let `Request` encode the body (`json=`, `form=`), and do not strip, trim or
    normalise. Where the provider's format cannot say a character, as a `;` in a list that is joined
    by it, raise `InvalidRequest` before the request.
    """
    case.fund()
    account, message = case.account(), case.message()

    def arrives(text: str) -> None:
        before = len(case.emulator.outbox())
        try:
            account.send(_telling(message, text))
        except InvalidRequest:
            assert before == len(case.emulator.outbox()), f"refused, but it went: {text!a}"
            return
        assert before + 1 == len(case.emulator.outbox()), f"accepted, but it went not: {text!a}"
        assert _tells(case.emulator.outbox()[-1], message, text), f"it went changed: {text!a}"

    case.effort.for_all(arrives, st.sampled_from(_ODD_TEXTS) | st.text(max_size=80))


@rule("SEND-4", needs={"send"})
def one_bad_recipient_spoils_nothing(case: Case) -> None:
    """A recipient that cannot be reached is `InvalidRecipient`, not performed, and alone in that.

    Troubleshooting: what you can tell before the request (`qasid.phone.iranian_mobile`) belongs in
    that message's receipt, `Receipt(to=…, error=…)`, and the rest of the batch is sent. Raise only
    what the provider said of the whole batch.
    """
    foreign, (first, second) = attrs.evolve(case.message(), to=FOREIGN), _addressed(case, 2)
    account = case.account()
    case.prepared("send", account)
    (alone,) = account.send_many([foreign])
    refused_there = not alone.accepted and case.wire.unsafe > 0
    receipts = account.send_many([first, foreign, second])
    for receipt in (alone, *receipts):
        _judge_recipient(
            receipt, _arrived(case), InvalidRequest if refused_there else InvalidRecipient
        )
    # A provider that refuses the whole batch leaves no choice.
    spoilt = not (receipts[0].accepted and receipts[2].accepted)
    assert refused_there or not spoilt, "good recipients were refused for a bad one's sake"


def _judge_recipient(receipt: Receipt, arrived: list[str], kind: type[InvalidRequest]) -> None:
    assert receipt.accepted is (receipt.to in arrived), f"{receipt} and the phones do not agree"
    if receipt.error is not None:
        assert isinstance(receipt.error, kind), f"it is {receipt.error!r}"
        assert Outcome.NOT_PERFORMED is receipt.outcome


@rule("SEND-5", needs={"send"})
def a_template_is_not_sent_as_something_else(case: Case) -> None:
    """A template message arrives with its values, or is refused as `InvalidRequest` and does not.

    Troubleshooting: `send` is given texts and templates. What the provider has no words for is
    `InvalidRequest` before the request; a template that it refuses is `TemplateRejected`.
    """
    message = TemplateMessage(
        to=case.contract.recipient, template="qasid-unknown", values={"name": TEXT}
    )
    (receipt,) = case.account().send_many([message])
    arrived = [item.text for item in case.emulator.outbox()]
    if receipt.error is not None:
        assert isinstance(receipt.error, InvalidRequest), f"it is {receipt.error!r}"
        assert Outcome.NOT_PERFORMED is receipt.outcome
        assert arrived == [], "refused, but something was sent"
    else:
        assert len(arrived) == 1, "accepted, but not one message was sent"
        assert TEXT in arrived[0], "what was sent does not hold the template's value"


@rule("SEND-6", needs={"send", "delivery_status"})
def reports_are_in_order(case: Case) -> None:
    """There is one report for each receipt, in order, and an unknown id is `UNKNOWN`, no error.

    Troubleshooting: make the reports from the receipts that you were given, and look each id up in
    the reply. Ids that are not there get `DeliveryReport(receipt_id=…, state=UNKNOWN)`.
    """
    account = case.account()
    sent = account.send_many(_addressed(case, 3))
    assert all(receipt.id for receipt in sent), "a receipt without an id can never be asked about"
    asked = [*sent[::-1], attrs.evolve(sent[0], id="4711471147114711")]
    reports = account.delivery_status(asked)
    told = [report.receipt_id for report in reports]
    assert [receipt.id for receipt in asked] == told, "the reports are not those of the receipts"
    assert DeliveryState.UNKNOWN is reports[-1].state, "an id that nobody knows has a state"


@rule("SEND-7", needs={"send"})
def a_schedule_is_kept(case: Case) -> None:
    """A message with `send_at` goes at that moment, not before and not without; or it is refused.

    Troubleshooting: `send_at` is in UTC. Convert it to what the provider's document says (a wall
    time of a zone, seconds since 1970) and mind that the messages of one batch may have several
    moments. What cannot be scheduled is `InvalidRequest` before the request.
    """
    account, now = case.account(), case.clock.now().replace(microsecond=0)
    one, two, three = _addressed(case, 3)
    receipts = account.send_many(
        [
            attrs.evolve(one, send_at=now + timedelta(hours=3)),
            two,
            attrs.evolve(three, send_at=now + timedelta(hours=1)),
        ]
    )
    _judge_schedules(receipts)
    accepted = [receipt.to for receipt in receipts if receipt.accepted]
    # A wall clock of a neighbouring zone is at least half an hour off.
    expected: list[str] = []
    for minutes, due in ((0, [two]), (50, []), (20, [three]), (100, []), (20, [one])):
        case.advance(timedelta(minutes=minutes))
        expected += [message.to for message in due if message.to in accepted]
        assert expected == _arrived(case), "not every message went at its moment"


def _judge_schedules(receipts: Sequence[Receipt]) -> None:
    one, two, three = receipts
    assert two.accepted, f"what goes at once was refused for another's schedule: {two.error!r}"
    assert one.accepted is three.accepted, "one schedule is taken and the other is not"
    for receipt in (one, three):
        refused = receipt.error is None or isinstance(receipt.error, InvalidRequest)
        assert refused, f"it is {receipt.error!r}"


@rule("SEND-8", needs={"send", "cancel_scheduled"})
def what_is_cancelled_never_goes(case: Case) -> None:
    """A scheduled message that was taken back does not go; to take it back again is refused.

    Troubleshooting: put what the provider's cancellation needs into `Receipt.batch_id`. Where it
    says that nothing is scheduled under an id, or that it is too late, raise `InvalidRequest`.
    """
    account = case.account()
    receipt = case.scheduled(account)
    told = account.cancel_scheduled(receipt.batch_id or "")
    assert receipt.batch_id == told.batch_id, "another batch was cancelled"
    case.advance(timedelta(hours=3))
    assert [] == _arrived(case), "it went all the same"
    again = []
    with contextlib.suppress(InvalidRequest):
        again.append(account.cancel_scheduled(receipt.batch_id or ""))
    assert not again, "nothing is scheduled any more, and it was cancelled again"
