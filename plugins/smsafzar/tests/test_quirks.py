"""The traps of SMSAfzar's documents, in the order of the list that was made of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

import qasid
from qasid.drivers.virtual import VirtualClock

TO: Final = "+989121112233"
PRINTED_IDS: Final = (
    "e1d20dd8-a346-40e1-95c7-979312682c41",
    "955fe482-08ad-4b68-872c-037fe176a0b1",
)
MEANINGS: Final = {
    1004: "the account may not use the service",
    1005: "the account may not use this method",
    1006: "this IP address is not on the account's list",
    1010: "the account is inactive",
    1011: "the account has expired",
}
Connect = Callable[..., qasid.Account]


def text(**changes: Any) -> qasid.TextMessage:
    return qasid.TextMessage(**{"to": TO, "text": "سلام", **changes})


def template(**changes: Any) -> qasid.TemplateMessage:
    values = {"code": "123456", "price": "1,000,000"}
    given = {"to": TO, "template": "TydSt1skQE", "values": values}
    return qasid.TemplateMessage(**{**given, **changes})


# 1 … 21: the numbers of the list.


def test_01_the_token_is_used_as_it_came(connect: Connect, wire: Any) -> None:
    """It is called a JWT, the sample is none, and nothing is read out of it."""
    connect().balance()
    assert wire.seen[-1].header("Authorization") == "Bearer ltQZ6Yr3s-x5EZ2jg...."


@pytest.mark.parametrize("token", ["", "a\r\nX-Other: b", "توکن", None, 7])
def test_01_a_token_that_cannot_stand_in_a_header_is_an_error(
    connect: Connect, wire: Any, token: Any
) -> None:
    """Opaque is not arbitrary: it must not become a header of its own."""
    wire.reply(200, {"token": token})
    with pytest.raises(qasid.ProtocolError, match="token"):
        connect().balance()
    assert wire.targets == ["POST /auth/token"]


def test_01_a_token_is_counted_on_for_the_age_in_the_settings(
    connect: Connect, clock: VirtualClock
) -> None:
    """The answer tells no end, so it is the moment it came plus `token_age`: by default 6 days."""
    assert connect().authenticate().expires_at == clock.now() + timedelta(days=6)
    short = connect(token_age="3600").authenticate()
    assert short.expires_at == clock.now() + timedelta(hours=1)


def test_01_a_token_is_renewed_by_age_before_the_panel_ends_it(
    account: qasid.Account, wire: Any, clock: VirtualClock
) -> None:
    """After six of its seven days a new one is asked for, and no call is refused."""
    clock.sleep(timedelta(days=6).total_seconds())
    account.balance()
    assert wire.targets == ["POST /auth/token", "GET /account/balance"]


def test_01_a_refused_token_is_renewed_once(account: qasid.Account, wire: Any) -> None:
    """The panel may be set to shorter lives; a second refusal is final."""
    wire.refuse(401, 401)
    assert account.balance() == qasid.Money(1_250_000, "IRR")
    wire.seen.clear()
    wire.refuse(401, 401)
    wire.pass_on()  # the login
    wire.refuse(401, 401)
    with pytest.raises(qasid.AuthenticationFailed):
        account.balance()
    assert wire.targets == ["GET /account/balance", "POST /auth/token", "GET /account/balance"]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 401, qasid.AuthenticationFailed),
        (429, 429, qasid.RateLimited),
        (403, 1004, qasid.PermissionDenied),
        (500, 1000011011, qasid.ProviderUnavailable),
        (500, 2**63 - 1, qasid.ProviderUnavailable),
    ],
)
def test_02_codes_are_of_any_length(
    connect: Connect, wire: Any, status: int, code: int, kind: type[qasid.ProviderError]
) -> None:
    """Three digits, four, or the number of an incident, which may not fit into 32 bits."""
    for _ in range(3):
        wire.refuse(status, code)
    with pytest.raises(kind) as caught:
        connect().authenticate()
    assert caught.value.code == str(code)


@pytest.mark.parametrize("words", ["", ".", "خطای احراز هویت رخ داده است.", "OK", None, 7])
def test_03_an_errors_text_decides_nothing(account: qasid.Account, wire: Any, words: Any) -> None:
    """The full stop stands at either end of the same text, and so the text is not looked at."""
    wire.reply(403, {"errorCode": 1006, "errorMessage": words})
    with pytest.raises(qasid.PermissionDenied) as caught:
        account.balance()
    assert caught.value.code == "1006"


@pytest.mark.parametrize("name", ["RecipientNumber", "recipientNumber", "recipientnumber"])
def test_04_names_of_fields_come_in_any_case(account: qasid.Account, wire: Any, name: str) -> None:
    """``UserName`` on one page, ``count`` on another, ``userName`` in the request."""
    wire.refuse(400, 1001, name)
    with pytest.raises(qasid.InvalidRecipient, match=r"does not take to$") as caught:
        account.send(text())
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED


def test_04_all_fields_that_are_known_are_named(account: qasid.Account, wire: Any) -> None:
    """In the words of Qasid, with what is documented of them; a strange one is left out."""
    wire.refuse(400, 1001, "SendTimestamp", "SenderNumber", "Whatever", "sendernumber")
    with pytest.raises(qasid.InvalidRequest) as caught:
        account.send(text())
    said = "SMSAfzar answered 400 (1001): it does not take send_at (later than the server's now)"
    assert str(caught.value) == f"{said}, sender"


@pytest.mark.parametrize("listed", [None, [], [7], [{"field": 7}], [{}], {"field": "count"}, "x"])
def test_05_1001_needs_no_list_of_fields(account: qasid.Account, wire: Any, listed: Any) -> None:
    """Too many ids are 1001 without one; whatever stands there is not relied on."""
    more = {} if listed is None else {"validationErrors": listed}
    wire.reply(400, {"errorCode": 1001, "errorMessage": "…", **more})
    with pytest.raises(qasid.InvalidRequest) as caught:
        account.send(text())
    assert (type(caught.value), caught.value.code) == (qasid.InvalidRequest, "1001")


@pytest.mark.parametrize(("code", "meaning"), MEANINGS.items())
def test_06_each_meaning_of_403_is_told(
    account: qasid.Account, wire: Any, code: int, meaning: str
) -> None:
    """One status, five codes: all are a lack of permission, each for another reason."""
    wire.refuse(403, code)
    with pytest.raises(qasid.PermissionDenied) as caught:
        account.send(text())
    assert str(caught.value).startswith(f"SMSAfzar answered 403 ({code}): {meaning}")


def test_06_a_403_of_another_code_is_a_denial_as_well(account: qasid.Account, wire: Any) -> None:
    """The list of codes is not to be had whole."""
    wire.refuse(403, 1007)
    with pytest.raises(qasid.PermissionDenied) as caught:
        account.balance()
    assert str(caught.value) == "SMSAfzar answered 403 (1007)"


@pytest.mark.parametrize("code", MEANINGS)
def test_07_no_token_is_asked_for_after_a_403(account: qasid.Account, wire: Any, code: int) -> None:
    """An inactive or expired account is refused with 403, and a new token would not help."""
    wire.refuse(403, code)
    with pytest.raises(qasid.PermissionDenied):
        account.balance()
    assert wire.targets == ["GET /account/balance"]


def test_08_a_400_may_be_a_lack_of_credit(connect: Connect, wire: Any) -> None:
    """Business refusals are 400, with codes that no page shows; the settings tell what they are."""
    wire.emulator.fund(qasid.Money(0, "IRR"))
    with pytest.raises(qasid.InsufficientCredit) as caught:
        connect(credit_codes=[1101]).send(text())
    assert caught.value.code == "1101"


def test_08_a_400_of_an_unknown_code_keeps_it(connect: Connect, wire: Any) -> None:
    """Until the settings tell, it is an invalid request, and its code says more."""
    wire.emulator.fund(qasid.Money(0, "IRR"))
    with pytest.raises(qasid.InvalidRequest) as caught:
        connect().send(text())
    assert (type(caught.value), caught.value.code) == (qasid.InvalidRequest, "1101")


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("credit_codes", qasid.InsufficientCredit),
        ("opted_out_codes", qasid.RecipientOptedOut),
        ("recipient_codes", qasid.InvalidRecipient),
    ],
)
@pytest.mark.parametrize("given", ["1200, 1201", [1200, 1201], ("1201",)])
def test_08_the_settings_tell_what_codes_mean(
    connect: Connect, wire: Any, setting: str, kind: type[qasid.ProviderError], given: Any
) -> None:
    """As a text with commas, such as in the environment, or as a list."""
    account = connect(**{setting: given})
    account.authenticate()
    wire.refuse(400, 1201)
    with pytest.raises(kind) as caught:
        account.send(text())
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED


def test_09_ids_are_asked_about_in_the_documents_spelling(
    account: qasid.Account, wire: Any
) -> None:
    """``sentMessageIdes`` it is."""
    account.delivery_status([qasid.Receipt(to=TO, id=one) for one in PRINTED_IDS])
    assert wire.bodies == [{"sentMessageIdes": [*PRINTED_IDS]}]


def test_10_each_method_has_its_own_verb(account: qasid.Account, wire: Any) -> None:
    """Asking for states is a POST, and a cancellation a DELETE, though one page speaks of two."""
    receipt = account.send(text(send_at=datetime(2026, 2, 4, tzinfo=UTC)))
    account.delivery_status([receipt])
    account.fetch_sms(qasid.InboxQuery())
    account.balance()
    account.cancel_scheduled(receipt.batch_id or "")
    assert wire.targets == [
        "POST /messages/send",
        "POST /messages/status",
        "GET /messages/received/recent",
        "GET /account/balance",
        f"DELETE /messages/send/scheduled/{receipt.batch_id}",
    ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tehran", "America/New_York"])
def test_11_a_schedule_is_in_seconds_of_utc(account: qasid.Account, wire: Any, zone: str) -> None:
    """The printed 1770177035 is 03:50:35 in UTC, 07:20:35 in Tehran; never milliseconds."""
    at = datetime(2026, 2, 4, 3, 50, 35, tzinfo=UTC).astimezone(ZoneInfo(zone))
    account.send(text(send_at=at))
    assert wire.bodies[0]["sendTimestamp"] == 1770177035


def test_11_a_schedule_is_never_earlier_than_asked_for(account: qasid.Account, wire: Any) -> None:
    """Fractions of a second cannot be said, and are rounded up."""
    account.send(text(send_at=datetime(2026, 2, 4, 3, 50, 34, 1, tzinfo=UTC)))
    assert wire.bodies[0]["sendTimestamp"] == 1770177035


def test_11_a_moment_that_has_passed_is_refused_by_the_server_too(
    account: qasid.Account, wire: Any, clock: VirtualClock
) -> None:
    """The core refuses it by this machine's clock; the server has one of its own."""
    wire.emulator.advance(timedelta(hours=1))
    with pytest.raises(qasid.InvalidRequest, match="send_at"):
        account.send(text(send_at=clock.now() + timedelta(minutes=30)))
    assert wire.emulator.outbox() == ()


