"""The traps of DeftSMS's document, one test each, in the order of the list in its reference."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qasid
from qasid.drivers.virtual import VirtualClock
from qasid.effects import Request, Response
from qasid_deftsms import DeftSMS
from qasid_deftsms.emulator import DeftSMSEmulator
from qasid_deftsms.tokens import TokenEncoding

from .recording import GOOD, SETTINGS, Wire, bad, claims, connected, reply

TO: Final = "+989120000000"
START: Final = datetime(2024, 8, 1, 12, 0, tzinfo=UTC)
HEADER: Final = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."


def text(body: str = "test", to: str = TO, **more: Any) -> qasid.TextMessage:
    return qasid.TextMessage(to=to, text=body, **more)


def numbers(count: int) -> list[str]:
    return [f"+98912000{n:04d}" for n in range(count)]


def row(n: int = 0, **changes: Any) -> dict[str, Any]:
    at = datetime(2024, 1, 15, 14, 30) + timedelta(seconds=n)  # noqa: DTZ001, of Tehran
    given = {"number": "09123456789", "message": f"text {n}", "dateCreated": f"{at}"}
    return {**given, **changes}


def inbox(*rows: object, total: int | None = None) -> Response:
    return reply({**GOOD, "data": [*rows], "total": len(rows) if total is None else total})


def test_01_parameters_are_inside_the_token(account: qasid.Account, wire: Wire) -> None:
    """Beside it they would do nothing: the form has the name and the token alone."""
    account.send(text())
    (request,) = wire.seen
    assert {"username", "token"} == {*request.payload()}
    assert [{"number": "09120000000", "message": "test"}] == wire.asked


@pytest.mark.parametrize("encoding", ["base64url", "php"])
def test_02_both_forms_of_a_token_get_in(
    wire: Wire, clock: VirtualClock, encoding: TokenEncoding
) -> None:
    """The sample writes padded standard base64; the text means base64url. It is a setting."""
    account = connected(wire, clock, token_encoding=encoding)
    account.send(text("سلام ~~~ؿ?>"))
    assert ["سلام ~~~ؿ?>"] == [item.text for item in wire.emulator.outbox()]
    token = wire.seen[0].payload()["token"]
    assert ("+" in token, token.endswith("=")) == (encoding == "php",) * 2


def test_03_a_token_in_a_form_is_percent_encoded(wire: Wire, clock: VirtualClock) -> None:
    """A bare plus would arrive as a space, and the signature fail now and then."""
    connected(wire, clock, token_encoding="php").send(text("سلام ~~~ؿ?>"))
    content = (wire.seen[0].content or b"").decode()
    _, _, sent = content.partition("token=")
    assert ("%2B" in sent, {*"+/="} & {*sent}) == (True, set())


@given(body=st.text(min_size=1))
def test_03_a_token_of_any_text_gets_in(body: str) -> None:
    """Not only most of the time."""
    clock = VirtualClock()
    wire = Wire(DeftSMSEmulator(clock=clock.now))
    connected(wire, clock, token_encoding="php").send(text(body))
    assert [body] == [item.text for item in wire.emulator.outbox()]


@pytest.mark.parametrize(
    ("encoding", "signature"),
    [
        ("base64url", "UteL9NUKWsDzY2OT019nIiycaiuCJyw3YENomYCI0G8"),
        ("php", "rIyyLa1HmoEezbGFWBnv9O6EFLDU/pPjxPmEwKH5uGM="),
    ],
)
def test_04_a_token_arrives_as_it_was_signed(
    wire: Wire, clock: VirtualClock, encoding: TokenEncoding, signature: str
) -> None:
    """Written anew before it is verified one form would fail: the signature covers the padding."""
    wire.cues = [reply(GOOD)]
    key = "test-secret-key-0001"
    connected(wire, clock, token_encoding=encoding, secret_key=key).send(text())
    form = parse_qs((wire.seen[0].content or b"").decode())
    assert signature == form["token"][0].rpartition(".")[2]


def test_05_the_payload_of_the_inbox_is_never_empty(account: qasid.Account, wire: Wire) -> None:
    """All of its members are optional, and PHP writes an empty array as ``[]``."""
    account.fetch_sms(qasid.InboxQuery())
    assert [{"limit": 10, "offset": 0}] == wire.asked


@pytest.mark.parametrize("data", [None, "1", [], [1], {}, 7, ...])
def test_06_the_data_of_a_send_is_not_looked_at(
    account: qasid.Account, wire: Wire, data: Any
) -> None:
    """It is null, or perhaps not there; an accepted text stays accepted whatever it is."""
    wire.cues = [reply({k: v for k, v in {**GOOD, "data": data}.items() if v is not ...})]
    assert account.send(text()).accepted


@pytest.mark.parametrize("data", [None, [], {}, 125000, 0.5, True, "", "x", "1e5", "۱۲", "1,000"])
def test_06_a_credit_is_text_and_digits(account: qasid.Account, wire: Wire, data: Any) -> None:
    """Nothing else is taken for an amount."""
    wire.cues = [reply({**GOOD, "data": data})]
    with pytest.raises(qasid.ProtocolError, match="'data'"):
        account.balance()


def test_06_an_empty_inbox_may_be_null(account: qasid.Account, wire: Wire) -> None:
    """As long as the total says nothing else."""
    wire.cues = [reply(GOOD), reply({**GOOD, "total": 3})]
    assert [] == account.fetch_sms(qasid.InboxQuery())
    with pytest.raises(qasid.ProtocolError, match="'data' is missing"):
        account.fetch_sms(qasid.InboxQuery())


def test_07_the_credit_is_exact_rials(account: qasid.Account) -> None:
    """The printed sample's amount, which is a text; a rial is not a toman."""
    assert qasid.Money("125000", "IRR") == account.balance()


