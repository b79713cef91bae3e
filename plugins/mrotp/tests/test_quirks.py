"""The traps of MrOTP's document, one test each, in the order of the reference's list."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import qasid
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Request, Response
from qasid.errors import NoAnswer
from qasid.finding import implemented
from qasid.hookspecs import HOOKS, PAID_HOOKS
from qasid.settings import Options
from qasid_mrotp import MrOTP
from qasid_mrotp.emulator import KEYS, MrOTPEmulator
from qasid_mrotp.tables import REFUSALS

KEY: Final = "your api Key"
TO: Final = "+989121112233"
USSD: Final = "*500*1234567#"


@attrs.define
class Wire:
    """Records requests and answers each with the next reply, or all with an emulator."""

    emulator: MrOTPEmulator
    replies: list[Response] = attrs.field(factory=list)
    seen: list[Request] = attrs.field(factory=list)

    def handle(self, request: Request) -> Response:
        self.seen.append(request)
        return self.replies.pop(0) if self.replies else self.emulator.handle(request)

    def reply(self, body: Any, status: int = 200, **headers: str) -> None:
        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append(Response(status=status, headers=named, body=text.encode()))

    @property
    def functions(self) -> list[str]:
        return [request.path.rpartition("/")[2] for request in self.seen]

    @property
    def forms(self) -> list[dict[str, Any]]:
        return [request.payload() for request in self.seen]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def wire(clock: VirtualClock) -> Wire:
    return Wire(MrOTPEmulator(clock=clock.now))


@pytest.fixture
def account(wire: Wire, clock: VirtualClock) -> qasid.Account:
    return connected(wire, clock)


def connected(wire: Wire, clock: VirtualClock, **settings: Any) -> qasid.Account:
    given = {"api_key": KEY, "driver": virtual_driver(wire.handle, clock), **settings}
    return qasid.connect("mrotp", **given)


def fresh(**emulated: Any) -> tuple[qasid.Account, Wire]:
    clock = VirtualClock()
    wire = Wire(MrOTPEmulator(clock=clock.now, **emulated))
    return connected(wire, clock), wire


def template(*values: str, number: str = "2", **more: Any) -> qasid.TemplateMessage:
    named = {str(index): value for index, value in enumerate(values)}
    return qasid.TemplateMessage(**{"to": TO, "template": number, "values": named, **more})


def registered(**changes: Any) -> dict[str, Any]:
    return {"code": 101, "OTP": 53398, "USSD": USSD, "message": "…", **changes}


def verdict(**changes: Any) -> dict[str, Any]:
    return {"code": 1315, "OTP": 4321, "mobile": "…", "accept": "YES", "message": "…", **changes}


# 1 … 24: the numbers of the list.


def test_01_a_ussd_code_without_quotes_is_read() -> None:
    """Three samples are no JSON, as the code to dial has no quotes; live answers may have them."""
    for raw in (True, False):
        account, wire = fresh(raw_ussd=raw, ussd="*6655*100200300#")
        assert account.otp(TO, channel="ussd", length=5).dial == "*6655*100200300#"
        assert account.otp(TO, channel="ussd", code="4321").dial == "*6655*100200300#"
        assert (b'"USSD": *6655' in wire.emulator.handle(wire.seen[-1]).body) is raw


@given(st.from_regex(r"\*[0-9*]{1,30}#", fullmatch=True), st.text(max_size=50))
def test_01_quoting_changes_nothing_else(ussd: str, message: str) -> None:
    """Whatever the message says, be it the same words, the same code is read from both forms."""
    account, wire = fresh()
    body = json.dumps(registered(USSD=ussd, message=f'"USSD": {ussd}{message}', OTP=1))
    for text in (body, body.replace(json.dumps(ussd), ussd, 1)):
        wire.reply(text)
        ticket = account.otp(TO, length=5, channel="ussd")
        assert (ticket.dial, ticket.code) == (ussd, "00001")


def test_01_other_rubbish_is_not_mended(account: qasid.Account, wire: Wire) -> None:
    """Only that one slip is known."""
    wire.reply('{"code": 101, "OTP": 53398, "USSD": 500*1234567, "message": "…"}')
    with pytest.raises(qasid.ProtocolError) as caught:
        account.otp(TO, length=5)
    assert caught.value.outcome is qasid.Outcome.UNKNOWN


@given(st.integers(3, 8), st.data())
def test_02_lost_zeros_are_put_back(length: int, data: st.DataObject) -> None:
    """A code is a JSON number there: 053398 comes as 53398."""
    number = data.draw(st.integers(0, 10**length - 1))
    account, wire = fresh()
    wire.reply(registered(OTP=number))
    code = account.otp(TO, length=length).code
    assert code is not None
    assert (int(code), len(code)) == (number, length)


def test_02_every_made_code_is_verified_with_its_zeros(account: qasid.Account) -> None:
    """All of three digits, 000 among them: a thousand codes come before the first comes again."""
    made = set()
    for _ in range(1000):
        code = account.otp(TO, length=3).code or ""
        assert account.verify_otp(TO, code).accepted, code
        made.add(code)
    assert len(made) == 1000


@pytest.mark.parametrize("code", ["0123", "00000", "12", "123456789"])
def test_02_a_code_that_a_number_cannot_be_is_refused_before_the_wire(
    account: qasid.Account, wire: Wire, code: str
) -> None:
    """0123 would be registered as 123, and the user would be told another code than you."""
    with pytest.raises(qasid.InvalidRequest, match=r"^code: ") as caught:
        account.otp(TO, code=code)
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED
    assert code not in str(caught.value).split()
    assert wire.seen == []


@pytest.mark.parametrize("length", [9, 10])
def test_02_a_length_that_is_not_made_is_refused_before_the_wire(
    account: qasid.Account, wire: Wire, length: int
) -> None:
    """Codes have 3 to 8 digits."""
    with pytest.raises(qasid.InvalidRequest, match=r"^length: "):
        account.otp(TO, length=length)
    assert wire.seen == []


@pytest.mark.parametrize("number", ["100000", "-1", "1" + "0" * 40, "1" + "0" * 5000])
def test_02_a_code_of_another_length_is_no_code(
    account: qasid.Account, wire: Wire, number: str
) -> None:
    """Five digits were asked for."""
    wire.reply(f'{{"code": 101, "OTP": {number}}}')
    with pytest.raises(qasid.ProtocolError) as caught:
        account.otp(TO, length=5)
    assert caught.value.outcome is qasid.Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("call", "least"),
    [
        (lambda account: account.otp(TO), 101),
        (lambda account: account.otp(TO, code="4321"), 101),
        (lambda account: account.send(template("علي", "محمدي")), 1001),
    ],
    ids=["setRandomOTP", "setOTP", "sendPatternSMS"],
)
@pytest.mark.parametrize("text", [False, True], ids=["number", "text"])
def test_03_each_function_has_its_own_threshold(
    account: qasid.Account, wire: Wire, call: Callable[[qasid.Account], Any], least: int, text: bool
) -> None:
    """What is under it is neither a success nor a refusal: it is unknown, and not sent again."""
    for code in (0, 1, least - 1):
        wire.reply(registered(code=str(code) if text else code))
        with pytest.raises(qasid.ProtocolError) as caught:
            call(account)
        assert (caught.value.code, caught.value.outcome) == (str(code), qasid.Outcome.UNKNOWN)
    wire.reply(registered(code=str(least) if text else least))
    call(account)
    assert len(wire.seen) == 4


def test_03_credit_has_the_code_one(account: qasid.Account, wire: Wire) -> None:
    """No other is shown."""
    for code in (0, 2, 101):
        wire.reply({"code": code, "credit": "5", "message": "…"})
        with pytest.raises(qasid.ProtocolError):
            account.balance()
    wire.reply({"code": "1", "credit": "5", "message": "…"})
    assert account.balance() == qasid.Money(5, "IRR")


def test_03_a_ussd_code_comes_without_a_code(account: qasid.Account, wire: Wire) -> None:
    """`getUSSD` tells nothing else; it is asked where the order's answer lacks the code to dial."""
    wire.reply(registered(USSD=""))
    assert account.otp(TO, channel="ussd").dial == USSD
    assert wire.functions == ["setRandomOTP", "getUSSD"]