def test_12_a_text_needs_a_sender(connect: Connect, wire: Any) -> None:
    """It is no E.164 number but a line of the panel; without one nothing is asked."""
    account = connect(sender=None)
    account.authenticate()
    with pytest.raises(qasid.InvalidRequest, match="sender"):
        account.send(text())
    assert wire.targets == ["POST /auth/token"]
    account.send(text(sender="00981000"))
    assert wire.bodies[-1]["senderNumber"] == "00981000"


def test_12_a_messages_sender_goes_before_that_of_the_settings(
    account: qasid.Account, wire: Any
) -> None:
    """And recipients are written as Iran writes them."""
    account.send(text())
    account.send(text(sender="10002000"))
    assert [body["senderNumber"] for body in wire.bodies] == ["10001000", "10002000"]
    assert {body["recipientNumber"] for body in wire.bodies} == {"09121112233"}


def test_12_a_template_may_have_a_sender_of_its_own(connect: Connect, wire: Any) -> None:
    """The page breaks off where it says so; the member is then left out."""
    account = connect(sender=None)
    with pytest.raises(qasid.InvalidRequest, match="sender"):
        account.send(template())
    wire.emulator.template_senders = {"TydSt1skQE": "10009"}
    account.send(template())
    assert "senderNumber" not in wire.bodies[-1]
    assert wire.emulator.outbox()[-1].sender == "10009"