def test_07_the_printed_comment_is_no_json_and_is_not_guessed_at(clock: VirtualClock) -> None:
    """``// …`` stands behind the amount."""
    wire = Wire(DeftSMSEmulator(clock=clock.now, raw_samples=True))
    with pytest.raises(qasid.ProtocolError, match="is not JSON"):
        connected(wire, clock).balance()


@pytest.mark.parametrize(
    "changes",
    [
        {"error": True},
        {"status": "error"},
        {"code": 400},
        {"code": "400"},
        {"success": False},
        {"success": False, "error": True},
        {"success": False, "error": True, "status": "error"},
        {"success": False, "status": "error", "code": 400},
        {"success": None},
        {"success": "true"},
        {"success": 1},
        {"error": "false"},
        {"error": 0},
        {"code": None},
        {"code": True},
        {"code": "OK"},
        {"code": 200.5},
    ],
)
def test_08_an_envelope_that_contradicts_itself_says_nothing(
    account: qasid.Account, wire: Wire, changes: dict[str, Any]
) -> None:
    """Four members say the same thing. Where they do not, the text may have gone."""
    wire.cues = [reply({**GOOD, **changes})]
    with pytest.raises(qasid.ProtocolError) as caught:
        account.send(text())
    assert qasid.Outcome.UNKNOWN is caught.value.outcome


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "code": 200},
        {"success": True, "code": "200"},
        {"success": True, "error": None, "status": None, "code": 200},
        {"success": True, "error": False, "code": 200},
    ],
)
def test_08_success_and_code_are_enough(
    account: qasid.Account, wire: Wire, body: dict[str, Any]
) -> None:
    """The code may be a text; the rest may be missing."""
    wire.cues = [reply(body)]
    assert account.send(text()).accepted


def test_09_a_receipt_has_no_id(account: qasid.Account) -> None:
    """There is none in the answer."""
    assert qasid.Receipt(to=TO, account="deftsms") == account.send(text())