def test_04_the_smallest_success_is_101(account: qasid.Account) -> None:
    """It is the printed one, and the first of the emulator."""
    assert account.otp("+989121113344", length=5, lifetime=60).code == "53398"


@pytest.mark.parametrize("channel", ["sms", "ussd", "voice"])
def test_05_the_channel_is_always_sent(wire: Wire, clock: VirtualClock, channel: str) -> None:
    """No sample has `type`, and nobody knows what its absence means."""
    connected(wire, clock).otp(TO, channel=channel)
    connected(wire, clock).otp(TO, channel=channel.upper(), code="4321")
    connected(wire, clock, channel=channel).otp(TO)
    connected(wire, clock).otp(TO)
    types = [form["type"] for form in wire.forms]
    assert types == [channel.upper()] * 3 + ["SMS"]


def test_05_with_ussd_nothing_is_sent_and_the_ticket_tells_what_to_dial(
    account: qasid.Account, wire: Wire
) -> None:
    """The user sees the code by dialling, and by nothing else."""
    ticket = account.otp(TO, channel="ussd")
    assert wire.emulator.outbox() == ()
    assert ticket.dial is not None
    assert wire.emulator.dial("09121112233", ticket.dial) == ticket.code


@pytest.mark.parametrize("channel", ["sms", "voice"])
def test_05_there_is_nothing_to_dial_where_the_code_comes_by_itself(
    account: qasid.Account, channel: str
) -> None:
    """Although the answer may tell it."""
    assert account.otp(TO, channel=channel).dial is None


