"""The sandbox, plugged into its emulator in virtual time."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid import errors
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.effects import Request, Response
from qasid.emulation import Emulator
from qasid.hookspecs import HOOKS
from qasid.values import (
    Activation,
    Credential,
    DeliveryReport,
    DeliveryState,
    InboundMessage,
    InboxQuery,
    Money,
    NumberOrder,
    OtpOrder,
    OtpVerdict,
    Receipt,
    ReleaseReason,
    TemplateMessage,
    TextMessage,
)
from qasid_sandbox import Sandbox
from qasid_sandbox.emulator import SandboxEmulator

TO = "+966500000123"
DIME = Money("0.50", "USD")
SECOND = timedelta(seconds=1)


@attrs.define
class Process:
    """A process of its own: a provider before a fresh emulator, and the clock of the world."""

    clock: VirtualClock = attrs.field(factory=VirtualClock)
    sandbox: Sandbox = attrs.field(factory=Sandbox)
    emulator: SandboxEmulator = attrs.field(
        default=attrs.Factory(lambda self: SandboxEmulator(clock=self.clock.now), takes_self=True)
    )
    seen: list[Request] = attrs.field(factory=list)

    def _carry(self, request: Request) -> Response:
        self.seen.append(request)
        return self.emulator.handle(request)

    def run(self, flow: Any) -> Any:
        return virtual_driver(self._carry, self.clock).run(flow)

    @property
    def credential(self) -> Credential:
        token: Credential = self.run(self.sandbox.authenticate())
        return token

    def balance(self) -> Money:
        credit: Money = self.run(self.sandbox.balance(self.credential))
        return credit

    def rent(self, *services: str, country: str = "SA", **more: Any) -> list[Activation]:
        order = NumberOrder(services=services or ("acme",), country=country, **more)
        rented: list[Activation] = self.run(self.sandbox.acquire_number(order, self.credential))
        return rented

    def fetch(self, inbox: Activation | InboxQuery) -> list[InboundMessage]:
        messages: list[InboundMessage] = self.run(self.sandbox.fetch_sms(inbox, self.credential))
        return messages

    def release(
        self, activation: Activation, reason: ReleaseReason = ReleaseReason.UNUSED
    ) -> Money | None:
        released = self.run(self.sandbox.release(activation, reason, self.credential))
        assert activation.id == released.activation_id
        return released.refund

    def send(self, *messages: TextMessage | TemplateMessage) -> list[Receipt]:
        receipts: list[Receipt] = self.run(self.sandbox.send(messages, self.credential))
        return receipts

    def otp(self, to: str = TO, **more: Any) -> Any:
        return self.run(self.sandbox.otp(OtpOrder(to=to, **more), self.credential))

    def verify(self, code: str, to: str = TO) -> OtpVerdict:
        verdict: OtpVerdict = self.run(self.sandbox.verify_otp(to, code, self.credential))
        return verdict

    def reports(self, *receipts: Receipt) -> list[DeliveryReport]:
        found: list[DeliveryReport] = self.run(
            self.sandbox.delivery_status(receipts, self.credential)
        )
        return found

    def answer(self, status: int, body: Any, **headers: str) -> None:
        """Let the next request but that for the token be answered so."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.emulator.fail_next(Response(status=status, body=content, headers=named))


@pytest.fixture
def process() -> Process:
    return Process()


def ascii_code(text: str) -> str:
    return "".join(str(unicodedata.digit(c)) for c in text if c.isdigit())


# Declaration.


def test_every_hook_is_declared_full() -> None:
    """The sandbox is there to try everything."""
    assert [True] * len(HOOKS) == [
        Sandbox.info.supports(hook).level.value == "full" for hook in HOOKS
    ]


def test_every_hook_is_implemented() -> None:
    """What is declared is there."""
    assert set(HOOKS) == {name for name in HOOKS if hasattr(Sandbox, name)}


def test_no_setting_is_needed() -> None:
    """`Sandbox()` speaks to the emulator in this process."""
    assert "emulator://sandbox" == Sandbox().base_url


def test_the_emulator_fits_the_protocol() -> None:
    """The checker of types reads this line."""
    made: Callable[..., Emulator] = SandboxEmulator
    assert {"api_key": "sandbox"} == made().settings


@pytest.mark.parametrize("delay", [-1.0, 86_400.5, float("nan"), float("inf")])
def test_a_delay_that_makes_no_sense_is_refused(delay: float) -> None:
    """It is 0 to 86,400 seconds."""
    with pytest.raises(ValueError, match="delay"):
        Sandbox(delay=delay)


# Authentication.


def test_a_token_lives_five_minutes(process: Process) -> None:
    """Short, so that its renewal can be seen."""
    assert process.clock.now() + timedelta(minutes=5) == process.credential.expires_at


def test_another_key_does_not_get_in(process: Process) -> None:
    """A wrong `api_key` is refused."""
    process.sandbox = Sandbox(api_key="another")
    with pytest.raises(errors.AuthenticationFailed):
        process.balance()