@pytest.mark.parametrize("lost", [qasid.NoAnswer("lost"), Response(status=502)], ids=["no", "502"])
def test_09_a_text_without_an_answer_is_not_sent_again(
    account: qasid.Account, wire: Wire, lost: Response | Exception
) -> None:
    """There is no way to look it up."""
    wire.cues = [lost]
    with pytest.raises(qasid.ProviderUnavailable) as caught:
        account.send(text())
    assert (qasid.Outcome.UNKNOWN, 1) == (caught.value.outcome, len(wire.seen))


@pytest.mark.parametrize(
    ("at", "wall"),
    [
        (datetime(2024, 12, 21, 11, 0, tzinfo=UTC), "2024-12-21 14:30:00"),
        (datetime(2025, 7, 1, 11, 0, tzinfo=UTC), "2025-07-01 14:30:00"),  # no summer time
        (datetime(2024, 12, 31, 20, 30, tzinfo=UTC), "2025-01-01 00:00:00"),
        (datetime(2024, 12, 21, 11, 0, 0, 1, tzinfo=UTC), "2024-12-21 14:30:01"),  # not before
    ],
)
def test_10_a_schedule_is_the_wall_time_of_tehran(
    account: qasid.Account, wire: Wire, at: datetime, wall: str
) -> None:
    """With no offset in it: UTC would be three and a half hours too early."""
    account.send(text(send_at=at))
    assert [{"number": "09120000000", "message": "test", "scheduleDateTime": wall}] == wire.asked


def test_10_a_moment_that_is_over_is_refused_before_the_wire(
    account: qasid.Account, wire: Wire
) -> None:
    """What the server would do is not documented."""
    with pytest.raises(qasid.InvalidRequest, match="send_at"):
        account.send(text(send_at=START - timedelta(seconds=1)))
    assert [] == wire.seen


@given(after=st.timedeltas(timedelta(microseconds=1), timedelta(days=36_500)))
def test_10_a_scheduled_text_goes_at_its_moment(after: timedelta) -> None:
    """Never before it, and within its second."""
    clock = VirtualClock()
    emulator = DeftSMSEmulator(clock=clock.now)
    connected(Wire(emulator), clock).send(text(send_at=START + after))
    emulator.advance(after - timedelta(microseconds=1))
    assert () == emulator.outbox()
    emulator.advance(timedelta(seconds=1))
    assert ["test"] == [item.text for item in emulator.outbox()]


def test_11_dates_are_of_the_gregorian_calendar(account: qasid.Account, wire: Wire) -> None:
    """The new year of 1404 is 21 March 2025."""
    account.send(text(send_at=datetime(2025, 3, 21, 12, tzinfo=UTC)))
    assert "2025-03-21 15:30:00" == wire.asked[0]["scheduleDateTime"]


@pytest.mark.parametrize("date", ["1402-10-25 14:30:00", "2024-01-15", "2024-13-01 00:00:00", ""])
def test_11_a_date_of_another_form_is_not_guessed_at(
    account: qasid.Account, wire: Wire, date: str
) -> None:
    """A Jalali date would be 621 years ago."""
    wire.cues = [inbox(row(dateCreated=date))]
    with pytest.raises(qasid.ProtocolError, match="'dateCreated'"):
        account.fetch_sms(qasid.InboxQuery())


def test_12_one_text_is_a_group_and_several_go_peer_to_peer(
    account: qasid.Account, wire: Wire
) -> None:
    """The n-th text is for the n-th number; both lists are made of one, so none is longer."""
    first, second = numbers(2)
    account.send_many([text("a", first), text("a", second)])
    account.send_many([text("a", first), text("b", second), text("a", second)])
    assert ["/sms/send/group", "/sms/send/peer"] == wire.paths
    group, peers = wire.asked
    assert {"numbers": ["09120000000", "09120000001"], "message": "a"} == group
    assert {
        "numbers": ["09120000000", "09120000001", "09120000001"],
        "messages": ["a", "b", "a"],
    } == peers


