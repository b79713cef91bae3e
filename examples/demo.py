"""Qasid in a quarter of a minute, with no account and no network: `nox -s demo`.

Each provider's emulator is a process of its own, and all that is said to it is HTTP on this
machine. Each line that begins with "ok" has been checked; the first one that is not so ends the
demonstration.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import requests

import qasid
from emulators import Served, served
from qasid import finding
from qasid.hookspecs import HOOKS

SERVICE, COUNTRY = "acme", "SA"
PRICE: Final = qasid.Money("0.5", "USD")
CODE: Final = "123456"
#: "Your verification code is 123-456", with Persian digits in an Arabic text.
TEXT: Final = "رمز التحقق الخاص بك هو ۱۲۳-۴۵۶"
GREETING: Final = "سلام! Your parcel is here."
TO: Final = "+989121112233"
LOCAL: Final = "09121112233"  # the same, as it is written within its country

#: What is installed here, and how the emulator of each is started.
EMULATORS: Final[Mapping[str, tuple[str, ...]]] = {
    "smsarab": ("--deliver-after", "1", "--text", TEXT),
    "myonlinesim": (),
    "mrotp": (),
    "smsafzar": (),
    "deftsms": (),
}


def check(condition: object, words: str) -> None:
    """Show what is so; end with an error where it is not."""
    if not condition:
        raise RuntimeError(f"NOT so: {words}")
    print(f"  ok  {words}")


def title(words: str) -> None:
    print(f"\n{words}", flush=True)


def check_paid(before: qasid.Money, price: qasid.Money, after: qasid.Money, there: Served) -> None:
    check(after == before - price == there.credit, f"the balance is {after}: paid once")


# SMSArab. The same twice: with blocking calls, and with `await`.


def rent(there: Served, rentals: qasid.Rentals) -> None:
    with qasid.connect("smsarab", rentals=rentals, **there.settings) as account:
        before = account.balance()
        check(before == there.credit, f"the balance is {before}")
        (offer,) = account.offers(SERVICE, COUNTRY)
        check(offer.price == PRICE, f"{offer.service} in {offer.country} costs {offer.price}")
        with account.rent(SERVICE, COUNTRY, max_price=PRICE) as activation:
            check_rented(activation, rentals)
            began = time.monotonic()
            message = account.wait_for_sms(activation, timeout=20)
            check_waited(message, account.info, time.monotonic() - began)
        check_released(activation, there, rentals)
        check_paid(before, PRICE, account.balance(), there)


async def rent_async(there: Served, rentals: qasid.Rentals) -> None:
    async with qasid.connect_async("smsarab", rentals=rentals, **there.settings) as account:
        before = await account.balance()
        check(before == there.credit, f"the balance is {before}")
        (offer,) = await account.offers(SERVICE, COUNTRY)
        check(offer.price == PRICE, f"{offer.service} in {offer.country} costs {offer.price}")
        async with account.rent(SERVICE, COUNTRY, max_price=PRICE) as activation:
            check_rented(activation, rentals)
            began = time.monotonic()
            message = await account.wait_for_sms(activation, timeout=20)
            check_waited(message, account.info, time.monotonic() - began)
        check_released(activation, there, rentals)
        check_paid(before, PRICE, await account.balance(), there)


def check_rented(activation: qasid.Activation, rentals: qasid.Rentals) -> None:
    written = [rental.activation for rental in rentals.current(now=datetime.now(UTC))]
    check(activation.number.startswith("+966"), f"rented {activation.number}")
    check(activation.cost == PRICE, f"it cost {activation.cost}")
    check([activation] == written, "it is in the book of rentals")
    check(qasid.Activation.load(activation.dump()) == activation, "it would survive a restart")


def check_waited(message: qasid.InboundMessage, info: qasid.ProviderInfo, waited: float) -> None:
    check_message(message)
    step = info.poll_interval.total_seconds()
    check(waited > step - 0.1, f"that took {waited:.1f} s: SMSArab is asked every {step:g} s")


def check_message(message: qasid.InboundMessage) -> None:
    check(message.text == TEXT, f"a message came: {message.text}")
    check(message.code == CODE, f"its code is {message.code}")


def check_released(activation: qasid.Activation, there: Served, rentals: qasid.Rentals) -> None:
    check(there.numbers[activation.id] == "CANCELLED", f"{activation.number} was released")
    check(not rentals.current(now=datetime.now(UTC)), "nothing is left in the book")


# MyOnlineSim, where an owner must let us in.


def logged_in(there: Served) -> dict[str, Any]:
    """Settings whose refresh token is our own; the one that the emulator tells is not used."""
    client = {key: value for key, value in there.settings.items() if key != "refresh_token"}
    client |= {"tokens": "none"}  # nothing of the demonstration gets into this user's token store
    with qasid.connect("myonlinesim", **client) as account:
        credential = account.exchange_code(allowed(account))
    token = credential.refresh_token
    check(token and token != there.settings["refresh_token"], "the code was changed for a token")
    return {**client, "refresh_token": token}


def allowed(account: qasid.Account) -> str:
    """Play the owner's browser, and the page that it comes back to: gives the code."""
    state = secrets.token_urlsafe(16)
    with requests.Session() as browser:
        browser.trust_env = False
        address = account.authorize_url(state)
        reply = browser.get(address, allow_redirects=False, timeout=10)
    back = dict(parse_qsl(urlsplit(reply.headers.get("Location", "")).query))
    check(reply.status_code == 302 and "code" in back, "the owner's browser brings a code")
    check(secrets.compare_digest(back.get("state", ""), state), "it is for us: the state is ours")
    return back["code"]