def test_a_token_is_good_until_its_end(process: Process) -> None:
    """One microsecond earlier it still gets in, at the end no more."""
    token = process.credential
    process.emulator.advance(timedelta(minutes=5) - timedelta(microseconds=1))
    assert Money("100.00", "USD") == process.run(process.sandbox.balance(token))
    process.emulator.advance(timedelta(microseconds=1))
    with pytest.raises(errors.AuthenticationFailed):
        process.run(process.sandbox.balance(token))


def test_a_made_up_token_does_not_get_in(process: Process) -> None:
    """Only the sandbox seals tokens."""
    with pytest.raises(errors.AuthenticationFailed):
        process.run(process.sandbox.balance(Credential(token="tok.fff.00000000")))


def test_a_token_holds_in_another_process(process: Process) -> None:
    """It needs no store."""
    another = Process(clock=process.clock)
    assert Money("100.00", "USD") == another.run(another.sandbox.balance(process.credential))


# Balance and offers.


def test_the_balance_is_what_the_back_door_says(process: Process) -> None:
    """Also after `fund`."""
    process.emulator.fund(Money("7.05", "USD"))
    assert process.emulator.balance() == process.balance() == Money("7.05", "USD")


def test_only_dollars_can_be_funded(process: Process) -> None:
    """A rial is not a cent."""
    with pytest.raises(ValueError, match="US dollars"):
        process.emulator.fund(Money(5, "IRR"))


def offers(process: Process, service: str | None = None, country: str | None = None) -> Any:
    found = process.run(process.sandbox.offers(service, country, process.credential))
    return [(o.service, o.country, o.price, o.stock) for o in found]


def test_samples_are_offered_in_every_country(process: Process) -> None:
    """Three services in six countries."""
    assert 18 == len(offers(process))


def test_an_offer_has_price_and_stock(process: Process) -> None:
    """Both, also for a service of one's own."""
    assert [("mine", "DE", DIME, 100)] == offers(process, "mine", "DE")


def test_the_back_door_sets_stock(process: Process) -> None:
    """And what has a stock is offered."""
    process.emulator.stock("mine", "DE", 3)
    assert ("mine", "DE", DIME, 3) in offers(process)


def test_renting_lowers_stock_and_release_gives_it_back(process: Process) -> None:
    """Books within one process."""
    (activation,) = process.rent("acme")
    assert [("acme", "SA", DIME, 99)] == offers(process, "acme", "SA")
    process.release(activation)
    assert [("acme", "SA", DIME, 100)] == offers(process, "acme", "SA")


def test_what_cannot_be_rented_is_not_offered(process: Process) -> None:
    """A country is two capital letters."""
    assert [] == offers(process, "acme", "Germany")


# Renting.


def test_a_number_costs_half_a_dollar(process: Process) -> None:
    """It is charged, and told as the activation's cost."""
    (activation,) = process.rent()
    assert (DIME, Money("99.50", "USD")) == (activation.cost, process.emulator.balance())


def test_a_number_lives_twenty_minutes(process: Process) -> None:
    """By the clock of its purchase."""
    (activation,) = process.rent()
    assert process.clock.now() == activation.acquired_at
    assert process.clock.now() + timedelta(minutes=20) == activation.expires_at


@given(
    seed=st.integers(-(10**9), 10**9),
    country=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2),
)
def test_a_rented_number_is_nobodys(seed: int, country: str) -> None:
    """E.164 under +999, and never a recipient of special meaning."""
    (activation,) = Process(sandbox=Sandbox(seed=seed)).rent(country=country)
    assert re.fullmatch(r"\+999[0-9]{7}[1-9][0-9]{3}", activation.number)


def test_several_services_are_one_order(process: Process) -> None:
    """One number for each, in order, all different, also for the same service twice."""
    rented = process.rent("acme", "globex", "acme")
    assert ["acme", "globex", "acme"] == [each.service for each in rented]
    assert (3, 3) == (len({each.id for each in rented}), len({each.number for each in rented}))


def test_an_order_is_filled_whole_or_not_at_all(process: Process) -> None:
    """With one service out of stock nothing is rented or charged."""
    with pytest.raises(errors.NoNumbersAvailable):
        process.rent("acme", "soldout")
    assert ([], Money("100.00", "USD")) == (
        process.emulator.activations(),
        process.emulator.balance(),
    )


def test_an_order_needs_stock_for_all_its_numbers(process: Process) -> None:
    """Two of one service want two in stock."""
    process.emulator.stock("acme", "SA", 1)
    with pytest.raises(errors.NoNumbersAvailable):
        process.rent("acme", "acme")


def test_credit_must_cover_the_order(process: Process) -> None:
    """Nothing is rented on credit."""
    process.emulator.fund(Money("0.99", "USD"))
    with pytest.raises(errors.InsufficientCredit):
        process.rent("acme", "acme")


def test_a_price_that_is_too_high_is_not_paid(process: Process) -> None:
    """`max_price` is obeyed, and is for each number."""
    assert 2 == len(process.rent("acme", "acme", max_price=DIME))
    with pytest.raises(errors.NoNumbersAvailable):
        process.rent(max_price=Money("0.49", "USD"))


