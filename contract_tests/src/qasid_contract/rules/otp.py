"""One-time passwords: digits are text, a wrong one is a verdict, and an old one is nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st

from qasid.account import Account
from qasid.errors import InvalidRequest
from qasid.values import OtpTicket
from qasid_contract.case import Case
from qasid_contract.rulebook import rule

_LATE: Final = timedelta(minutes=1)  # providers count in whole minutes
_PERSIAN: Final = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


def _asked(case: Case, account: Account, **order: Any) -> tuple[OtpTicket, str] | None:
    """The ticket and the code that went to the phone; None where the order was refused."""
    before = len(case.emulator.outbox())
    try:
        ticket = account.otp(case.contract.recipient, **order)
    except InvalidRequest:
        assert before == len(case.emulator.outbox()), "refused, but a code was sent"
        return None
    assert before + 1 == len(case.emulator.outbox()), "accepted, but not one code was sent"
    code = case.emulator.outbox()[-1].code
    assert code is not None, "the emulator's outbox does not tell the code"
    return ticket, code


@rule("OTP-1", needs={"otp"})
def leading_zeros_are_digits(case: Case) -> None:
    """A code's leading zeros are in what is sent, in the ticket and in the verification.

    Troubleshooting: codes are text on our side. Where the provider's are JSON numbers, refuse a
    code of your own that begins with 0 (`InvalidRequest`), and fill up what comes back with zeros
    to the length that was asked for.
    """
    account = case.account()
    for order in ({"code": "0042"}, {"length": 4}, {}):
        asked = _asked(case, account, **order)
        if asked is None:
            assert order, "not even a code of the provider's own making is sent"
            continue
        ticket, sent = asked
        assert sent == order.get("code", sent), "the code that was sent is another one"
        assert ticket.code in {None, sent}, "the ticket's code is not the one that was sent"
        if "verify_otp" in case.implemented:
            assert account.verify_otp(ticket.to, sent).accepted, "the code that was sent is wrong"


@rule("OTP-2", needs={"otp", "verify_otp"})
def a_wrong_code_is_a_verdict(case: Case) -> None:
    """The right code is accepted, in any script's digits; any other is a verdict and no error.

    Troubleshooting: give `OtpVerdict(accepted=False)` for everything that the provider says about
    the code itself, rubbish included. Errors are for when nothing is known: a bad key, an outage.
    """
    account, to = case.account(), case.contract.recipient
    for wrong in (_other(case.issued(account)), "abcdef", "", "0" * 40):
        assert account.verify_otp(to, wrong).accepted is False, "a wrong code is accepted"
    assert account.verify_otp(to, case.issued(account)).accepted, "the right code is refused"
    persian = case.issued(account).translate(_PERSIAN)
    assert account.verify_otp(to, persian).accepted, "Persian digits are refused"


def _other(code: str) -> str:
    """A code of the same length that differs in each digit."""
    return "".join(str(int(digit) % 9 + 1) for digit in code)


@rule("OTP-3", needs={"otp", "verify_otp"})
def an_old_code_is_refused(case: Case) -> None:
    """A code is not accepted after the end that the ticket tells, else the one that was asked for.

    Troubleshooting: pass `order.lifetime` on in the provider's unit, and take `expires_at` from the
    reply. If the provider alone decides how long a code lives, tell what it decides.
    """
    account, lifetime = case.account(), timedelta(minutes=2)
    asked = _asked(case, account, lifetime=lifetime)
    if asked is None:  # it has lives of its own
        asked = _asked(case, account)
        lifetime = timedelta(minutes=5)
    assert asked is not None, "not even a code with the default lifetime is sent"
    ticket, code = asked
    told = None if ticket.expires_at is None else ticket.expires_at - case.clock.now()
    case.advance(max(told or lifetime, timedelta()) + _LATE)
    assert account.verify_otp(ticket.to, code).accepted is False, "an old code is accepted"


@rule("OTP-4", needs={"otp"})
def the_length_is_what_was_asked_for(case: Case) -> None:
    """A made code has as many digits as were asked for, or the order is refused.

    Troubleshooting: pass `order.length` on. Where the provider makes codes of one length alone,
    raise `InvalidRequest` for every other, before the request.
    """
    account = case.account()
    for length in range(4, 9):
        asked = _asked(case, account, length=length)
        assert asked is None or length == len(asked[1]), f"not {length} digits"


@rule("OTP-5", needs={"otp"}, examples=True)
def own_codes_arrive_unchanged(case: Case) -> None:
    """Any code of one's own of 3 to 8 digits arrives unchanged, or is refused and does not.

    Troubleshooting: pass `order.code` on as it is. A code that the provider would cut, fill up or
    replace is `InvalidRequest` before the request. (Leading zeros are another rule's.)
    """
    case.fund()
    account = case.account()

    def arrives(code: str) -> None:
        asked = _asked(case, account, code=code)
        assert asked is None or code == asked[1], f"the code {code} went as {asked[1]}"

    case.effort.for_all(arrives, st.integers(100, 99_999_999).map(str))
