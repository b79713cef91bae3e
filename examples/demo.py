"""Qasid in a quarter of a minute, with no account and no network: `nox -s demo`.

SMSArab's emulator is a process of its own, and all that is said to it is HTTP on this machine. Each
line that begins with "ok" has been checked; the first one that is not so ends the demonstration.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import qasid
from qasid import finding
from qasid.hookspecs import HOOKS

SERVICE, COUNTRY = "acme", "SA"
PRICE: Final = qasid.Money("0.5", "USD")
CODE: Final = "123456"
#: "Your verification code is 123-456", with Persian digits in an Arabic text.
TEXT: Final = "رمز التحقق الخاص بك هو ۱۲۳-۴۵۶"
TO: Final = "+989121112233"


def check(condition: object, words: str) -> None:
    """Show what is so; end with an error where it is not."""
    if not condition:
        raise RuntimeError(f"NOT so: {words}")
    print(f"  ok  {words}")


def title(words: str) -> None:
    print(f"\n{words}")


# The emulator, in a process of its own, and its back doors.


@contextlib.contextmanager
def emulator() -> Iterator[dict[str, Any]]:
    """Where it listens, the settings that get in, and the address of its back doors."""
    options = ["--port", "0", "--json", "--deliver-after", "1", "--text", TEXT]
    command = [sys.executable, "-m", "qasid.cli", "emulate", "smsarab", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            line = process.stdout.readline() if process.stdout else b""
            check(line.startswith(b"{"), "SMSArab's emulator is there, as a process of its own")
            yield json.loads(line)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            process.kill()  # nothing, where it has ended


def back_door(control: str, door: str, **members: Any) -> Any:
    """Knock at a back door, which no provider has: post the members, or get what there is."""
    body = json.dumps(members).encode() if members else None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{control}/{door}", body, timeout=10) as reply:
        return json.loads(reply.read())


def kept_books(control: str) -> qasid.Money:
    """The account's credit as the emulator itself knows it."""
    books = back_door(control, "balance")
    return qasid.Money(str(books["amount"]), books["currency"])


# The same twice: with blocking calls, and with `await`.


def rent(settings: dict[str, Any], control: str, rentals: qasid.Rentals) -> None:
    with qasid.connect("smsarab", rentals=rentals, **settings) as account:
        before = account.balance()
        check(before == kept_books(control), f"the balance is {before}")
        (offer,) = account.offers(SERVICE, COUNTRY)
        check(offer.price == PRICE, f"{offer.service} in {offer.country} costs {offer.price}")
        with account.rent(SERVICE, COUNTRY, max_price=PRICE) as activation:
            check_rented(activation, rentals)
            began = time.monotonic()
            message = account.wait_for_sms(activation, timeout=20)
            check_message(message, account.info, time.monotonic() - began)
        check_released(activation, control, rentals)
        check_paid(before, account.balance(), control)


async def rent_async(settings: dict[str, Any], control: str, rentals: qasid.Rentals) -> None:
    async with qasid.connect_async("smsarab", rentals=rentals, **settings) as account:
        before = await account.balance()
        check(before == kept_books(control), f"the balance is {before}")
        (offer,) = await account.offers(SERVICE, COUNTRY)
        check(offer.price == PRICE, f"{offer.service} in {offer.country} costs {offer.price}")
        async with account.rent(SERVICE, COUNTRY, max_price=PRICE) as activation:
            check_rented(activation, rentals)
            began = time.monotonic()
            message = await account.wait_for_sms(activation, timeout=20)
            check_message(message, account.info, time.monotonic() - began)
        check_released(activation, control, rentals)
        check_paid(before, await account.balance(), control)


def check_rented(activation: qasid.Activation, rentals: qasid.Rentals) -> None:
    written = [rental.activation for rental in rentals.current(now=datetime.now(UTC))]
    check(activation.number.startswith("+966"), f"rented {activation.number}")
    check(activation.cost == PRICE, f"it cost {activation.cost}")
    check([activation] == written, "it is in the book of rentals")
    check(qasid.Activation.load(activation.dump()) == activation, "it would survive a restart")


def check_message(message: qasid.InboundMessage, info: qasid.ProviderInfo, waited: float) -> None:
    step = info.poll_interval.total_seconds()
    check(message.text == TEXT, f"a message came: {message.text}")
    check(message.code == CODE, f"its code is {message.code}")
    check(waited > step - 0.1, f"that took {waited:.1f} s: SMSArab is asked every {step:g} s")


def check_released(activation: qasid.Activation, control: str, rentals: qasid.Rentals) -> None:
    books = {each["id"]: each["state"] for each in back_door(control, "activations")}
    check(books[activation.id] == "CANCELLED", f"{activation.number} was released")
    check(not rentals.current(now=datetime.now(UTC)), "nothing is left in the book")


def check_paid(before: qasid.Money, after: qasid.Money, control: str) -> None:
    check(after == before - PRICE == kept_books(control), f"the balance is {after}: paid once")


# The sandbox, which is in this process.


def send() -> None:
    with qasid.connect("sandbox") as account:
        receipt = account.send(qasid.TextMessage(to=TO, text="سلام! Your parcel is here."))
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
        check({"balance", "acquire_number"} <= {*able}, f"{name}: {', '.join(able)}")


def run(folder: Path) -> None:
    rentals = qasid.Rentals(folder / "rentals.sqlite3")
    with contextlib.closing(rentals), emulator() as told:
        settings, control = told["settings"], told["control"]
        back_door(control, "stock", service=SERVICE, country=COUNTRY, count=2)
        title(f"SMSArab at {told['url']}, with blocking calls (requests)")
        rent(settings, control, rentals)
        title(f"SMSArab at {told['url']}, with await (aiohttp)")
        asyncio.run(rent_async(settings, control, rentals))
    title("The sandbox, in this process")
    send()


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
            title("An emulator")
            run(Path(name))
        finally:
            os.chdir(home)
    print(f"\nAll of it was so, in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