@pytest.mark.parametrize(
    "order",
    [
        {"country": "966"},
        {"services": ["a.b"]},
        {"max_price": Money(5, "IRR")},
        {"callback_url": "ftp://example.com"},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(process: Process, order: dict[str, Any]) -> None:
    """In words, and free of charge."""
    services = order.pop("services", ["acme"])
    with pytest.raises(errors.InvalidRequest):
        process.rent(*services, **order)
    assert Money("100.00", "USD") == process.emulator.balance()


def test_the_activations_of_the_books_tell_their_state(process: Process) -> None:
    """Active, released or expired."""
    first, second = process.rent("acme", "globex")
    process.release(first)
    process.emulator.advance(timedelta(seconds=2))
    shown = process.emulator.activations()
    assert [("released", 0), ("active", 1)] == [(each.state, each.messages) for each in shown]
    assert [first.number, second.number] == [each.number for each in shown]
    process.emulator.advance(timedelta(minutes=20))
    assert "expired" == process.emulator.activations()[1].state


# Messages that come.


def test_a_message_comes_after_the_delay(process: Process) -> None:
    """Before it there is none, and that is no error."""
    process.sandbox = Sandbox(delay=2.5)
    (activation,) = process.rent()
    process.clock.sleep(2.4)
    assert [] == process.fetch(activation)
    process.clock.sleep(0.1)
    (message,) = process.fetch(activation)
    assert (activation.number, process.clock.now()) == (message.to, message.received_at)


def test_with_a_delay_beyond_its_life_a_number_stays_silent(process: Process) -> None:
    """For those who deliver all messages themselves."""
    process.sandbox = Sandbox(delay=86_400)
    (activation,) = process.rent()
    process.clock.sleep(1199)
    assert [] == process.fetch(activation)


@given(seed=st.integers())
def test_a_text_has_one_code_of_six_digits(seed: int) -> None:
    """In English, Arabic or Persian digits."""
    process = Process(sandbox=Sandbox(seed=seed % 10**50, delay=0))
    (message,) = process.fetch(process.rent()[0])
    digits = re.sub(r"[^0-9٠-٩۰-۹]", "", message.text)
    assert (6, True) == (len(digits), digits in message.text)


def many_texts() -> Iterator[str]:
    for seed in range(40):
        process = Process(sandbox=Sandbox(seed=seed, delay=0))
        yield process.fetch(process.rent()[0])[0].text


def test_texts_come_in_three_scripts_of_digits() -> None:
    """Seeds choose among them."""
    scripts = {
        unicodedata.name(c).split(" DIGIT")[0] for t in many_texts() for c in t if c.isdigit()
    }
    assert {"DIGIT ZERO", "ARABIC-INDIC", "EXTENDED ARABIC-INDIC"} <= scripts


def test_codes_may_begin_with_zero() -> None:
    """Codes are text."""
    assert any(ascii_code(text).startswith("0") for text in many_texts())


def test_a_delivered_message_comes_as_it_is(process: Process) -> None:
    """It takes the place of the number's own message where it is first."""
    (activation,) = process.rent()
    process.emulator.deliver(activation.id, "٠٠١٢ 🙂", "Globex")
    process.clock.sleep(60)
    messages = process.fetch(activation)
    assert [("٠٠١٢ 🙂", "Globex")] == [(m.text, m.sender) for m in messages]


def test_messages_are_listed_oldest_first_with_ids_of_their_own(process: Process) -> None:
    """The number's own, then those that were delivered."""
    (activation,) = process.rent()
    process.clock.sleep(2)
    process.emulator.deliver(activation.id, "same")
    process.emulator.deliver(activation.id, "same")
    messages = process.fetch(activation)
    assert ["same", "same"] == [m.text for m in messages[1:]]
    assert (3, 3) == (len(messages), len({m.id for m in messages}))


def test_nothing_can_be_delivered_to_an_unknown_number(process: Process) -> None:
    """A test with a wrong id fails early."""
    with pytest.raises(KeyError):
        process.emulator.deliver("sbx", "text")


def test_an_expired_number_cannot_be_read(process: Process) -> None:
    """Its time is over at twenty minutes."""
    (activation,) = process.rent()
    process.clock.sleep(20 * 60)
    with pytest.raises(errors.NumberExpired):
        process.fetch(activation)


@pytest.mark.parametrize("name", ["x", "sbx", "sbx.acme.SA.1.2.3.00000000", "a/b", "ü.☎"])
def test_an_id_that_was_never_given_out_is_not_found(process: Process, name: str) -> None:
    """Whatever is in it."""
    (activation,) = process.rent()
    with pytest.raises(errors.NumberNotFound):
        process.fetch(attrs.evolve(activation, id=name))


def test_an_id_that_cannot_be_in_an_address_is_never_sent(process: Process) -> None:
    """`..` would ask for another path."""
    (activation,) = process.rent()
    with pytest.raises(errors.InvalidRequest):
        process.fetch(attrs.evolve(activation, id=".."))


def test_the_inbox_has_a_message_of_each_full_hour(process: Process) -> None:
    """Of the last six, oldest first."""
    now = process.clock.now()
    hours = [now - timedelta(hours=ago) for ago in (5, 4, 3, 2, 1, 0)]
    assert hours == [message.received_at for message in process.fetch(InboxQuery())]


def test_the_inbox_is_read_in_pages(process: Process) -> None:
    """`offset` skips, `limit` ends."""
    everything = process.fetch(InboxQuery())
    assert everything[2:4] == process.fetch(InboxQuery(limit=2, offset=2))


def test_the_inbox_is_cut_by_time(process: Process) -> None:
    """`since` is part of it, `until` is not."""
    everything, now = process.fetch(InboxQuery()), process.clock.now()
    query = InboxQuery(since=now - timedelta(hours=3), until=now - timedelta(hours=1))
    assert everything[2:4] == process.fetch(query)


# Giving back.


@pytest.mark.parametrize("reason", ReleaseReason)
def test_a_number_without_messages_is_refunded(process: Process, reason: ReleaseReason) -> None:
    """For either reason, its whole price."""
    (activation,) = process.rent()
    assert DIME == process.release(activation, reason)
    assert Money("100.00", "USD") == process.emulator.balance()


def test_a_number_is_released_once(process: Process) -> None:
    """The second time it is not found, and nothing is refunded again."""
    (activation,) = process.rent()
    process.release(activation)
    with pytest.raises(errors.NumberNotFound):
        process.release(activation)
    assert Money("100.00", "USD") == process.emulator.balance()


def test_a_number_with_a_message_is_not_taken_back(process: Process) -> None:
    """It has done its work."""
    (activation,) = process.rent()
    process.clock.sleep(1)
    with pytest.raises(errors.ReleaseRefused):
        process.release(activation)


def test_an_expired_number_is_not_taken_back(process: Process) -> None:
    """Its time was used."""
    (activation,) = process.rent()
    process.clock.sleep(20 * 60)
    with pytest.raises(errors.NumberExpired):
        process.release(activation)


# Sending.


def test_each_message_gets_a_receipt_in_order(process: Process) -> None:
    """Up to a hundred at once, five cents each."""
    sent = [TextMessage(to=f"+9665{n:08}", text=f"{n}") for n in range(100, 200)]
    receipts = process.send(*sent)
    assert [m.to for m in sent] == [r.to for r in receipts]
    assert {Money("0.05", "USD")} == {r.cost for r in receipts}
    assert (100, Money("95.00", "USD")) == (
        len({r.id for r in receipts}),
        process.emulator.balance(),
    )


def test_more_than_a_hundred_are_refused(process: Process) -> None:
    """A batch has a limit, and it is declared."""
    with pytest.raises(errors.InvalidRequest):
        process.send(*[TextMessage(to=TO, text="x")] * (Sandbox.info.max_batch + 1))


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_arrives_unchanged(text: str) -> None:
    """Whatever is in it, even nothing."""
    process = Process()
    process.send(TextMessage(to=TO, text=text, sender="Qasid"))
    (item,) = process.emulator.outbox()
    assert (TO, text, "Qasid") == (item.to, item.text, item.sender)


def test_a_template_arrives_with_its_values(process: Process) -> None:
    """Any template is known, and shown as its name and values."""
    values: Any = {"name": "علی", "n": "1"}
    process.send(TemplateMessage(to=TO, template="hello", values=values))
    assert ["[hello] name=علی n=1"] == [item.text for item in process.emulator.outbox()]


def test_a_scheduled_message_goes_at_its_time(process: Process) -> None:
    """Texts and templates; not before."""
    at = process.clock.now() + timedelta(hours=1)
    process.send(
        TextMessage(to=TO, text="x", send_at=at), TemplateMessage(to=TO, template="y", send_at=at)
    )
    process.emulator.advance(timedelta(minutes=59))
    assert [] == process.emulator.outbox()
    process.emulator.advance(timedelta(minutes=1))
    assert ["x", "[y]"] == [item.text for item in process.emulator.outbox()]


def test_a_message_for_the_past_goes_now(process: Process) -> None:
    """A clock that is a little late loses nothing."""
    process.send(TextMessage(to=TO, text="x", send_at=process.clock.now() - SECOND))
    assert 1 == len(process.emulator.outbox())


def test_one_bad_recipient_does_not_hold_up_the_others(process: Process) -> None:
    """Its refusal is in its receipt, and is not charged."""
    ends = ["0123", "0001", "0002"]
    receipts = process.send(*[TextMessage(to=f"+96650000{end}", text="x") for end in ends])
    kinds = [type(None), errors.InvalidRecipient, errors.RecipientOptedOut]
    assert kinds == [type(receipt.error) for receipt in receipts]
    assert [None, errors.Outcome.NOT_PERFORMED] == [r.outcome for r in receipts[:2]]
    assert Money("99.95", "USD") == process.emulator.balance()


def test_a_template_can_be_rejected(process: Process) -> None:
    """The one named `rejected` is."""
    (receipt,) = process.send(TemplateMessage(to=TO, template="rejected"))
    assert isinstance(receipt.error, errors.TemplateRejected)


def test_what_is_no_number_is_no_recipient(process: Process) -> None:
    """Recipients are E.164."""
    (receipt,) = process.send(TextMessage(to="0500000123", text="x"))
    assert isinstance(receipt.error, errors.InvalidRecipient)


WHOLE = {
    "0003": errors.InsufficientCredit,
    "0004": errors.ProviderUnavailable,
    "0005": errors.RateLimited,
}


@pytest.mark.parametrize(("end", "kind"), WHOLE.items())
def test_special_recipients_refuse_a_batch(
    process: Process, end: str, kind: type[Exception]
) -> None:
    """All of it: nothing goes out, and nothing is charged."""
    with pytest.raises(kind):
        process.send(TextMessage(to=TO, text="x"), TextMessage(to=f"+96650000{end}", text="x"))
    assert ([], Money("100.00", "USD")) == (process.emulator.outbox(), process.emulator.balance())


def test_credit_must_cover_the_batch(process: Process) -> None:
    """A batch that cannot be paid does not go out at all."""
    process.emulator.fund(Money("0.09", "USD"))
    with pytest.raises(errors.InsufficientCredit):
        process.send(TextMessage(to=TO, text="x"), TextMessage(to=TO, text="y"))
    assert [] == process.emulator.outbox()


# Where messages are.


def states(process: Process, *receipts: Receipt) -> list[DeliveryState]:
    return [report.state for report in process.reports(*receipts)]


def test_a_message_is_pending_and_then_delivered(process: Process) -> None:
    """After the delay, at a moment that is told."""
    (receipt,) = process.send(TextMessage(to=TO, text="x"))
    assert [DeliveryState.PENDING] == states(process, receipt)
    process.clock.sleep(1)
    (report,) = process.reports(receipt)
    assert (DeliveryState.DELIVERED, TO, process.clock.now()) == (
        report.state,
        report.to,
        report.at,
    )


def test_a_delivery_can_fail(process: Process) -> None:
    """That to a recipient ending in 0006 does."""
    (receipt,) = process.send(TextMessage(to="+966500000006", text="x"))
    process.clock.sleep(1)
    assert [DeliveryState.FAILED] == states(process, receipt)


def test_reports_are_in_the_order_of_the_receipts(process: Process) -> None:
    """With an unknown one where its receipt is unknown."""
    later = process.clock.now() + timedelta(hours=1)
    first, last = process.send(
        TextMessage(to=TO, text="x"), TextMessage(to=TO, text="y", send_at=later)
    )
    process.clock.sleep(1)
    assert [DeliveryState.PENDING, DeliveryState.UNKNOWN, DeliveryState.DELIVERED] == states(
        process, last, Receipt(to=TO, id="made-up"), first
    )


# One-time passwords.


def test_the_code_is_told_and_sent(process: Process) -> None:
    """So that it can be tried without a phone. It costs five cents."""
    ticket = process.otp(lifetime=timedelta(minutes=2))
    (item,) = process.emulator.outbox()
    assert (ticket.code, TO, True) == (item.code, item.to, ticket.code in item.text)
    assert process.clock.now() + timedelta(minutes=2) == ticket.expires_at
    assert Money("99.95", "USD") == process.emulator.balance()


@given(length=st.integers(3, 10), seed=st.integers(0, 10**6))
def test_a_code_has_the_length_that_was_ordered(length: int, seed: int) -> None:
    """Leading zeros are digits."""
    code = Process(sandbox=Sandbox(seed=seed)).otp(length=length).code
    assert (length, True) == (len(code), code.isdecimal())


def test_made_codes_may_begin_with_zero() -> None:
    """And such a code is accepted as it is, but not without its zero."""
    seed = next(s for s in range(100) if Process(sandbox=Sandbox(seed=s)).otp().code[0] == "0")
    process = Process(sandbox=Sandbox(seed=seed))
    code = process.otp().code
    assert OtpVerdict(accepted=False, reason="wrong") == process.verify(code.lstrip("0"))
    assert process.verify(code)


def test_a_code_of_ones_own_is_sent(process: Process) -> None:
    """With its leading zeros."""
    assert "0042" == process.otp(code="0042").code
    assert process.verify("0042")


def test_a_code_is_accepted_once(process: Process) -> None:
    """The second time it is used up."""
    code = process.otp().code
    verdicts = [process.verify(code), process.verify(code)]
    assert [OtpVerdict(accepted=True), OtpVerdict(accepted=False, reason="used")] == verdicts


def test_a_code_expires(process: Process) -> None:
    """At the end of its lifetime."""
    code = process.otp(lifetime=timedelta(seconds=30)).code
    process.clock.sleep(30)
    assert OtpVerdict(accepted=False, reason="expired") == process.verify(code)


@pytest.mark.parametrize("code", ["", "12", "99999", "١٢٣٤٥٦", "12345678901"])
def test_a_wrong_code_is_a_verdict(process: Process, code: str) -> None:
    """Whatever it is, with a record or without."""
    wrong = OtpVerdict(accepted=False, reason="wrong")
    assert wrong == process.verify(code)
    process.otp(code="4711")
    assert wrong == process.verify(code)


def test_a_new_code_replaces_the_old_one(process: Process) -> None:
    """Only the last one counts."""
    process.otp(code="1111")
    process.otp(code="2222")
    assert [False, True] == [bool(process.verify(code)) for code in ("1111", "2222")]


def test_ussd_tells_what_to_dial(process: Process) -> None:
    """And no other channel does."""
    assert re.fullmatch(r"\*999\*[0-9]{4}#", process.otp(channel="ussd").dial)
    assert [None] * 3 == [process.otp(channel=channel).dial for channel in (None, "sms", "voice")]


@pytest.mark.parametrize(
    ("order", "kind"),
    [
        ({"code": "12"}, errors.OtpRejected),
        ({"channel": "pigeon"}, errors.InvalidRequest),
        ({"lifetime": timedelta(days=2)}, errors.InvalidRequest),
    ],
)
def test_a_code_that_cannot_be_sent_is_refused(
    process: Process, order: dict[str, Any], kind: type[Exception]
) -> None:
    """And costs nothing."""
    with pytest.raises(kind):
        process.otp(**order)
    assert Money("100.00", "USD") == process.emulator.balance()


def test_part_seconds_count_as_whole_ones(process: Process) -> None:
    """A lifetime is never cut short."""
    ticket = process.otp(lifetime=timedelta(seconds=1.5))
    assert process.clock.now() + timedelta(seconds=2) == ticket.expires_at


@pytest.mark.parametrize(
    ("end", "kind"),
    [("0001", errors.InvalidRecipient), ("0002", errors.RecipientOptedOut), *WHOLE.items()],
)
@pytest.mark.parametrize("country", ["966", "98", "1202"])
def test_special_recipients_get_no_code(
    process: Process, end: str, kind: type[Exception], country: str
) -> None:
    """In any country."""
    with pytest.raises(kind):
        process.otp(f"+{country}5550{end}")


# Across processes.


@given(seed=st.integers(0, 10**6), length=st.integers(3, 10))
def test_another_process_accepts_a_made_code(seed: int, length: int) -> None:
    """It follows from seed, recipient and length."""
    sandbox = Sandbox(seed=seed)
    code = Process(sandbox=sandbox).otp(length=length).code
    assert OtpVerdict(accepted=True) == Process(sandbox=sandbox).verify(code)


def test_without_a_record_a_code_is_accepted_once_too(process: Process) -> None:
    """From then on there is a record."""
    code = Process().otp().code
    assert ["", "used"] == [process.verify(code).reason, process.verify(code).reason]


def test_another_process_calls_a_code_of_ones_own_wrong(process: Process) -> None:
    """It is in the books of the one that sent it, and nowhere else."""
    process.otp(code="4711")
    assert "wrong" == Process().verify("4711").reason


def test_another_process_reads_the_same_messages(process: Process) -> None:
    """An id tells all that is needed."""
    (activation,) = process.rent()
    process.clock.sleep(1)
    another = Process(clock=process.clock)
    assert process.fetch(activation) == another.fetch(Activation.load(activation.dump()))
    assert [(activation.number, "acme", "SA")] == [
        (each.number, each.service, each.country) for each in another.emulator.activations()
    ]


def test_another_process_knows_when_a_number_expires(process: Process) -> None:
    """By the same clock."""
    (activation,) = process.rent()
    process.clock.sleep(20 * 60)
    with pytest.raises(errors.NumberExpired):
        Process(clock=process.clock).fetch(activation)


def test_another_process_takes_a_number_back(process: Process) -> None:
    """The refund is told, and its own books, which never paid, stay as they are."""
    (activation,) = process.rent()
    another = Process(clock=process.clock)
    assert DIME == another.release(activation)
    assert Money("100.00", "USD") == another.emulator.balance()


def test_another_process_knows_where_a_message_is(process: Process) -> None:
    """A receipt's id tells recipient and time."""
    (receipt,) = process.send(TextMessage(to=TO, text="x"))
    process.clock.sleep(1)
    assert [DeliveryState.DELIVERED] == states(Process(clock=process.clock), receipt)


# The seed.


def story(seed: int) -> Any:
    process = Process(sandbox=Sandbox(seed=seed))
    (activation,) = process.rent()
    ticket = process.otp(channel="ussd")
    process.clock.sleep(1)
    return activation, process.fetch(activation), process.fetch(InboxQuery()), ticket


@given(seed=st.integers(-(10**20), 10**20))
def test_the_same_seed_tells_the_same_story(seed: int) -> None:
    """At the same time, the same numbers, ids, texts and codes."""
    assert story(seed) == story(seed)


@given(seed=st.integers(0, 10**6))
def test_another_seed_tells_another_story(seed: int) -> None:
    """Texts differ, as their ids do."""
    assert story(seed)[1] != story(seed + 1)[1]


# Webhooks.


def test_a_message_can_come_by_webhook(process: Process) -> None:
    """It is the one that `fetch_sms` reads."""
    (activation,) = process.rent(callback_url="https://app.test/sms")
    process.clock.sleep(1)
    (post,) = process.emulator.webhooks("https://app.test/sms")
    assert process.fetch(activation) == process.sandbox.parse_webhook(post)


def test_a_report_can_come_by_webhook(process: Process) -> None:
    """It is the one that `delivery_status` reads."""
    (receipt,) = process.send(TextMessage(to=TO, text="x"))
    assert [] == process.emulator.webhooks("https://app.test/sms")
    process.clock.sleep(1)
    (post,) = process.emulator.webhooks("https://app.test/sms")
    assert process.reports(receipt) == process.sandbox.parse_webhook(post)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"event": "message"},
        {"event": "party", "data": {}},
        {"event": "delivery", "data": {}},
    ],
)
def test_what_the_sandbox_would_not_post_is_refused(process: Process, body: Any) -> None:
    """Anybody can post to a webhook."""
    post = Request(method="POST", url="https://app.test/sms", json=body).encode()
    with pytest.raises(errors.ProtocolError):
        process.sandbox.parse_webhook(post)