def test_13_the_texts_about_a_call_are_not_those_to_send(
    account: qasid.Account, wire: Wire
) -> None:
    """`messages` is a member of requests and of replies; theirs is kept, and not repeated."""
    wire.cues = [reply({**GOOD, "messages": ["queued"]}), reply(bad(400, "about +98 912"))]
    assert account.send(text()).accepted
    with pytest.raises(qasid.InvalidRequest) as caught:
        account.send(text())
    assert "about" not in str(caught.value)
    assert caught.value.response is not None
    assert ["about +98 912"] == caught.value.response.json()["messages"]


def test_14_more_than_a_hundred_are_split(account: qasid.Account, wire: Wire) -> None:
    """250 are 100, 100 and 50."""
    receipts = account.send_many([text(to=to) for to in numbers(250)])
    assert [100, 100, 50] == [len(asked["numbers"]) for asked in wire.asked]
    assert all(receipt.accepted for receipt in receipts)


def test_14_a_refused_batch_says_nothing_about_a_number(account: qasid.Account, wire: Wire) -> None:
    """One of the hundred may be wrong; it is not said which. The next batch is not touched."""
    wire.cues = [reply(bad(400, "number 09120000000 is not valid"))]
    receipts = account.send_many([text(to=to) for to in numbers(150)])
    assert [qasid.InvalidRequest] * 100 == [type(r.error) for r in receipts[:100]]
    assert {qasid.Outcome.NOT_PERFORMED} == {r.outcome for r in receipts[:100]}
    assert all(receipt.accepted for receipt in receipts[100:])


@pytest.mark.parametrize(
    "about", ["number is not valid", {"number": ["invalid"]}, {"field": "number"}]
)
def test_14_a_refused_number_that_was_alone_is_told(
    account: qasid.Account, wire: Wire, about: Any
) -> None:
    """Where the text about the call names the parameter; it may be a text or an object."""
    wire.cues = [reply(bad(422, about)), reply(bad(422, "numbering"))]
    with pytest.raises(qasid.InvalidRecipient):
        account.send(text())
    with pytest.raises(qasid.InvalidRequest) as caught:
        account.send(text())
    assert qasid.InvalidRequest is type(caught.value)


def test_15_the_name_stands_twice_where_the_credit_is_asked_for(
    account: qasid.Account, wire: Wire
) -> None:
    """In the form and in the payload."""
    account.balance()
    assert [{"username": SETTINGS["username"]}] == wire.asked
    assert SETTINGS["username"] == wire.seen[0].payload()["username"]


def test_16_messages_come_oldest_first_and_once(account: qasid.Account, wire: Wire) -> None:
    """Neither an order nor ids are promised."""
    wire.cues = [inbox(row(2), row(0), row(1), row(2))]
    found = account.fetch_sms(qasid.InboxQuery())
    assert ["text 0", "text 1", "text 2"] == [message.text for message in found]
    first = qasid.InboundMessage(
        text="text 0",
        sender="+989123456789",
        received_at=datetime(2024, 1, 15, 11, 0, tzinfo=UTC),
    )
    assert (first, None) == (found[0], found[0].id)


@pytest.mark.parametrize("newest_first", [True, False])
def test_16_a_message_that_comes_between_two_pages_shifts_nothing(
    clock: VirtualClock, newest_first: bool
) -> None:
    """A page that comes short is gone on with up to a fixed end."""
    emulator = DeftSMSEmulator(clock=clock.now, largest_page=4, newest_first=newest_first)
    for n in range(9):
        emulator.deliver("inbox", f"text {n}")
        clock.sleep(1)
    wire = Intruded(emulator, clock=clock)
    found = connected(wire, clock).fetch_sms(qasid.InboxQuery(limit=100))
    assert ["متن پیامک", *(f"text {n}" for n in range(9))] == [message.text for message in found]
    assert [(100, 0), (96, 4), (92, 8)] == [(a["limit"], a["offset"]) for a in wire.asked]
    end = "2024-08-01 15:30:09"
    assert [None, end, end] == [asked.get("endDateTime") for asked in wire.asked]