def test_13_the_arrays_of_a_bulk_are_parallel(account: qasid.Account, wire: Any) -> None:
    """Each has an item for each message, in order, so that nothing is left to be paired."""
    account.send_many(
        [text(text="a"), text(to="+989120000000", text="b", sender="10002000"), text(text="a")]
    )
    assert wire.targets == ["POST /messages/send/bulk"]
    assert wire.bodies == [
        {
            "senderNumbers": ["10001000", "10002000", "10001000"],
            "recipientNumbers": ["09121112233", "09120000000", "09121112233"],
            "contents": ["a", "b", "a"],
        }
    ]


def test_13_a_single_message_has_no_arrays(account: qasid.Account, wire: Any) -> None:
    """It goes to the other address."""
    account.send_many([text(text="a")])
    assert wire.targets == ["POST /messages/send"]
    assert wire.bodies == [
        {"senderNumber": "10001000", "recipientNumber": "09121112233", "content": "a"}
    ]


def test_14_the_domain_is_a_part_of_the_login(connect: Connect) -> None:
    """The same name and password in another domain are somebody else's."""
    with pytest.raises(qasid.AuthenticationFailed):
        connect(domain="sms.example").balance()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"username": "short"}, "username (6 characters or more)"),
        ({"password": "short"}, "password (8 characters or more)"),
    ],
)
def test_15_what_is_too_short_is_named(
    connect: Connect, changed: dict[str, str], named: str
) -> None:
    """It is refused as invalid before anybody looks whether it is right, and so it is no 401."""
    with pytest.raises(qasid.InvalidRequest) as caught:
        connect(**changed).balance()
    assert str(caught.value) == f"SMSAfzar answered 400 (1001): it does not take {named}"