# How it says no.


def test_a_refusal_says_how_long_to_wait(process: Process) -> None:
    """One second, of `Retry-After`."""
    with pytest.raises(errors.RateLimited) as caught:
        process.otp("+966500000005")
    assert (SECOND, "rate_limited") == (caught.value.retry_after, caught.value.code)


def test_a_fault_of_the_server_leaves_the_outcome_open(process: Process) -> None:
    """The core decides it by what was sent."""
    with pytest.raises(errors.ProviderUnavailable) as caught:
        process.otp("+966500000004")
    assert (None, 500) == (caught.value.outcome, caught.value.response and 500)


def test_six_hundred_requests_fit_in_a_minute(process: Process) -> None:
    """The next one is told when to come again."""
    token = process.credential
    for _ in range(599):
        process.run(process.sandbox.balance(token))
    process.clock.sleep(45)
    with pytest.raises(errors.RateLimited) as caught:
        process.run(process.sandbox.balance(token))
    assert timedelta(seconds=15) == caught.value.retry_after
    process.clock.sleep(15)
    assert Money("100.00", "USD") == process.run(process.sandbox.balance(token))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, errors.ProtocolError),
        (400, errors.InvalidRequest),
        (401, errors.AuthenticationFailed),
        (402, errors.InsufficientCredit),
        (403, errors.PermissionDenied),
        (404, errors.InvalidRequest),
        (429, errors.RateLimited),
        (502, errors.ProviderUnavailable),
    ],
)
def test_a_reply_from_elsewhere_is_judged_by_its_status(
    process: Process, status: int, kind: type[Exception]
) -> None:
    """Such as a page of a proxy."""
    token = process.credential
    process.answer(status, b"<html>")
    with pytest.raises(kind):
        process.run(process.sandbox.balance(token))


