"""Many texts in few requests, and a receipt that is true for each of them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

import qasid
from qasid.drivers.virtual import VirtualClock
from qasid.effects import Response
from qasid_deftsms.emulator import DeftSMSEmulator

from .recording import GOOD, Wire, bad, connected, reply

LATER: Final = datetime(2024, 8, 1, 13, 0, tzinfo=UTC)
ABROAD: Final = "+442079460958"


def to(n: int) -> str:
    return f"+98912000{n:04d}"


def texts(*bodies: str, **more: Any) -> list[qasid.TextMessage]:
    return [qasid.TextMessage(to=to(n), text=body, **more) for n, body in enumerate(bodies)]


def fund(wire: Wire) -> None:
    wire.emulator.fund(qasid.Money(10**9, "IRR"))


# How many requests.


@pytest.mark.parametrize(
    ("body", "path"), [("hello", "/sms/send/group"), ("hello {}", "/sms/send/peer")]
)
def test_ten_thousand_texts_are_a_hundred_requests(
    account: qasid.Account, wire: Wire, body: str, path: str
) -> None:
    """Whether they are all alike or all different."""
    fund(wire)
    messages = texts(*(body.format(n) for n in range(10_000)))
    receipts = account.send_many(messages)
    assert [path] * 100 == wire.paths
    assert [message.to for message in messages] == [receipt.to for receipt in receipts]
    assert all(receipt.accepted for receipt in receipts)
    expected = [(f"0{message.to[3:]}", message.text) for message in messages]
    assert expected == [(item.to, item.text) for item in wire.emulator.outbox()]


@pytest.mark.parametrize(
    ("body", "path"), [("hello", "/sms/send/group"), ("hello {}", "/sms/send/peer")]
)
def test_a_stream_of_ten_thousand_texts_is_a_hundred_requests(
    account: qasid.Account, wire: Wire, body: str, path: str
) -> None:
    """Though several of them are under way at once."""
    fund(wire)
    messages = texts(*(body.format(n) for n in range(10_000)))
    receipts = [*account.send_stream(iter(messages), ordered=True)]
    assert [path] * 100 == wire.paths
    assert [message.to for message in messages] == [receipt.to for receipt in receipts]
    assert all(receipt.accepted for receipt in receipts)
    expected = {(f"0{message.to[3:]}", message.text) for message in messages}
    assert expected == {(item.to, item.text) for item in wire.emulator.outbox()}


def test_ten_thousand_scheduled_texts_are_a_hundred_requests(
    account: qasid.Account, wire: Wire
) -> None:
    """Where they are all alike: peer to peer has no schedule."""
    fund(wire)
    receipts = account.send_many(texts(*["hello"] * 10_000, send_at=LATER))
    assert ["/sms/send/group/schedule"] * 100 == wire.paths
    assert all(receipt.accepted for receipt in receipts)
    assert () == wire.emulator.outbox()
    wire.emulator.advance(timedelta(hours=1))
    assert 10_000 == len(wire.emulator.outbox())


def test_one_alone_is_a_simple_send(account: qasid.Account, wire: Wire) -> None:
    """At once or scheduled."""
    account.send_many(texts("a"))
    account.send_many(texts("a", send_at=LATER))
    assert ["/sms/send/simple", "/sms/send/simple/schedule"] == wire.paths


def test_scheduled_texts_go_by_text_and_moment(account: qasid.Account, wire: Wire) -> None:
    """Those at once together; the same second is the same moment."""
    soon = LATER + timedelta(seconds=1)
    first, second, third, fourth, fifth, sixth = texts(*"aabaab")
    account.send_many(
        [
            qasid.TextMessage(to=first.to, text="a", send_at=LATER),
            qasid.TextMessage(to=second.to, text="a", send_at=LATER + timedelta(microseconds=1)),
            qasid.TextMessage(to=third.to, text="b", send_at=LATER),
            qasid.TextMessage(to=fourth.to, text="a", send_at=soon),
            fifth,
            sixth,
        ]
    )
    assert [
        ("/sms/send/simple/schedule", "a", "2024-08-01 16:30:00"),
        ("/sms/send/group/schedule", "a", "2024-08-01 16:30:01"),
        ("/sms/send/simple/schedule", "b", "2024-08-01 16:30:00"),
        ("/sms/send/peer", None, None),
    ] == [
        (path, asked.get("message"), asked.get("scheduleDateTime"))
        for path, asked in zip(wire.paths, wire.asked, strict=True)
    ]
    assert ["09120000001", "09120000003"] == wire.asked[1]["numbers"]


def test_the_same_number_twice_gets_two_texts(account: qasid.Account, wire: Wire) -> None:
    """Whether DeftSMS drops the second of a group is not documented; Qasid does not."""
    account.send_many(texts("a") * 2)
    assert [["09120000000", "09120000000"]] == [asked["numbers"] for asked in wire.asked]


def test_any_way_of_writing_a_mobile_is_said_as_the_samples_do(
    account: qasid.Account, wire: Wire
) -> None:
    """Eleven digits that begin with 09: other forms are not documented."""
    forms = ["+989120000000", "0912 000 0000", "۰۹۱۲۰۰۰۰۰۰۰", "00989120000000", "9120000000"]
    account.send_many([qasid.TextMessage(to=form, text="a") for form in forms])
    assert ["09120000000"] * 5 == wire.asked[0]["numbers"]


moments = st.none() | st.timedeltas(timedelta(0), timedelta(days=1)).map(LATER.__add__)


@given(
    messages=st.lists(
        st.builds(
            qasid.TextMessage,
            to=st.integers(0, 3).map(to) | st.just(ABROAD),
            text=st.sampled_from(["", "a", "b", "سلام"]),
            sender=st.none() | st.none() | st.just("3000"),
            send_at=moments,
        ),
        max_size=12,
    )
)
def test_each_message_goes_once_or_its_receipt_says_why_not(
    messages: list[qasid.TextMessage],
) -> None:
    """Whatever the mixture, and the emulator needs to refuse nothing."""
    clock = VirtualClock()
    emulator = DeftSMSEmulator(clock=clock.now)
    receipts = connected(Wire(emulator), clock).send_many(messages)
    emulator.advance(timedelta(days=2))
    assert [message.to for message in messages] == [receipt.to for receipt in receipts]
    sound = [m.to != ABROAD and bool(m.text) and m.sender is None for m in messages]
    assert sound == [receipt.accepted for receipt in receipts]
    due = Counter((f"0{m.to[3:]}", m.text) for m, good in zip(messages, sound, strict=True) if good)
    assert due == Counter((item.to, item.text) for item in emulator.outbox())


# What became of each.

THREE: Final = [
    *texts("a", "b", send_at=LATER),
    *texts("c", send_at=LATER + timedelta(hours=1)),
]  # three requests


def told(receipts: list[qasid.Receipt]) -> list[tuple[type, Any]]:
    return [(type(receipt.error), receipt.outcome) for receipt in receipts]


SENT: Final[tuple[type, Any]] = (type(None), None)
NOT: Final = qasid.Outcome.NOT_PERFORMED
UNKNOWN: Final = qasid.Outcome.UNKNOWN


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("cue", "receipt"),
    [
        (reply(bad(400)), (qasid.InvalidRequest, NOT)),
        (reply("<html>", 502), (qasid.ProviderUnavailable, UNKNOWN)),
        (qasid.NoAnswer("lost"), (qasid.NoAnswer, UNKNOWN)),
        (reply({**GOOD, "error": True}), (qasid.ProtocolError, UNKNOWN)),
    ],
    ids=["refused", "failed", "lost", "unreadable"],
)
def test_one_of_several_requests_fails_alone(
    account: qasid.Account,
    wire: Wire,
    place: int,
    cue: Response | Exception,
    receipt: tuple[type, qasid.Outcome],
) -> None:
    """What went before it has gone, what comes after goes on, and nothing goes twice."""
    wire.cues = [*[None] * place, cue]
    receipts = account.send_many(THREE)
    expected = [SENT] * 3
    expected[place] = receipt
    assert (expected, 3) == (told(receipts), len(wire.seen))
    wire.emulator.advance(timedelta(days=1))
    assert 2 == len(wire.emulator.outbox())


@pytest.mark.parametrize(
    ("cue", "kind"),
    [
        (reply(bad(401)), qasid.AuthenticationFailed),
        (reply(bad(402)), qasid.InsufficientCredit),
        (reply(bad(403)), qasid.PermissionDenied),
        (reply(bad(429)), qasid.RateLimited),
        (qasid.ConnectFailed("refused"), qasid.ConnectFailed),
    ],
)
def test_what_would_fail_all_ends_the_rest_unsent(
    account: qasid.Account, wire: Wire, cue: Response | Exception, kind: type
) -> None:
    """The first text has gone and is not sent again; the others are known not to have."""
    wire.cues = [None, cue]
    receipts = account.send_many(THREE)
    assert ([SENT, (kind, NOT), (kind, NOT)], 2) == (told(receipts), len(wire.seen))
    wire.emulator.advance(timedelta(days=1))
    assert ["a"] == [item.text for item in wire.emulator.outbox()]


@pytest.mark.parametrize(
    "cue", [reply(bad(429)), qasid.ConnectFailed("refused")], ids=["429", "refused"]
)
def test_what_fails_before_anything_went_is_tried_again(
    account: qasid.Account, wire: Wire, cue: Response | Exception
) -> None:
    """By the core, which waits as long as it is told."""
    wire.cues = [cue]
    assert [SENT] * 3 == told(account.send_many(THREE))
    assert 4 == len(wire.seen)


def test_an_empty_account_ends_a_bulk_at_once(account: qasid.Account, wire: Wire) -> None:
    """The batches that are left are not even asked for."""
    wire.emulator.fund(qasid.Money(10_000, "IRR"))  # 100 texts of 100 rials
    receipts = account.send_many(texts(*["a"] * 500))
    credit = (qasid.InsufficientCredit, NOT)
    assert ([SENT] * 100 + [credit] * 400, 2) == (told(receipts), len(wire.seen))


def test_what_was_refused_here_keeps_its_reason_when_the_rest_is_lost(
    account: qasid.Account, wire: Wire
) -> None:
    """It is known not to have gone."""
    wire.cues = [qasid.NoAnswer("lost")]
    messages = [qasid.TextMessage(to=ABROAD, text="a"), *texts("a", "a")]
    lost = (qasid.NoAnswer, UNKNOWN)
    assert [(qasid.InvalidRecipient, NOT), lost, lost] == told(account.send_many(messages))


def test_where_nothing_can_be_sent_nothing_is_asked(account: qasid.Account, wire: Wire) -> None:
    """Each message has its own reason."""
    messages = [qasid.TextMessage(to=ABROAD, text="a"), *texts("")]
    kinds = [type(receipt.error) for receipt in account.send_many(messages)]
    assert ([qasid.InvalidRecipient, qasid.InvalidRequest], []) == (kinds, wire.seen)