def rent_after_login(there: Served, rentals: qasid.Rentals) -> None:
    with qasid.connect("myonlinesim", rentals=rentals, **logged_in(there)) as account:
        before = account.balance()
        (offer,) = account.offers("tg", "60")
        price = offer.price or qasid.Money(0, "IRR")
        check(before == there.credit and price.amount, f"of {before} a number takes {price}")
        with account.rent("tg", "60", max_price=price) as activation:
            check(there.numbers == {activation.id: "waiting"}, f"rented {activation.number}")
            # Before the first look, as the next one is due in 20 seconds.
            there.knock("deliver", activation_id=activation.id, text=TEXT)
            check_message(account.wait_for_sms(activation, timeout=30))
        check(there.numbers == {activation.id: "received"}, "one that got its message is kept")
        check_paid(before, price, account.balance(), there)


# MrOTP, SMSAfzar and DeftSMS, which send.


def send_codes(there: Served) -> None:
    with qasid.connect("mrotp", **there.settings) as account:
        before = account.balance()
        account.otp(TO, code=CODE, lifetime=timedelta(minutes=2))
        check([CODE] == [item["code"] for item in there.knock("outbox")], f"{CODE} is on the phone")
        check(not account.verify_otp(TO, "654321"), "654321 is rejected")
        check(account.verify_otp(TO, CODE), f"{CODE} is accepted")
        dialled = account.otp(TO, length=5, channel="ussd")
        check(dialled.dial and len(there.phones) == 1, f"another one is got by {dialled.dial}")
        values = {"0": "علي", "1": "محمدي", "2": "1315"}
        receipt = account.send(qasid.TemplateMessage(to=TO, template="1", values=values))
        to, text = there.phones[-1]
        check(to == LOCAL and "علي محمدي" in text, f"template 1 went out as {receipt.id}: {text}")
        check_paid(before, qasid.Money(3 * 1000, "IRR"), account.balance(), there)


def send_texts(there: Served) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    messages: list[qasid.TextMessage | qasid.TemplateMessage] = [
        qasid.TextMessage(to=TO, text=GREETING),
        qasid.TextMessage(to="+966501234567", text="Its numbers are Iranian mobiles."),
        qasid.TemplateMessage(to=TO, template="TydSt1skQE", values={"code": CODE, "price": "12"}),
        qasid.TextMessage(to=TO, text="This is taken back.", send_at=later),
    ]
    with qasid.connect("smsafzar", pending_codes="0", **there.settings) as account:
        before = account.balance()
        sent, refused, template, scheduled = account.send_many(messages)
        check(sent.accepted and template.accepted and scheduled.accepted, "three are accepted")
        check(isinstance(refused.error, qasid.InvalidRecipient), f"one is not: {refused.error}")
        check(there.phones == [(TO, GREETING), (TO, f"{CODE} 12")], "two are on the phone")
        (report,) = account.delivery_status([scheduled])
        check(report.state is qasid.DeliveryState.PENDING, "the third is pending")
        account.cancel_scheduled(scheduled.batch_id or "")
        there.knock("advance", seconds=7200)
        check(len(there.phones) == 2, "it was taken back, and two hours later it has not gone")
        check_paid(before, qasid.Money(2 * 500, "IRR"), account.balance(), there)