def test_a_failed_reply_can_hide_that_it_was_performed(process: Process) -> None:
    """The back door counts what really happened."""
    token = process.credential
    process.emulator.fail_next(Response(status=500), performed=True)
    order = NumberOrder(services="acme", country="SA")
    with pytest.raises(errors.ProviderUnavailable):
        process.run(process.sandbox.acquire_number(order, token))
    assert 1 == len(process.emulator.activations())


def run_balance(sandbox: Sandbox, token: Credential) -> Any:
    return sandbox.balance(token)


def run_send(sandbox: Sandbox, token: Credential) -> Any:
    return sandbox.send([TextMessage(to=TO, text="x")], token)


def run_otp(sandbox: Sandbox, token: Credential) -> Any:
    return sandbox.otp(OtpOrder(to=TO), token)


def run_acquire(sandbox: Sandbox, token: Credential) -> Any:
    return sandbox.acquire_number(NumberOrder(services="acme", country="SA"), token)


GOOD_OTP = {"code": "1234", "expires_at": "2024-08-01T12:05:00+00:00"}


@pytest.mark.parametrize(
    ("act", "body"),
    [
        (run_balance, b""),
        (run_balance, {"balance": {"amount": "much", "currency": "USD"}}),
        (run_balance, {"balance": {"amount": 5, "currency": "USD"}}),
        (run_send, {"results": []}),
        (run_send, {"results": [{"status": "perhaps"}]}),
        (run_send, {"results": [{"status": "refused"}]}),
        (run_otp, {**GOOD_OTP, "code": ""}),
        (run_otp, {**GOOD_OTP, "code": 1234}),
        (run_otp, {**GOOD_OTP, "expires_at": "soon"}),
        (run_otp, {**GOOD_OTP, "dial": 5}),
        (run_acquire, {"activations": []}),
        (run_acquire, {"activations": [{"service": "acme", "id": None}]}),
    ],
)
def test_a_reply_that_cannot_be_read_is_a_protocol_error(
    process: Process, act: Callable[[Sandbox, Credential], Any], body: Any
) -> None:
    """Never a value that is only nearly right."""
    token = process.credential
    process.answer(200, body)
    with pytest.raises(errors.ProtocolError):
        process.run(act(process.sandbox, token))