@pytest.mark.parametrize("date", ["1403/01/01", "1399/12/30", "2024-03-20", "…"])
def test_16_the_date_of_expiry_is_not_read(account: qasid.Account, wire: Any, date: str) -> None:
    """It is a Jalali one within a text: the code says enough."""
    words = f".حساب کاربر در تاریخ: {date} منقضی شده است"
    wire.reply(403, {"errorCode": 1011, "errorMessage": words})
    with pytest.raises(qasid.PermissionDenied, match="the account has expired"):
        account.balance()


@pytest.mark.parametrize("path", ["login", "method"])
def test_17_the_limit_counts_everywhere(connect: Connect, wire: Any, path: str) -> None:
    """It is documented of the login; a 429 of any call is one, by its status alone."""
    account = connect(max_wait=0.5)
    if path == "method":
        account.authenticate()
    wire.reply(429, "")
    with pytest.raises(qasid.RateLimited) as caught:
        account.authenticate() if path == "login" else account.balance()
    assert caught.value.retry_after == timedelta(seconds=1)
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED


def test_17_a_retry_after_header_goes_before_the_second(account: qasid.Account, wire: Any) -> None:
    """It is not documented, but where it comes it is meant."""
    wire.reply(429, "", Retry_After="300")
    with pytest.raises(qasid.RateLimited) as caught:
        account.balance()
    assert caught.value.retry_after == timedelta(seconds=300)