async def send_many_async(there: Served) -> None:
    people = [f"+98912{number:07d}" for number in range(150)]
    messages = [qasid.TextMessage(to=to, text=f"{GREETING} {to[-3:]}") for to in people]
    async with qasid.connect_async("deftsms", **there.settings) as account:
        before = await account.balance()
        receipts = await account.send_many(messages)
        check(all(receipt.accepted for receipt in receipts), "150 texts were accepted")
        expected = [(f"0{message.to[3:]}", message.text) for message in messages]
        check(there.phones == expected, "each phone got its own, once")
        check_paid(before, qasid.Money(150 * 100, "IRR"), await account.balance(), there)
        there.knock("deliver", activation_id="inbox", text=TEXT, sender=LOCAL)
        message = (await account.fetch_sms(qasid.InboxQuery(limit=5)))[-1]
        check(message.sender == TO, f"{message.sender} answers")
        check_message(message)


# The sandbox, which is in this process.


def send() -> None:
    with qasid.connect("sandbox") as account:
        receipt = account.send(qasid.TextMessage(to=TO, text=GREETING))
        check(receipt.accepted and receipt.id, f"a text to {receipt.to} was accepted")
        check(receipt.cost == qasid.Money("0.05", "USD"), f"it cost {receipt.cost}")
        ticket = account.otp(TO, length=6)
        right = ticket.code or ""
        wrong = f"{(int(right) + 1) % 10**6:06}"
        check(len(right) == 6, f"a one-time password was sent; the sandbox tells it: {right}")
        check(not account.verify_otp(TO, wrong), f"{wrong} is rejected")
        check(account.verify_otp(TO, right), f"{right} is accepted")
        check(not account.verify_otp(TO, right), f"{right} is rejected when it is used again")


def show_providers() -> None:
    title(f"Qasid {version('qasid')}: the providers that are installed")
    for name in finding.installed():
        info = finding.provider(name).info
        able = [hook for hook in HOOKS if info.supports(hook).implemented]
        check({"send", "acquire_number"} & {*able}, f"{name}: {', '.join(able)}")
    check({"sandbox", *EMULATORS} <= {*finding.installed()}, "all that is shown here is there")


def run(rentals: qasid.Rentals, there: Mapping[str, Served]) -> None:
    at = {name: f"{finding.provider(name).info.title} at {there[name].url}" for name in there}
    there["smsarab"].knock("stock", service=SERVICE, country=COUNTRY, count=2)
    title(f"{at['smsarab']}, with blocking calls (requests)")
    rent(there["smsarab"], rentals)
    title(f"{at['smsarab']}, with await (aiohttp)")
    asyncio.run(rent_async(there["smsarab"], rentals))
    title(f"{at['myonlinesim']}, after its owner has let us in")
    rent_after_login(there["myonlinesim"], rentals)
    title(f"{at['mrotp']}: one-time passwords")
    send_codes(there["mrotp"])
    title(f"{at['smsafzar']}: now, by a template, and later")
    send_texts(there["smsafzar"])
    title(f"{at['deftsms']}: many at once, with await (aiohttp)")
    asyncio.run(send_many_async(there["deftsms"]))
    title("The sandbox, in this process")
    send()


def run_with_emulators(folder: Path) -> None:
    rentals = qasid.Rentals(folder / "rentals.sqlite3")
    with contextlib.closing(rentals), contextlib.ExitStack() as stack:
        title("Their emulators, each a process of its own")
        there = {n: stack.enter_context(served(n, *options)) for n, options in EMULATORS.items()}
        check(len({each.url for each in there.values()}) == len(there), f"{', '.join(there)}")
        run(rentals, there)


def alone(folder: Path) -> None:
    """Let no setting of the person who runs this take part, and leave nothing behind."""
    for name in [name for name in os.environ if name.startswith("QASID_")]:
        del os.environ[name]
    os.environ["QASID_STATE_DIR"] = os.environ["XDG_CONFIG_HOME"] = str(folder)
    os.chdir(folder)


def main() -> None:
    began, home = time.monotonic(), Path.cwd()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # the message is Arabic, whatever the locale
    with tempfile.TemporaryDirectory(prefix="qasid-demo-") as name:
        alone(Path(name))
        try:
            show_providers()
            run_with_emulators(Path(name))
        finally:
            os.chdir(home)
    print(f"\nAll of it was so, in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