def test_05_a_ticket_is_not_lost_for_want_of_a_code_to_dial(
    account: qasid.Account, wire: Wire
) -> None:
    """The code is registered and paid for, whether or not a second question is answered."""
    for failure in (Response(status=503), Response(status=200, body=b'{"USSD": ""}')):
        wire.replies = [Response(status=200, body=json.dumps({"code": 101, "OTP": 1}).encode())]
        wire.replies.append(failure)
        ticket = account.otp(TO, channel="ussd")
        assert (ticket.code, ticket.dial) == ("000001", None)
    assert wire.functions == ["setRandomOTP", "getUSSD"] * 2


@pytest.mark.parametrize("channel", ["fax", "sms ", "پیامک"])
def test_05_another_channel_is_refused_before_the_wire(
    account: qasid.Account, wire: Wire, channel: str
) -> None:
    """In an order, and in the settings."""
    with pytest.raises(qasid.InvalidRequest, match=r"^channel: "):
        account.otp(TO, channel=channel)
    with pytest.raises(qasid.SettingsError, match="must be sms, ussd or voice"):
        qasid.connect("mrotp", api_key=KEY, channel=channel)
    assert wire.seen == []


def test_06_credit_is_a_text_and_exact(account: qasid.Account, wire: Wire) -> None:
    """In rial, never in toman."""
    wire.reply({"code": 1, "credit": "12345678901234567", "message": "…"})
    assert account.balance() == qasid.Money(12345678901234567, "IRR")


@pytest.mark.parametrize("credit", [5, None, "", "5 ريال", "۵", "1e9", "NaN", "1,000", "9" * 31])
def test_06_a_credit_that_is_none_is_not_guessed_at(
    account: qasid.Account, wire: Wire, credit: object
) -> None:
    """Neither zero nor what looks like it."""
    wire.reply({"code": 1, "credit": credit, "message": "…"})
    with pytest.raises(qasid.ProtocolError):
        account.balance()


@pytest.mark.parametrize("code", sorted({*REFUSALS} - {-3, -12, -16}))
def test_07_no_is_not_a_verdict_where_something_else_is_wrong(
    account: qasid.Account, wire: Wire, code: int
) -> None:
    """A wrong key or a blocked address would call every user's code wrong."""
    wire.reply({"code": code, "accept": "NO", "message": "…"})
    with pytest.raises(REFUSALS[code][0]) as caught:
        account.verify_otp(TO, "4321")
    assert caught.value.code == str(code)


@pytest.mark.parametrize("key", KEYS)
def test_07_accounts_in_trouble_get_no_verdict(wire: Wire, clock: VirtualClock, key: str) -> None:
    """The same against the emulator, which says NO to all of them."""
    account = connected(wire, clock, api_key=key)
    with pytest.raises(qasid.ProviderError):
        account.verify_otp(TO, "4321")


@pytest.mark.parametrize(
    ("body", "accepted"),
    [
        (verdict(), True),
        (verdict(code="7"), True),
        (verdict(accept="NO"), False),
        (verdict(code=-12, accept="NO"), False),
        (verdict(code=-12), False),
        ({"code": -12}, False),
    ],
)
def test_07_the_code_is_read_first_and_then_the_verdict(
    account: qasid.Account, wire: Wire, body: dict[str, Any], accepted: bool
) -> None:
    """The verdict is `accept`, and any number that is not negative may stand beside it."""
    wire.reply(body)
    assert account.verify_otp(TO, "4321").accepted is accepted


