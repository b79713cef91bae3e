"""What the provider does beyond the traps: mixed batches, lenient reading, refusals, settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qasid
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Response
from qasid.finding import implemented
from qasid.hookspecs import HOOKS
from qasid_smsafzar import SMSAfzar
from qasid_smsafzar.emulator import SMSAfzarEmulator

Connect = Callable[..., qasid.Account]

LATER: Final = datetime(2026, 2, 4, 3, 50, 35, tzinfo=UTC)
VALUES: Final = {"code": "1", "price": "2"}
UNKNOWN: Final = qasid.Outcome.UNKNOWN
NOT_PERFORMED: Final = qasid.Outcome.NOT_PERFORMED


def number(last: int) -> str:
    return f"+98912000{last:04d}"


def text(last: int = 0, **changes: Any) -> qasid.TextMessage:
    return qasid.TextMessage(**{"to": number(last), "text": f"text {last}", **changes})


def template(last: int = 0, **changes: Any) -> qasid.TemplateMessage:
    fixed = {"to": number(last), "template": "TydSt1skQE", "values": VALUES}
    return qasid.TemplateMessage(**{**fixed, **changes})


#: Three requests: two texts now, a template, a text later.
MIXED: Final = (text(1), template(2), text(3), text(4, send_at=LATER))


def fates(receipts: list[qasid.Receipt]) -> list[str]:
    return ["ok" if one.error is None else type(one.error).__name__ for one in receipts]


# One call of `send`, several requests.


def test_messages_go_in_as_few_requests_as_there_may_be(account: qasid.Account, wire: Any) -> None:
    """Texts of one moment together, each template alone, in the order of their first messages."""
    receipts = account.send_many(MIXED)
    assert wire.targets == [
        "POST /messages/send/bulk",
        "POST /messages/send/template",
        "POST /messages/send",
    ]
    assert [one.to for one in receipts] == [one.to for one in MIXED]
    assert receipts[0].batch_id == receipts[2].batch_id
    assert len({one.id for one in receipts}) == 4
    assert len({one.batch_id for one in receipts}) == 3


@pytest.mark.parametrize(
    ("status", "code", "kind", "outcome"),
    [
        (400, 1001, "InvalidRequest", NOT_PERFORMED),
        (400, 1101, "InsufficientCredit", NOT_PERFORMED),
        (401, 401, "AuthenticationFailed", NOT_PERFORMED),
        (403, 1005, "PermissionDenied", NOT_PERFORMED),
        (404, 0, "ProtocolError", UNKNOWN),
        (429, 429, "RateLimited", NOT_PERFORMED),
        (500, 1000011011, "ProviderUnavailable", UNKNOWN),
    ],
)
def test_what_the_second_of_three_requests_is_refused_for_is_its_own(
    connect: Connect, wire: Any, status: int, code: int, kind: str, outcome: qasid.Outcome
) -> None:
    """The first and the third have their receipts, and nothing is sent again."""
    account = connect(credit_codes=[1101])
    account.authenticate()
    wire.pass_on()
    wire.refuse(status, code)
    receipts = account.send_many(MIXED)
    assert fates(receipts) == ["ok", kind, "ok", "ok"]
    assert receipts[1].outcome is outcome
    assert all(one.id for one in receipts if one.accepted)
    assert [one.text for one in wire.emulator.outbox()] == ["text 1", "text 3"]
    assert len(wire.seen) == 4


@pytest.mark.parametrize("error", [qasid.NoAnswer, qasid.ConnectFailed, qasid.ProtocolError])
def test_a_lost_answer_costs_no_other_receipt(
    account: qasid.Account, wire: Any, error: type[qasid.ProviderError]
) -> None:
    """What a transport raises belongs to its own request as well."""
    wire.pass_on()
    wire.replies.append(error("lost"))
    receipts = account.send_many(MIXED)
    assert fates(receipts) == ["ok", error.__name__, "ok", "ok"]
    assert receipts[1].outcome is (NOT_PERFORMED if error is qasid.ConnectFailed else UNKNOWN)
    assert len(wire.seen) == 3


@pytest.mark.parametrize("lost", [qasid.NoAnswer("lost"), None])
def test_an_unknown_first_request_does_not_stop_the_others(
    account: qasid.Account, wire: Any, lost: qasid.ProviderError | None
) -> None:
    """It is neither sent again nor in the way."""
    wire.replies.append(lost) if lost else wire.reply(502, "<html>")
    receipts = account.send_many(MIXED)
    assert [one.outcome for one in receipts] == [UNKNOWN, None, UNKNOWN, None]
    assert len(wire.seen) == 3


def test_a_first_request_that_the_core_can_mend_begins_the_whole_again(
    account: qasid.Account, wire: Any
) -> None:
    """Nothing had gone: with a new token, or after a second, all go, and each once."""
    wire.refuse(401, 401)
    assert fates(account.send_many(MIXED)) == ["ok"] * 4
    wire.refuse(429, 429)
    assert fates(account.send_many(MIXED)) == ["ok"] * 4
    assert wire.logins == 1
    assert Counter(one.text for one in wire.emulator.outbox()) == {
        "text 1": 2,
        "text 3": 2,
        "1 2": 2,
    }


def test_a_method_that_is_denied_is_not_asked_again(account: qasid.Account, wire: Any) -> None:
    """The account may lack templates alone: the texts go, and the templates are spared."""
    wire.refuse(403, 1005)
    receipts = account.send_many([template(1), text(2), template(3)])
    assert fates(receipts) == ["PermissionDenied", "ok", "PermissionDenied"]
    assert wire.targets == ["POST /messages/send/template", "POST /messages/send"]


def test_a_bulk_that_is_denied_is_the_last_one(account: qasid.Account, wire: Any) -> None:
    """The core is told, and asks for none of the batches behind it."""
    wire.refuse(403, 1010)
    receipts = account.send_many(text(last) for last in range(250))
    assert set(fates(receipts)) == {"PermissionDenied"}
    assert len(wire.seen) == 1


def test_a_bulk_holds_a_hundred(account: qasid.Account, wire: Any) -> None:
    """As many senders, recipients and texts as the documents allow."""
    wire.emulator.fund(qasid.Money(10**9, "IRR"))
    assert fates(account.send_many(text(last) for last in range(250))) == ["ok"] * 250
    assert [len(body["contents"]) for body in wire.bodies] == [100, 100, 50]


UNSAYABLE: Final = {
    "an empty text": text(2, text=""),
    "half a character": text(2, text="half \ud83d"),
    "half a character in the sender": text(2, sender="half \ud83d"),
    "a number abroad": text(2, to="+442079460958"),
    "no template": template(2, template=""),
    "a long value": template(2, values={"code": "1" * 101}),
    "half a character in a name": template(2, values={"\udc00": "1"}),
}


@pytest.mark.parametrize("bad", UNSAYABLE.values(), ids=UNSAYABLE)
def test_what_cannot_be_said_is_refused_alone_and_before_the_wire(
    account: qasid.Account, wire: Any, bad: Any
) -> None:
    """Its receipt has the error, and the rest of the batch goes."""
    receipts = account.send_many([text(1), bad, text(3)])
    assert [one.accepted for one in receipts] == [True, False, True]
    assert receipts[1].outcome is NOT_PERFORMED
    assert isinstance(receipts[1].error, qasid.InvalidRequest)
    assert wire.targets == ["POST /messages/send/bulk"]
    wire.seen.clear()
    with pytest.raises(qasid.InvalidRequest):
        account.send(bad)
    assert wire.seen == []


@pytest.mark.parametrize("last", ["RecipientNumbers", "RecipientNumbers[1]"])
def test_a_bulk_does_not_call_every_recipient_invalid(
    connect: Connect, wire: Any, last: str
) -> None:
    """One of them is, and the answer does not say which: none of them may be struck off a list."""
    account = connect(opted_out_codes="1300", recipient_codes="1301")
    account.authenticate()
    for refusal in ((1001, last), (1300,), (1301,)):
        wire.refuse(400, *refusal)
        receipts = account.send_many([text(1), text(2)])
        assert fates(receipts) == ["InvalidRequest"] * 2
        assert receipts[0].error is not None
        assert receipts[0].error.code == str(refusal[0])


@st.composite
def batches(draw: st.DrawFn) -> list[Any]:
    kinds = st.sampled_from(["text", "later", "much later", "template", "foreign", "empty"])
    make: dict[str, Callable[[int], Any]] = {
        "text": text,
        "later": lambda last: text(last, send_at=LATER),
        "much later": lambda last: text(last, send_at=LATER + timedelta(days=1)),
        "template": template,
        "foreign": lambda last: text(last, to="+442079460958"),
        "empty": lambda last: text(last, text=""),
    }
    return [make[kind](last) for last, kind in enumerate(draw(st.lists(kinds, max_size=12)))]


_FAULTS: Final = st.sampled_from([200, 200, 200, 200, 400, 401, 403, 429, 500, 502])


@settings(deadline=None)
@given(batch=batches(), faults=st.lists(_FAULTS, max_size=8))
def test_every_message_has_one_receipt_that_tells_the_truth(
    batch: list[Any], faults: list[int]
) -> None:
    """Whatever is mixed and whatever fails: in order, none twice, and accepted where it went."""
    clock = VirtualClock()
    emulator = SMSAfzarEmulator(clock=clock.now)
    settings: dict[str, Any] = {**emulator.settings}
    account = qasid.connect("smsafzar", driver=virtual_driver(emulator.handle, clock), **settings)
    account.authenticate()
    for status in faults:
        if status != 200:
            emulator.fail_next(Response(status=status))
    receipts = account.send_many(batch)
    clock.sleep(timedelta(days=1000).total_seconds())
    gone = Counter(one.to for one in emulator.outbox())
    assert [one.to for one in receipts] == [one.to for one in batch]
    for receipt in receipts:
        if receipt.to != "+442079460958":
            assert gone[receipt.to] == receipt.accepted


# Taking back.


@pytest.mark.parametrize("body", ["", "{}", '{"message": "…"}'])
def test_a_cancellation_needs_no_words(account: qasid.Account, wire: Any, body: str) -> None:
    """Its success is not documented; the status says it."""
    wire.reply(200, body)
    assert account.cancel_scheduled("b1") == qasid.Cancelled(batch_id="b1")


@pytest.mark.parametrize("body", ["<html>", "null", "[]", '"ok"'])
def test_a_page_is_no_cancellation(account: qasid.Account, wire: Any, body: str) -> None:
    """It may come from somebody on the way: then nothing is known."""
    wire.reply(200, body)
    with pytest.raises(qasid.ProtocolError) as caught:
        account.cancel_scheduled("b1")
    assert caught.value.outcome is UNKNOWN


def test_a_batch_is_taken_back_until_half_a_minute_before(
    account: qasid.Account, wire: Any, clock: VirtualClock
) -> None:
    """All messages of it at once."""
    at = clock.now() + timedelta(minutes=10)
    first, second = account.send_many([text(1, send_at=at), text(2, send_at=at)])
    assert first.batch_id == second.batch_id
    account.cancel_scheduled(first.batch_id or "")
    third = account.send(text(3, send_at=at))
    clock.sleep(571)
    with pytest.raises(qasid.InvalidRequest):
        account.cancel_scheduled(third.batch_id or "")
    clock.sleep(60)
    assert [one.text for one in wire.emulator.outbox()] == ["text 3"]


# Where messages are.


def test_states_are_unknown_with_their_code_until_the_settings_tell(
    connect: Connect, clock: VirtualClock
) -> None:
    """No page shows what the codes mean, and nothing is guessed."""
    receipt = connect().send(text(1))
    clock.sleep(60)
    asked = [receipt]
    assert connect().delivery_status(asked) == [
        qasid.DeliveryReport(
            receipt_id=receipt.id or "",
            state=qasid.DeliveryState.UNKNOWN,
            to=number(1),
            code="2",
        )
    ]
    (told,) = connect(delivered_codes="2").delivery_status(asked)
    assert told.state is qasid.DeliveryState.DELIVERED
    (told,) = connect(pending_codes=[0, 1], failed_codes=[2, 3]).delivery_status(asked)
    assert told.state is qasid.DeliveryState.FAILED
    (told,) = connect(pending_codes=[-2, 2]).delivery_status(asked)
    assert told.state is qasid.DeliveryState.PENDING


def test_ids_are_asked_about_by_the_hundred_and_once_each(
    account: qasid.Account, wire: Any
) -> None:
    """There is a report for each receipt all the same, in order."""
    asked = [qasid.Receipt(to=number(last), id=f"id-{last % 201}") for last in range(230)]
    reports = account.delivery_status(asked)
    assert [len(body["sentMessageIdes"]) for body in wire.bodies] == [100, 100, 1]
    assert [(one.receipt_id, one.to) for one in reports] == [(one.id, one.to) for one in asked]


@pytest.mark.parametrize(
    "answer",
    [
        [{"sentMessageId": "a", "status": 5}],
        {"messages": [{"sentMessageId": "a", "status": 5}]},
        [{"id": "a", "deliveryState": 5, "description": "…", "seen": True}],
        [{"id": "a", "status": 5, "parts": 2}],
        [{"id": "b", "status": "?"}, {"id": "a", "status": 5}],
    ],
)
def test_names_of_members_matter_little(account: qasid.Account, wire: Any, answer: Any) -> None:
    """They are not documented: an entry is known by its id, its code by being the one number."""
    wire.reply(200, answer)
    (report,) = account.delivery_status([qasid.Receipt(to=number(1), id="a")])
    assert report.code == "5"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        {},
        {"a": [], "b": []},
        [7],
        [{"id": "a"}],
        [{"id": "a", "status": "5"}],
        [{"id": "a", "status": True}],
        [{"id": "a", "x": 1, "y": 2}],
    ],
)
def test_states_that_cannot_be_read_are_an_error(
    account: qasid.Account, wire: Any, answer: Any
) -> None:
    """And no guess."""
    wire.reply(200, answer)
    with pytest.raises(qasid.ProtocolError):
        account.delivery_status([qasid.Receipt(to=number(1), id="a")])


# The credit.


@pytest.mark.parametrize(
    ("body", "rials"),
    [
        ('{"balance": 1250000, "unit": "ریال"}', "1250000"),
        ('{"unit": "ريال", "credit": 0.5}', "0.5"),
        ('{"amount": 125.5, "measure": " Rial "}', "125.5"),
        ('{"amount": 125000, "unit": "تومان", "ok": true, "list": []}', "1250000"),
        ('{"amount": 12.5, "unit": "Toman"}', "125"),
    ],
)
def test_a_balance_is_in_rials_whatever_its_unit(
    account: qasid.Account, wire: Any, body: str, rials: str
) -> None:
    """One number and one text: the names of both are not documented. A toman is ten rials."""
    wire.reply(200, body)
    assert account.balance() == qasid.Money(rials, "IRR")


@pytest.mark.parametrize(
    "body",
    [
        '{"balance": 1, "unit": "پیامک"}',
        '{"balance": 1}',
        '{"unit": "ریال"}',
        '{"balance": 1, "bonus": 2, "unit": "ریال"}',
        '{"balance": 1, "unit": "ریال", "name": "…"}',
        '{"balance": "1", "unit": "ریال"}',
        "[]",
        "7",
    ],
)
def test_a_balance_of_no_known_unit_is_an_error(
    account: qasid.Account, wire: Any, body: str
) -> None:
    """A panel may count in messages: they are no money."""
    wire.reply(200, body)
    with pytest.raises(qasid.ProtocolError):
        account.balance()


@pytest.mark.parametrize("unit", ["ریال", "تومان"])
def test_the_emulators_credit_is_told_in_either_unit(
    account: qasid.Account, wire: Any, unit: Any
) -> None:
    """The same money."""
    wire.emulator.unit = unit
    assert account.balance() == wire.emulator.balance()


# The inbox.


def test_the_newest_messages_are_told_oldest_first(
    account: qasid.Account, wire: Any, clock: VirtualClock
) -> None:
    """Two of three were asked for."""
    for words in ("one", "two", "three"):
        wire.emulator.deliver("10001000", words, "09121112233")
        clock.sleep(1)
    found = account.fetch_sms(qasid.InboxQuery(limit=2))
    assert [one.text for one in found] == ["two", "three"]
    assert (found[0].sender, found[0].to) == ("09121112233", "10001000")
    assert found[0].received_at == clock.now() - timedelta(seconds=2)
    assert wire.seen[-1].params() == {"count": "2"}


def test_messages_without_moments_stay_in_their_order(account: qasid.Account, wire: Any) -> None:
    """Nothing but the text is relied on."""
    wire.reply(200, {"messages": [{"content": "b"}, {"content": "a", "receivedTimestamp": 1}]})
    found = account.fetch_sms(qasid.InboxQuery())
    assert found[0] == qasid.InboundMessage(text="b")
    assert [one.text for one in found] == ["b", "a"]


@pytest.mark.parametrize("at", ["1", 10**20, -(10**20), 1.5, True])
def test_a_moment_that_is_none_is_an_error(account: qasid.Account, wire: Any, at: Any) -> None:
    """Milliseconds too far away are no moment either."""
    wire.reply(200, [{"content": "a", "receivedTimestamp": at}])
    with pytest.raises(qasid.ProtocolError):
        account.fetch_sms(qasid.InboxQuery())


@pytest.mark.parametrize(
    "query",
    [
        qasid.InboxQuery(limit=101),
        qasid.InboxQuery(offset=1),
        qasid.InboxQuery(since=LATER),
        qasid.InboxQuery(until=LATER),
        qasid.Activation(id="1", number=number(1), service="a", country="IR", acquired_at=LATER),
    ],
    ids=repr,
)
def test_what_the_inbox_cannot_be_asked_is_refused_before_the_wire(
    account: qasid.Account, wire: Any, query: Any
) -> None:
    """It has a count and nothing else; silence about the rest would be a wrong answer."""
    with pytest.raises(qasid.InvalidRequest):
        account.fetch_sms(query)
    assert wire.seen == []


# Refusals.


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (201, qasid.ProtocolError),
        (204, qasid.ProtocolError),
        (302, qasid.ProtocolError),
        (400, qasid.InvalidRequest),
        (402, qasid.InvalidRequest),
        (404, qasid.ProtocolError),
        (405, qasid.ProtocolError),
        (422, qasid.InvalidRequest),
        (500, qasid.ProviderUnavailable),
        (503, qasid.ProviderUnavailable),
    ],
)
@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"errorCode": "x"}', '{"errorCode": true}'])
def test_200_is_success_and_nothing_else(
    account: qasid.Account, wire: Any, status: int, kind: type[qasid.ProviderError], body: str
) -> None:
    """So the documents say; an error need not have a body that can be read."""
    for _ in range(3):
        wire.reply(status, body)
    with pytest.raises(kind) as caught:
        account.send(text(1))
    assert type(caught.value) is kind
    assert caught.value.code is None
    assert len(wire.seen) == 1


def test_the_number_of_an_incident_is_for_the_support(account: qasid.Account, wire: Any) -> None:
    """It is a code like any other, and what to do with it is said."""
    for _ in range(3):
        wire.refuse(500, 1000011011)
    with pytest.raises(qasid.ProviderUnavailable, match="support") as caught:
        account.balance()
    assert caught.value.code == "1000011011"


def test_a_refused_field_of_the_sender_is_no_matter_of_templates(
    account: qasid.Account, wire: Any
) -> None:
    """Nor is a field of a template one where none was sent."""
    wire.refuse(400, 1001, "SenderNumber")
    with pytest.raises(qasid.InvalidRequest) as caught:
        account.send(template(1))
    assert type(caught.value) is qasid.InvalidRequest
    wire.refuse(400, 1001, "Parameters")
    with pytest.raises(qasid.InvalidRequest) as caught:
        account.send(text(1))
    assert type(caught.value) is qasid.InvalidRequest


# Settings.


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"credit_codes": "1101, no"}, "credit_codes"),
        ({"credit_codes": [True]}, "credit_codes"),
        ({"failed_codes": 3}, "failed_codes"),
        ({"token_age": 0}, "token_age"),
        ({"token_age": 10**9}, "token_age"),
        ({"base_url": "http://api.smsafzar.ir"}, "base_url"),
        ({"password": ""}, "password"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(
    connect: Connect, settings: dict[str, Any], field: str
) -> None:
    """Before anything is asked."""
    with pytest.raises(qasid.SettingsError) as caught:
        connect(**settings)
    assert caught.value.field == field


def test_codes_may_stand_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, connect: Connect, wire: Any
) -> None:
    """As a text with commas."""
    monkeypatch.setenv("QASID_SMSAFZAR_CREDIT_CODES", "1101, 1102")
    wire.emulator.fund(qasid.Money(0, "IRR"))
    with pytest.raises(qasid.InsufficientCredit):
        connect().send(text(1))


def test_the_password_is_not_shown() -> None:
    """Nor is it kept anywhere else."""
    shown = repr(SMSAfzar(username="YourUserName", password="s3cret-word", domain="sms.smsafzar"))
    assert "s3cret-word" not in shown


def test_support_is_what_is_implemented() -> None:
    """Declared and real capabilities agree, both ways."""
    declared = {hook for hook in HOOKS if SMSAfzar.info.supports(hook).implemented}
    assert declared == implemented(SMSAfzar)