@attrs.define
class Intruded(Wire):
    """A minute after each answer a message comes in, before the next request."""

    clock: VirtualClock = attrs.field(kw_only=True)

    def handle(self, request: Request) -> Response:
        if self.seen:
            self.clock.sleep(60)
            self.emulator.deliver("inbox", "late")
        return Wire.handle(self, request)


def test_16_a_page_that_only_repeats_ends_the_reading(account: qasid.Account, wire: Wire) -> None:
    """The printed inbox has one of 145 messages; a server that goes on so is not asked for ever."""
    wire.cues = [inbox(row(), total=145)] * 3
    assert 1 == len(account.fetch_sms(qasid.InboxQuery()))
    assert 2 == len(wire.seen)


def test_17_what_is_asked_for_comes_whole(wire: Wire, account: qasid.Account) -> None:
    """145 messages are there, and 10 is only the default."""
    for n in range(144):
        wire.emulator.deliver("inbox", f"text {n}")
    assert 10 == len(account.fetch_sms(qasid.InboxQuery()))
    assert 145 == len(account.fetch_sms(qasid.InboxQuery(limit=500)))
    assert [10, 500] == [asked["limit"] for asked in wire.asked]


def test_17_the_moments_of_a_query_are_of_tehran(account: qasid.Account, wire: Wire) -> None:
    """Their zone is not documented. Seconds have no parts: begun ones count whole."""
    since = datetime(2024, 1, 15, 10, 59, 59, 999_999, tzinfo=UTC)
    until = datetime(2024, 1, 15, 11, 0, 0, 1, tzinfo=UTC)
    query = qasid.InboxQuery(limit=5, offset=0, since=since, until=until)
    assert ["متن پیامک"] == [message.text for message in account.fetch_sms(query)]
    assert [
        {
            "limit": 5,
            "offset": 0,
            "startDateTime": "2024-01-15 14:29:59",
            "endDateTime": "2024-01-15 14:30:01",
        }
    ] == wire.asked


@pytest.mark.parametrize("total", [0, 1, 99, None, "x", ...])
def test_18_the_total_of_a_send_is_not_the_number_sent(
    account: qasid.Account, wire: Wire, total: Any
) -> None:
    """It is 0 in the printed answer."""
    wire.cues = [reply({k: v for k, v in {**GOOD, "total": total}.items() if v is not ...})]
    assert account.send(text()).accepted


KINDS: Final = [
    (400, qasid.InvalidRequest),
    (401, qasid.AuthenticationFailed),
    (402, qasid.InsufficientCredit),
    (403, qasid.PermissionDenied),
    (404, qasid.ProtocolError),
    (418, qasid.ProtocolError),
    (422, qasid.InvalidRequest),
    (429, qasid.RateLimited),
    (500, qasid.ProviderUnavailable),
    (503, qasid.ProviderUnavailable),
]


@pytest.mark.parametrize(("code", "kind"), KINDS)
@pytest.mark.parametrize("form", ["code", "text", "both", "page"])
def test_19_an_error_is_one_by_its_code_or_its_status(
    wire: Wire, clock: VirtualClock, code: int, kind: type[qasid.ProviderError], form: str
) -> None:
    """Which of the two is not documented: an error with status 200 is no success."""
    body = {**bad(code), "code": str(code) if form == "text" else code}
    sent = reply("<html>" if form == "page" else body, 200 if form in {"code", "text"} else code)
    wire.cues = [sent]
    with pytest.raises(kind) as caught:
        connected(wire, clock, max_wait=0).send(text())
    unknown = kind in {qasid.ProtocolError, qasid.ProviderUnavailable}
    assert (kind, unknown) == (type(caught.value), caught.value.outcome is qasid.Outcome.UNKNOWN)
    assert f"{code}" == caught.value.code


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, bad(401), qasid.AuthenticationFailed),  # the code says more
        (500, bad(400), qasid.ProviderUnavailable),  # what was done nobody knows
        (429, GOOD, qasid.RateLimited),
        (400, GOOD, qasid.ProtocolError),
        (400, {**GOOD, "code": None}, qasid.ProtocolError),
        (400, {**GOOD, "code": 400}, qasid.ProtocolError),
        (400, {"error": "no"}, qasid.InvalidRequest),
        (401, [], qasid.AuthenticationFailed),
        (302, "", qasid.ProtocolError),
    ],
)
def test_19_a_status_and_a_code_that_differ(
    wire: Wire, clock: VirtualClock, status: int, body: Any, kind: type[qasid.ProviderError]
) -> None:
    """The code is read first, but for faults of the server and for 429."""
    wire.cues = [reply(body, status)]
    with pytest.raises(kind) as caught:
        connected(wire, clock, max_wait=0).send(text())
    assert kind is type(caught.value)