@pytest.mark.parametrize(
    "body", [{"accept": "YES"}, verdict(accept="yes"), verdict(accept=True), {"code": 1315}, []]
)
def test_07_half_a_verdict_is_none(account: qasid.Account, wire: Wire, body: object) -> None:
    """Neither a yes nor a no may be guessed."""
    wire.reply(body)
    with pytest.raises(qasid.ProtocolError):
        account.verify_otp(TO, "4321")


def test_08_a_template_takes_ten_values(account: qasid.Account, wire: Wire) -> None:
    """The text says ten and then counts to eleven; ten it is, from {0} to {9}."""
    wire.emulator.template(10, "".join(f"{{{number}}}" for number in range(10)))
    account.send(template(*"abcdefghij", number="10"))
    assert wire.emulator.outbox()[-1].text == "abcdefghij"
    with pytest.raises(qasid.TemplateRejected, match="up to 10"):
        account.send(template(*"abcdefghijk", number="10"))
    assert len(wire.seen) == 1


@given(st.permutations(range(10)))
def test_08_values_go_by_their_numbers(order: list[int]) -> None:
    """Whatever the order in which they were written down."""
    account, wire = fresh()
    wire.emulator.template(10, "".join(f"{{{number}}}" for number in range(10)))
    values = {str(number): "abcdefghij"[number] for number in order}
    account.send(qasid.TemplateMessage(to=TO, template="10", values=values))
    assert wire.emulator.outbox()[-1].text == "abcdefghij"


@pytest.mark.parametrize(
    "names", [["1"], ["0", "2"], ["name"], ["00"], ["0", "۱"], ["-1"], ["0", "1", "x"]]
)
def test_08_values_without_their_numbers_are_refused_before_the_wire(
    account: qasid.Account, wire: Wire, names: list[str]
) -> None:
    """MrOTP knows them by their place alone: a gap or a name would have to be guessed at."""
    values = dict.fromkeys(names, "x")
    with pytest.raises(qasid.InvalidRequest, match=r"^values: "):
        account.send(qasid.TemplateMessage(to=TO, template="2", values=values))
    assert wire.seen == []


@pytest.mark.parametrize("value", [";", "a;b", "", "a;"])
def test_09_a_value_that_would_shift_the_others_is_refused_before_the_wire(
    account: qasid.Account, wire: Wire, value: str
) -> None:
    """They are joined by ``;``, which cannot be escaped; what an empty one does is not told."""
    with pytest.raises(qasid.TemplateRejected, match=r"^values: \{1\}") as caught:
        account.send(template("علي", value))
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED
    assert wire.seen == []


@given(st.lists(st.text(min_size=1, max_size=15), min_size=1, max_size=10))
def test_09_values_keep_their_places_or_are_refused(values: list[str]) -> None:
    """Nobody gets a text that was not meant."""
    account, wire = fresh()
    wire.emulator.template(10, "|".join(f"{{{number}}}" for number in range(len(values))))
    try:
        account.send(template(*values, number="10"))
    except qasid.InvalidRequest:
        assert wire.emulator.outbox() == ()
    else:
        assert wire.emulator.outbox()[-1].text == "|".join(values)


def test_10_fifteen_characters_are_counted_and_not_bytes(
    account: qasid.Account, wire: Wire
) -> None:
    """A Persian letter is two bytes."""
    account.send(template("م" * 15, "👍" * 15))
    assert wire.emulator.outbox()[-1].text.startswith("م" * 15)
    with pytest.raises(qasid.TemplateRejected, match="15 characters"):
        account.send(template("م" * 15, "x" * 16))
    assert len(wire.seen) == 1


@pytest.mark.parametrize("value", ["http://a.ir", "HTTPS://x", "see www.a.ir", "ftp://a", "WWW.x"])
def test_11_a_link_is_refused_before_the_wire(
    account: qasid.Account, wire: Wire, value: str
) -> None:
    """Where it is certain."""
    with pytest.raises(qasid.TemplateRejected, match="link"):
        account.send(template("علي", value))
    assert wire.seen == []