def test_17_five_a_second_are_never_passed(
    connect: Connect, wire: Any, clock: VirtualClock
) -> None:
    """Twenty calls and a login take four seconds, and none is refused."""
    account = connect()
    for _ in range(20):
        account.balance()
    assert len(wire.seen) == 21
    assert 4 <= clock.seconds < 5


def test_18_the_login_is_what_the_samples_mean_to_send(connect: Connect, wire: Any) -> None:
    """Not all of them run: it is a JSON body of three members, and three headers."""
    connect().authenticate()
    (request,) = wire.seen
    assert request.content == (
        b'{"userName":"YourUserName","password":"YourPassword","domain":"sms.smsafzar"}'
    )
    named = {name: request.header(name) for name in ("Content-Type", "Cache-Control", "Accept")}
    assert named == {
        "Content-Type": "application/json",
        "Cache-Control": "no-cache",
        "Accept": "application/json",
    }


@pytest.mark.parametrize(
    ("batch", "encoded"), [("a/b", "a%2Fb"), ("../x", "..%2Fx"), ("شناسه?", "%D8%B4%D9%86%D8%A7")]
)
def test_19_the_id_of_a_batch_ends_the_path(
    account: qasid.Account, wire: Any, batch: str, encoded: str
) -> None:
    """One address in the document lacks it. Whatever it holds, it stays one segment."""
    with pytest.raises(qasid.InvalidRequest) as caught:
        account.cancel_scheduled(batch)
    assert caught.value.code == "1106"
    assert wire.targets[0].startswith(f"DELETE /messages/send/scheduled/{encoded}")


@pytest.mark.parametrize("bad", ["", ".", ".."])
def test_19_an_id_that_is_no_segment_is_refused_before_the_wire(
    account: qasid.Account, wire: Any, bad: str
) -> None:
    """It would be another address."""
    with pytest.raises(qasid.InvalidRequest):
        account.cancel_scheduled(bad)
    assert wire.seen == []


@pytest.mark.parametrize(
    "body",
    ["", "<html>", "null", "[]", "7", '"x"', "{", "{}", '{"sentMessageId": 7, "batchId": []}'],
)
def test_20_a_success_that_cannot_be_read_is_a_success(
    account: qasid.Account, wire: Any, body: str
) -> None:
    """Its body is not documented; a second send would be a second message."""
    wire.reply(200, body)
    assert account.send(text()) == qasid.Receipt(to=TO, account="smsafzar")
    assert len(wire.seen) == 1


@pytest.mark.parametrize("ids", [[], ["a"], ["a", "b", "c"], "ab", [1, 2], [None, ""]])
def test_20_ids_that_do_not_fit_the_messages_are_given_to_none(
    account: qasid.Account, wire: Any, ids: Any
) -> None:
    """A wrong id would tell the fate of somebody else's message."""
    wire.reply(200, {"batchId": "b1", "sentMessageIdes": ids})
    receipts = account.send_many([text(), text()])
    assert receipts == [qasid.Receipt(to=TO, batch_id="b1", account="smsafzar")] * 2


def test_21_a_value_has_a_hundred_characters(account: qasid.Account, wire: Any) -> None:
    """Other providers have other limits; one more is refused before the wire."""
    account.send(template(values={"code": "ح" * 100, "price": ""}))
    with pytest.raises(qasid.TemplateRejected, match="100 characters") as caught:
        account.send(template(values={"code": "1" * 101, "price": ""}))
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED
    assert len(wire.seen) == 1


@pytest.mark.parametrize("name", ["TemplateId", "templateId", "Parameters", "Parameters[0].Value"])
def test_21_a_refused_field_of_a_template_is_a_rejected_template(
    account: qasid.Account, wire: Any, name: str
) -> None:
    """By the names of the fields, as the codes are not documented."""
    wire.refuse(400, 1001, name)
    with pytest.raises(qasid.TemplateRejected):
        account.send(template())