@pytest.mark.parametrize(("headers", "seconds"), [({}, 60), ({"Retry_After": "7"}, 7)])
def test_19_too_many_requests_wait_a_minute_unless_told(
    wire: Wire, clock: VirtualClock, headers: dict[str, Any], seconds: int
) -> None:
    """No rate is documented."""
    wire.cues = [reply(bad(429), **headers)]
    assert connected(wire, clock, max_wait=60).send(text()).accepted
    assert (2, True) == (len(wire.seen), seconds <= clock.seconds < seconds + 1)


def test_19_a_path_that_is_wrong_names_the_settings(account: qasid.Account, wire: Wire) -> None:
    """Six of them are made up."""
    wire.cues = [reply("<html>", 404)]
    with pytest.raises(qasid.ProtocolError, match="path_"):
        account.balance()


def test_20_the_header_of_a_token_is_the_samples(account: qasid.Account, wire: Wire) -> None:
    """Its order does not matter to the server, but to who compares tokens."""
    account.balance()
    assert wire.seen[0].payload()["token"].startswith(HEADER)


def test_21_a_token_is_signed_and_can_be_read(account: qasid.Account, wire: Wire) -> None:
    """The document says encrypted. It is not: so it goes in a form, and never in an address."""
    account.send(text("hush-hush"))
    (request,) = wire.seen
    assert "hush-hush" == claims(request.payload()["token"])["message"]
    assert ("POST", {}) == (request.method, request.params())


def test_22_names_are_written_as_the_document_writes_them(
    account: qasid.Account, wire: Wire
) -> None:
    """They are case-sensitive, and the emulator minds it."""
    later = START + timedelta(hours=1)
    account.send_many([text(to=to, send_at=later) for to in numbers(2)])
    account.fetch_sms(qasid.InboxQuery(since=START, until=later))
    sent, asked = wire.asked
    assert {"numbers", "message", "scheduleDateTime"} == {*sent}
    assert {"limit", "offset", "startDateTime", "endDateTime"} == {*asked}


#: Those of the document's tables, and a range nobody was given.
SAMPLES: Final = re.compile("09(123456789|367894561|151234567|121112233|12000[0-9]{4}|350000000)")


def test_23_no_number_but_the_documents_samples_is_used() -> None:
    """The one in its PHP sample looks like somebody's."""
    texts = [path.read_text("utf-8") for path in Path(__file__).parent.glob("*.py")]
    texts.append((files("qasid_deftsms") / "examples" / "deftsms.json").read_text("utf-8"))
    tokens = [claims(token) for token in re.findall(r'"token": "([^"]+)"', texts[-1])]
    found = {*re.findall(r"(?<![0-9])09[0-9]{9}(?![0-9])", json.dumps([*texts, *tokens]))}
    assert found
    assert [] == [number for number in found if not SAMPLES.fullmatch(number)]