def test_11_what_may_be_a_link_is_left_to_mrotp() -> None:
    """A bare domain may be one to it, or not."""
    for strict in (True, False):
        account, wire = fresh(domains_are_links=strict)
        (receipt,) = account.send_many([template("علي", "example.ir")])
        assert receipt.accepted is not strict
        assert isinstance(receipt.error, qasid.TemplateRejected) is strict
        assert len(wire.seen) == 1


def test_12_who_opted_out_is_not_tried_again(account: qasid.Account, wire: Wire) -> None:
    """Only the user can undo it; another channel may do."""
    to = "+989120000014"
    with pytest.raises(qasid.RecipientOptedOut) as caught:
        account.otp(to)
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED
    assert len(wire.seen) == 1
    assert account.otp(to, channel="ussd").dial == USSD
    wire.emulator.text_in("09120000014", "12")
    assert account.otp(to).code


@pytest.mark.parametrize("channel", ["sms", "voice"])
def test_13_a_silent_operator_may_have_sent_it(
    account: qasid.Account, wire: Wire, channel: str
) -> None:
    """So the outcome is unknown, and nothing is sent again by itself."""
    with pytest.raises(qasid.ProviderUnavailable) as caught:
        account.otp("+989120000022", channel=channel)
    assert caught.value.outcome is qasid.Outcome.UNKNOWN
    assert caught.value.code == {"sms": "-22", "voice": "-23"}[channel]
    assert (len(wire.seen), len(wire.emulator.outbox())) == (1, 1)


@pytest.mark.parametrize("code", [-10, -20, -22, -23])
@pytest.mark.parametrize("hook", ["otp", "send", "verify_otp"])
def test_13_an_outage_leaves_an_act_unknown(
    account: qasid.Account, wire: Wire, code: int, hook: str
) -> None:
    """Codes, templates and verifications alike go once."""
    wire.reply({"code": code, "message": "…"})
    with pytest.raises(qasid.ProviderUnavailable) as caught:
        CALLS[hook](account)
    assert (caught.value.code, caught.value.outcome) == (str(code), qasid.Outcome.UNKNOWN)
    assert len(wire.seen) == 1


def test_13_a_question_is_asked_again_after_an_outage(account: qasid.Account, wire: Wire) -> None:
    """Asking for the credit changes nothing."""
    wire.reply({"code": -20, "message": "…"})
    assert account.balance() == qasid.Money(329_263_930, "IRR")
    assert len(wire.seen) == 2


def test_14_credit_that_was_enough_a_moment_ago_may_not_be(
    account: qasid.Account, wire: Wire
) -> None:
    """-7 may come with any charged call; the balance says nothing of it."""
    assert account.balance() > qasid.Money(0, "IRR")
    wire.emulator.fund(qasid.Money(0, "IRR"))  # another caller has spent it
    for hook in ("otp", "send"):
        with pytest.raises(qasid.InsufficientCredit) as caught:
            CALLS[hook](account)
        assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED
    assert wire.emulator.outbox() == ()


def test_15_wrong_and_old_codes_are_not_told_apart(
    account: qasid.Account, clock: VirtualClock
) -> None:
    """The verdict has the same reason for both, as the answer is the same."""
    code = account.otp(TO, lifetime=60).code or ""
    wrong = account.verify_otp(TO, "111111")
    stranger = account.verify_otp("+989121113344", code)
    clock.sleep(60)
    old = account.verify_otp(TO, code)
    assert wrong == stranger == old == qasid.OtpVerdict(accepted=False, reason=old.reason)


@pytest.mark.parametrize("code", [-3, -12, -16])
def test_16_what_is_said_of_a_users_code_is_a_verdict(
    account: qasid.Account, wire: Wire, code: int
) -> None:
    """In an order it is the caller's mistake, in a verification the user's."""
    wire.reply({"code": code, "accept": "NO", "message": "…"})
    assert account.verify_otp(TO, "4321").accepted is False
    wire.reply({"code": code, "message": "…"})
    with pytest.raises(REFUSALS[code][0]) as caught:
        account.otp(TO, code="4321")
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED


@pytest.mark.parametrize("rubbish", ["", "12", "123456789", "4321a", "43 21", "-432", "4.3", "²³¹"])
def test_16_rubbish_is_wrong_without_asking(
    account: qasid.Account, wire: Wire, rubbish: str
) -> None:
    """A server that reads the digits in front of rubbish would find a code in it."""
    assert account.verify_otp(TO, rubbish).accepted is False
    assert wire.seen == []