@pytest.mark.parametrize("item", [{"id": None}, {"id": "x", "price": "cheap"}, {}])
def test_an_accepted_message_stays_accepted(process: Process, item: dict[str, Any]) -> None:
    """Even where its id or price cannot be read, as sending again would text twice."""
    token = process.credential
    process.answer(200, {"results": [{"status": "accepted", **item}]})
    assert [Receipt(to=TO)] == process.run(run_send(process.sandbox, token))


# The emulator as a server, for clients of any kind.


def posted(process: Process, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    authorised = {"Authorization": f"Bearer {process.credential.token}", **named}
    request = Request(
        method="POST", url=f"http://localhost{path}", json=body, headers=authorised
    ).encode()
    reply = process.emulator.handle(request)
    return reply.status, reply.json().get("error", {}).get("code")


def test_an_unknown_path_is_not_found(process: Process) -> None:
    """Nor is any path found with a wrong method."""
    assert (404, "not_found") == posted(process, "/nothing", {})
    assert (404, "not_found") == posted(process, "/balance", {})


@pytest.mark.parametrize("body", [{}, [], {"to": 5, "code": "1"}, {"to": TO, "code": None}])
def test_a_body_of_another_shape_is_refused(process: Process, body: Any) -> None:
    """With a word for the member, never with a crash."""
    assert (400, "invalid_request") == posted(process, "/otp/verify", body)


@pytest.mark.parametrize(
    "item", ["x", {"to": TO}, {"to": TO, "text": "x", "send_at": "2024-08-01T12:00:00"}]
)
def test_a_message_of_another_shape_is_refused(process: Process, item: Any) -> None:
    """Without a zone a moment is none."""
    assert (400, "invalid_request") == posted(process, "/messages", {"messages": [item]})


@pytest.mark.parametrize("body", [{"reason": "bored"}, {}])
def test_a_release_needs_a_reason(process: Process, body: Any) -> None:
    """One of the two."""
    (activation,) = process.rent()
    assert (400, "invalid_request") == posted(process, f"/numbers/{activation.id}/release", body)


@pytest.mark.parametrize("length", [2, 11, True])
def test_a_code_has_three_to_ten_digits(process: Process, length: Any) -> None:
    """Of the server too, whoever asks."""
    body = {"to": TO, "length": length, "lifetime_seconds": 60}
    assert (400, "invalid_request") == posted(process, "/otp", body)


def test_a_page_is_asked_for_in_numbers(process: Process) -> None:
    """Others are refused."""
    url = "http://localhost/inbox?limit=-1"
    headers = {"Authorization": f"Bearer {process.credential.token}"}
    assert 400 == process.emulator.handle(Request(method="GET", url=url, headers=headers)).status


@pytest.mark.parametrize(
    "headers", [{"X_Sandbox_Seed": "one"}, {"X_Sandbox_Delay": "-1"}, {"X_Sandbox_Delay": "nan"}]
)
def test_a_seed_or_delay_that_is_no_number_is_refused(
    process: Process, headers: dict[str, str]
) -> None:
    """They are headers, so anything may come."""
    assert (400, "invalid_request") == posted(process, "/otp/verify", {}, **headers)


MEMBERS = st.sampled_from(
    [
        "api_key",
        "services",
        "country",
        "max_price",
        "callback_url",
        "reason",
        "messages",
        "to",
        "text",
        "template",
        "values",
        "send_at",
        "ids",
        "code",
        "length",
        "lifetime_seconds",
        "channel",
    ]
)
PATHS = ["/token", "/numbers", "/numbers/x/release", "/messages", "/messages/status", "/otp"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=5),
)