# What cannot be said to this API.


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (text(sender="3000"), "sender"),
        (text(""), "text"),
        (text("half \ud83d"), "text"),
        (qasid.TemplateMessage(to=TO, template="code"), "template"),
        (text(send_at=datetime.max.replace(tzinfo=UTC)), "send_at"),
    ],
)
def test_what_cannot_be_said_is_refused_before_the_wire(
    account: qasid.Account, wire: Wire, message: Any, field: str
) -> None:
    """With the field and the remedy, and for that message alone."""
    with pytest.raises(qasid.InvalidRequest, match=f"^{field}"):
        account.send(message)
    assert [] == wire.seen
    receipts = account.send_many([text(), message])
    assert [True, False] == [receipt.accepted for receipt in receipts]


def test_a_number_abroad_is_refused_before_the_wire(account: qasid.Account, wire: Wire) -> None:
    """DeftSMS reaches Iranian mobiles."""
    with pytest.raises(qasid.InvalidRecipient):
        account.send(text(to="+442079460958"))
    assert [] == wire.seen


def test_a_rented_number_has_no_messages_here(account: qasid.Account, wire: Wire) -> None:
    """There are none to rent."""
    number = qasid.Activation(id="1", number=TO, service="acme", country="IR", acquired_at=START)
    with pytest.raises(qasid.InvalidRequest, match="InboxQuery"):
        account.fetch_sms(number)
    assert [] == wire.seen


def test_a_query_beyond_the_calendar_is_refused(account: qasid.Account, wire: Wire) -> None:
    """Tehran is ahead of UTC."""
    with pytest.raises(qasid.InvalidRequest, match="until"):
        account.fetch_sms(qasid.InboxQuery(until=datetime.max.replace(tzinfo=UTC)))
    assert [] == wire.seen


@pytest.mark.parametrize(
    ("number", "sender"),
    [
        ("09123456789", "+989123456789"),
        ("989123456789", "+989123456789"),
        ("3000", "3000"),
        ("", None),
    ],
)
def test_a_mobile_is_told_in_e164_and_a_short_number_as_it_is(
    account: qasid.Account, wire: Wire, number: str, sender: str | None
) -> None:
    """So that an answer can be held against whom was written to."""
    wire.cues = [inbox(row(number=number))]
    assert [sender] == [message.sender for message in account.fetch_sms(qasid.InboxQuery())]


# Settings.


@pytest.mark.parametrize(
    "path", ["", "/", "sms/inbox", "//sms", "/sms/../x", "/.", "/a b", "/a?b=c", "/a#b", "/%2e", 7]
)
def test_a_path_stays_below_the_base(path: Any) -> None:
    """It comes from a file or a variable."""
    with pytest.raises(ValueError, match="must be a path below base_url"):
        DeftSMS(**SETTINGS, path_inbox=path)


def test_each_lost_path_is_a_setting(wire: Wire, clock: VirtualClock) -> None:
    """Client and emulator read theirs from settings of the same names."""
    names = ["send_scheduled", "group", "group_scheduled", "peer_to_peer", "credit", "inbox"]
    paths: dict[str, Any] = {f"path_{name}": f"/v9/{name}" for name in names}
    wire.emulator = DeftSMSEmulator(clock=clock.now, **paths)
    account = connected(wire, clock, **paths)
    later = START + timedelta(hours=1)
    one, two = numbers(2)
    account.send(text(send_at=later))
    account.send_many([text(to=to) for to in (one, two)])
    account.send_many([text(to=to, send_at=later) for to in (one, two)])
    account.send_many([text("a", one), text("b", two)])
    account.balance()
    account.fetch_sms(qasid.InboxQuery())
    assert [*paths.values()] == wire.paths


@pytest.mark.parametrize("changes", [{"token_encoding": "base32"}, {"username": ""}])
def test_a_setting_that_does_not_fit_is_named(changes: dict[str, Any]) -> None:
    """Before anything is sent."""
    with pytest.raises(qasid.SettingsError) as caught:
        qasid.connect("deftsms", **{**SETTINGS, **changes})
    assert [*changes] == [caught.value.field]