def test_17_no_referral_is_ever_sent(account: qasid.Account, wire: Wire) -> None:
    """The parameter is known from an error alone."""
    for call in CALLS.values():
        call(account)
    account.otp(TO, code="4321", channel="ussd")
    names = {
        "sendPatternSMS": {"apiKey", "mobile", "patternId", "params"},
        "setRandomOTP": {"apiKey", "mobile", "length", "validTime", "type"},
        "setOTP": {"apiKey", "mobile", "OTP", "validTime", "type"},
        "verifyOTP": {"apiKey", "mobile", "OTP"},
        "getCredit": {"apiKey"},
    }
    sent = dict(zip(wire.functions, map(set, wire.forms), strict=True))
    assert sent == names


NO, MAYBE = qasid.Outcome.NOT_PERFORMED, qasid.Outcome.UNKNOWN
EXPECTED: Final[dict[int, tuple[type[qasid.ProviderError], qasid.Outcome]]] = {
    -1: (qasid.AuthenticationFailed, NO),
    -2: (qasid.InvalidRecipient, NO),
    -3: (qasid.InvalidRequest, NO),
    -4: (qasid.InvalidRequest, NO),
    -6: (qasid.PermissionDenied, NO),
    -7: (qasid.InsufficientCredit, NO),
    -10: (qasid.ProviderUnavailable, MAYBE),
    -11: (qasid.PermissionDenied, NO),
    -12: (qasid.OtpRejected, NO),
    -13: (qasid.AuthenticationFailed, NO),
    -14: (qasid.RecipientOptedOut, NO),
    -15: (qasid.InvalidRequest, NO),
    -16: (qasid.InvalidRequest, NO),
    -17: (qasid.TemplateRejected, NO),
    -18: (qasid.TemplateRejected, NO),
    -19: (qasid.TemplateRejected, NO),
    -20: (qasid.ProviderUnavailable, MAYBE),
    -21: (qasid.TemplateRejected, NO),
    -22: (qasid.ProviderUnavailable, MAYBE),
    -23: (qasid.ProviderUnavailable, MAYBE),
    -24: (qasid.TemplateRejected, NO),
}


@pytest.mark.parametrize("hook", ["otp", "send"])
@pytest.mark.parametrize("code", EXPECTED)
def test_18_an_error_is_told_by_its_code_and_never_by_its_text(
    account: qasid.Account, wire: Wire, code: int, hook: str
) -> None:
    """The texts mix Arabic and Persian letters, and echo numbers and codes."""
    for told, message in ((code, "OTP(53398) ي"), (str(code), "SMS pattern sent Successfully.")):
        wire.reply({"code": told, "message": message})
        with pytest.raises(qasid.ProviderError) as caught:
            CALLS[hook](account)
        assert (type(caught.value), caught.value.outcome) == EXPECTED[code]
        assert caught.value.code == str(code)
        assert message not in str(caught.value)
        assert "53398" not in str(caught.value)
    assert len(wire.seen) == 2


def test_18_every_code_of_the_table_is_known() -> None:
    """Of the numbers from -1 to -24 three are not in the document."""
    assert {*EXPECTED} == {*REFUSALS} == {*range(-24, 0)} - {-5, -8, -9}


def test_19_the_number_of_a_success_is_none_that_is_known(
    account: qasid.Account, wire: Wire
) -> None:
    """1315 is printed for two functions; a receipt has the number that came."""
    wire.reply({"code": 2_000_000_001, "message": "…"})
    assert account.send(template("علي", "محمدي")).id == "2000000001"
    wire.reply(verdict(code=1))
    assert account.verify_otp(TO, "4321")


def test_20_forms_and_multipart_bodies_are_one_to_the_server(
    account: qasid.Account, wire: Wire
) -> None:
    """PHP sends an array as multipart; Qasid sends a form, and so do many clients."""
    account.balance()
    (request,) = wire.seen
    assert request.header("Content-Type") == "application/x-www-form-urlencoded"
    parts = Request(method="POST", url=request.url, multipart={"apiKey": KEY}).encode()
    assert wire.emulator.handle(parts).body == wire.emulator.handle(request).body