@given(path=st.sampled_from([*PATHS, "/otp/verify"]), body=JSON)
def test_whatever_is_posted_is_answered(path: str, body: Any) -> None:
    """Never with a fault, but for the recipient that stands for one."""
    status, _ = posted(Process(), path, body)
    assert status in {200, 400, 401, 404, 422}


def test_no_headers_of_the_sandbox_are_needed(process: Process) -> None:
    """Without them the seed is 0 and the delay a second."""
    body = {"to": TO, "code": process.otp().code}
    assert (200, None) == posted(process, "/otp/verify", body)


# Secrets.


def test_no_secret_is_in_a_repr(process: Process) -> None:
    """Neither the key nor a token, a code or a text."""
    key, token, ticket = "hush-hush", process.credential, process.otp()
    (activation,) = process.rent()
    process.clock.sleep(1)
    (message,) = process.fetch(activation)
    shown = repr([Sandbox(api_key=key), token, ticket, message, process.emulator])
    shown += repr(process.emulator.outbox())
    secrets = [key, token.token, ticket.code, message.text, ascii_code(message.text)]
    assert [] == [secret for secret in secrets if secret in shown]


def test_no_secret_is_in_an_address(process: Process) -> None:
    """Addresses are logged on the way."""
    token, process.sandbox = process.credential, Sandbox(base_url="https://example.com")
    process.verify(process.otp(code="4711").code)
    urls = " ".join(request.url for request in process.seen)
    assert [] == [secret for secret in (token.token, "api_key", "4711", TO[1:]) if secret in urls]


def test_no_secret_is_in_an_error(process: Process) -> None:
    """Not even one that the provider was given."""
    process.sandbox = Sandbox(api_key="hush-hush")
    with pytest.raises(errors.AuthenticationFailed) as caught:
        process.balance()
    assert "hush-hush" not in f"{caught.value!r} {caught.value}"


def test_requests_go_to_the_base_url_alone(process: Process) -> None:
    """Which can be a server on this machine."""
    process.sandbox = Sandbox(base_url="http://127.0.0.1:8000/")
    assert Decimal(100) == process.balance().amount
    assert {"http://127.0.0.1:8000"} == {request.origin for request in process.seen}