def test_21_no_call_waits_for_ever(account: qasid.Account, clock: VirtualClock) -> None:
    """The samples' time-out is 0, which has no end."""
    assert 0 < Options().timeout <= 60

    def silent(request: Request) -> Response:
        raise NoAnswer("no answer came in time")

    with pytest.raises(NoAnswer) as caught:
        account.with_driver(virtual_driver(silent, clock)).otp(TO)
    assert caught.value.outcome is qasid.Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("lifetime", "minutes"),
    [(1, 1), (60, 1), (61, 2), (90, 2), (300, 5), (timedelta(hours=24), 1440)],
)
def test_22_lifetimes_are_whole_minutes_and_the_ticket_tells_the_end(
    account: qasid.Account, wire: Wire, clock: VirtualClock, lifetime: Any, minutes: int
) -> None:
    """The message's "for 1 minutes" is `validTime`; what has begun counts whole."""
    ticket = account.otp(TO, lifetime=lifetime)
    assert wire.forms[0]["validTime"] == str(minutes)
    assert ticket.expires_at == clock.now() + timedelta(minutes=minutes)


def test_22_a_lifetime_of_more_than_a_day_is_refused_before_the_wire(
    account: qasid.Account, wire: Wire
) -> None:
    """1,440 minutes are the most."""
    with pytest.raises(qasid.InvalidRequest, match=r"^lifetime: "):
        account.otp(TO, lifetime=timedelta(hours=24, seconds=1))
    assert wire.seen == []


def test_23_whether_an_older_code_is_still_good_is_for_mrotp_to_say() -> None:
    """It is not written; the emulator does either."""
    for kept in (False, True):
        account, _ = fresh(keep_older=kept)
        older, newer = (account.otp(TO).code or "" for _ in range(2))
        assert account.verify_otp(TO, older).accepted is kept
        assert account.verify_otp(TO, newer).accepted


def test_24_digits_of_other_scripts_are_understood(account: qasid.Account, wire: Wire) -> None:
    """A user's keyboard may have no others."""
    code = account.otp(TO).code or ""
    for zero in "۰٠":
        foreign = "".join(chr(ord(zero) + int(digit)) for digit in code)
        assert account.verify_otp(TO, foreign).accepted
    assert {form["OTP"] for form in wire.forms[1:]} == {code}


CALLS: Final[dict[str, Callable[[qasid.Account], object]]] = {
    "balance": lambda account: account.balance(),
    "send": lambda account: account.send(template("علي", "محمدي")),
    "otp": lambda account: account.otp(TO),
    "verify_otp": lambda account: account.verify_otp(TO, "4321"),
}


# What cannot be said to this API.


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (qasid.TextMessage(to=TO, text="x"), "text"),
        (template("a", "b", sender="10001"), "sender"),
        (template("a", "b", send_at=VirtualClock().now()), "send_at"),
        (template("a", "b", number="welcome"), "template"),
        (template("a", "b", number=""), "template"),
        (template("a", "b", number="۲"), "template"),
        (template("a", "b", to="+442079460958"), "'to'"),
    ],
)
def test_messages_beyond_the_api_are_refused_before_the_wire(
    account: qasid.Account, wire: Wire, message: qasid.TemplateMessage, field: str
) -> None:
    """The error names the field."""
    with pytest.raises(qasid.InvalidRequest, match=f"^{field}") as caught:
        account.send(message)
    assert caught.value.outcome is qasid.Outcome.NOT_PERFORMED
    assert wire.seen == []


def test_a_bad_message_among_many_spoils_nothing(account: qasid.Account, wire: Wire) -> None:
    """One goes in each request, and each has its own receipt."""
    good, bad = template("علي", "محمدي"), template("علي", "x" * 16)
    receipts = account.send_many([good, bad, attrs.evolve(good, to="+442079460958"), good])
    assert [receipt.accepted for receipt in receipts] == [True, False, False, True]
    assert isinstance(receipts[2].error, qasid.InvalidRecipient)
    assert len(wire.seen) == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda account: account.otp("+442079460958"),
        lambda account: account.verify_otp("+442079460958", "4321"),
    ],
    ids=["otp", "verify_otp"],
)
def test_numbers_of_elsewhere_are_refused_before_the_wire(
    account: qasid.Account, wire: Wire, call: Callable[[qasid.Account], object]
) -> None:
    """It reaches Iranian mobiles."""
    with pytest.raises(qasid.InvalidRecipient):
        call(account)
    assert wire.seen == []


@pytest.mark.parametrize("to", [TO, "00989121112233", "09121112233", "۰۹۱۲ ۱۱۱ ۲۲۳۳"])
def test_a_mobile_goes_in_the_documents_form(account: qasid.Account, wire: Wire, to: str) -> None:
    """Eleven digits, the first of which are 09."""
    account.otp(to)
    assert wire.forms[0]["mobile"] == "09121112233"


# Replies that are not what the document says.


@pytest.mark.parametrize("hook", CALLS)
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, "", qasid.ProtocolError),
        (200, "{}", qasid.ProtocolError),
        (200, '{"code": -5, "message": "…"}', qasid.ProtocolError),
        (301, "", qasid.ProtocolError),
        (401, "<html>", qasid.AuthenticationFailed),
        (403, "<html>", qasid.PermissionDenied),
        (404, '{"code": "x"}', qasid.InvalidRequest),
        (400, '{"code": -11, "message": "…"}', qasid.PermissionDenied),
        (400, '{"code": 1315, "accept": "YES", "credit": "5"}', qasid.InvalidRequest),
        (500, '{"code": -1, "message": "…"}', qasid.ProviderUnavailable),
        (503, "", qasid.ProviderUnavailable),
    ],
)
def test_statuses_are_not_documented_and_told_apart_all_the_same(
    account: qasid.Account, wire: Wire, hook: str, status: int, body: str, kind: type[Exception]
) -> None:
    """A code of the table decides, but for a server's fault; then the status does."""
    for _ in range(3):
        wire.reply(body, status)
    with pytest.raises(kind) as caught:
        CALLS[hook](account)
    assert type(caught.value) is kind


def test_an_unknown_refusal_keeps_its_code(account: qasid.Account, wire: Wire) -> None:
    """Nobody knows what became of the act."""
    wire.reply({"code": -99, "message": "…"})
    with pytest.raises(qasid.ProtocolError) as caught:
        account.otp(TO)
    assert (caught.value.code, caught.value.outcome) == ("-99", qasid.Outcome.UNKNOWN)


def test_too_many_requests_wait_as_long_as_is_asked(
    account: qasid.Account, wire: Wire, clock: VirtualClock
) -> None:
    """No limit is documented, so none is kept in advance."""
    wire.reply("", 429, Retry_After="7")
    account.otp(TO)
    assert clock.seconds >= 7
    assert MrOTP.info.limits == ()


WRONG: Final[list[Any]] = [None, True, 1.5, "x", "", [], {}, [1], {"a": 1}]
_ANSWERS: Final[dict[str, tuple[dict[str, Any], set[str]]]] = {
    "balance": ({"code": 1, "credit": "5", "message": "…"}, {"message"}),
    "send": ({"code": 1315, "message": "…"}, {"message"}),
    "otp": (registered(), {"USSD", "message"}),
    "verify_otp": (verdict(), {"OTP", "mobile", "message"}),
}


@pytest.mark.parametrize("new", WRONG, ids=repr)
@pytest.mark.parametrize("hook", _ANSWERS)
def test_one_field_at_a_time(account: qasid.Account, wire: Wire, hook: str, new: Any) -> None:
    """A field of another type is an error of the tree, and what was paid for is then unknown."""
    good, unread = _ANSWERS[hook]
    for name in good:
        wire.reply({**good, name: new})
        if name in unread:
            CALLS[hook](account)
            continue
        with pytest.raises(qasid.ProtocolError) as caught:
            CALLS[hook](account)
        assert (caught.value.outcome is qasid.Outcome.UNKNOWN) is (hook != "balance")


def test_it_has_the_hooks_of_the_document() -> None:
    """Those that are paid are never safe to repeat; the address is the document's."""
    assert implemented(MrOTP) == {"balance", "send", "otp", "verify_otp"} < {*HOOKS}
    assert {"send", "otp"} < PAID_HOOKS
    flows = MrOTP(api_key=KEY).balance(), MrOTP(api_key=KEY).verify_otp(TO, "4321")
    credit, verification = (next(flow) for flow in flows)
    assert isinstance(credit, Request)
    assert isinstance(verification, Request)
    assert (credit.safe, verification.safe) == (True, False)
    assert urlsplit(credit.url).geturl() == "https://my.mrotp.ir/api/OTP/v1/getCredit"
