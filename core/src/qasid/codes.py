"""The code in the text of a message. Its patterns take long to build: import it when one is due.

First the numbers that can never be a code are taken out, then each number that is left collects
points for and against it, and the first with the most points wins.
"""

from __future__ import annotations

import itertools
import re
from typing import Final, NamedTuple

from qasid.text import ascii_digits

__all__ = ["find_code"]


def find_code(text: str) -> str | None:
    """The verification code in a message's text, or None where there is no plausible one.

    Gives ASCII digits, leading zeros kept, from Latin, Persian, Arabic or other decimal digits;
    ``123-456``, ``123 456`` and ``G-123456`` give ``123456``. A last line such as
    ``@example.com #a1b2c3`` is meant for machines and wins over all else, letters included.

    A code has 4 to 8 digits, or 3 to 10 where a word such as "code", "PIN" or "رمز" is near.
    Prices, phone numbers, dates, times, durations, percentages and addresses are never codes; a
    year or an order number only where the text says so ("your code is 2024"). Of very long texts
    the first 200 numbers are weighed. Takes time linear in the length of the text.
    """
    plain = ascii_digits(text).translate(_INVISIBLE)
    return _bound_code(plain) or _best_code(_NEVER.sub(" 0 ", plain.translate(_FOLDED).lower()))


_INVISIBLE: Final = {
    **dict.fromkeys([0xAD, 0x61C, 0x640, 0x180E, 0xFEFF]),  # soft hyphen, tatweel and marks
    **dict.fromkeys(range(0x200D, 0x2010)),  # joiner, direction marks
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2060, 0x206A)]),  # embedding and isolation
    **dict.fromkeys(range(0x64B, 0x653)),  # Arabic vowel signs
    **dict.fromkeys([0x200B, 0x200C], " "),  # zero-width space and non-joiner part words
}

#: One spelling for the letters that Arabic and Persian keyboards write differently, one dash, one
#: space. The two brackets mark a candidate below, so they cannot come from the text.
_FOLDED: Final = (
    str.maketrans("كيىئأإآٱؤةۀ", "کیییااااوهه")
    | dict.fromkeys([0xA0, 0x2007, 0x2009, 0x202F, 0x27E6, 0x27E7], " ")
    | dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-")
)

_BOUND_CODE: Final = re.compile(
    r"@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}(?::[0-9]{1,5})? #([0-9A-Za-z]{1,64})(?: %\S*)?\s*"
)


def _bound_code(text: str) -> str | None:
    """The code of the last line that binds one to a domain."""
    found = (_BOUND_CODE.fullmatch(line) for line in reversed(text.splitlines()))
    return next((match[1] for match in found if match), None)


_LETTER: Final = r"[^\W\d_]"


def _word(*choices: str) -> str:
    """A pattern for any of these as a whole word; digits may touch it, letters may not."""
    return rf"(?<!{_LETTER})(?:{'|'.join(choices)})(?!{_LETTER})"


_SIGN: Final = r"[$£€¥₹﷼]"
_CURRENCY: Final = rf"(?:{_SIGN}|{_word('usd|sar|irr|irt|aed|eur|gbp|inr|rs|ریال|درهم|ر[.]س')})"
_UNIT: Final = _word(
    "usd|dollars?|euros?|pounds?|rials?|riyals?|tomans?|dirhams?",
    "تومان|تومن|دلار|دولار|دینار|یورو|جنیه|هزار|میلیون|percent|درصد",
)
_SPAN: Final = _word(
    "seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|months?|years?",
    "ثانیه|دقیقه|ساعت|روز(?! (?:خوش|خوب|بخیر))|هفته|ماه|ثوانی?|دقایق|ساعه|ساعات|یوم|ایام|اشهر",
)

#: What is never a code, by what it is. Every repetition has an end or cannot begin twice in one
#: run, which keeps the time linear.
_NEVER_TABLE: Final = {
    "address": r"(?:https?://|www\.)\S+"
    r"|(?<![\w.-])(?:[a-z0-9-]{1,63}\.){1,8}(?:[a-z]{2,24}/\S*|(?:com|net|org|ir|sa)(?!\w))",
    "e-mail": r"(?<![\w.+-])[\w.+-]{1,64}@[\w.-]+",
    "price, currency first": rf"{_CURRENCY}[.:]? ?\d[\d,.\u066b\u066c]{{0,20}}",
    "price, currency last": rf"(?<!\d)\d[\d,.\u066b\u066c]{{0,20}} ?"
    rf"(?:{_CURRENCY}(?! ?\d)|{_UNIT})",
    "date": r"(?<!\d)\d{1,4}([/.-])\d{1,2}\1\d{1,4}(?!\d)",
    "time": r"(?<!\d)\d{1,2}:\d{2}(?::\d{2})?(?!\d)",
    "duration": rf"(?<!\d)(?:\d{{1,3}} ?- ?)?\d{{1,4}}[ -]?{_SPAN}(?! ?\d)",
    "percentage": r"(?<!\d)\d[\d.,\u066b]{0,10} ?[%٪]|[%٪] ?\d{1,3}(?!\d)",
    "phone abroad": r"(?:\+|(?<!\d)00)\d{1,4}(?:[ ()-]{1,2}\d{1,4}){2,5}(?!\d)|\+\d+",
    "phone at home": r"(?<!\d)0\d{1,3}(?:[ -]\d{7,8}|(?:[ -]\d{2,4}){2,4})(?!\d)"
    r"|\(\d{2,4}\) ?\d{3}[ -]?\d{4}(?!\d)|(?<!\d)\d{3}[ -]\d{3}[ -]\d{4}(?!\d)",
    "partly hidden": r"(?<!\d)\d{1,12}\*+\d{1,12}|(?<!\*)\*{2,32}\d{1,12}(?![\d*])",
    "fraction or thousands": r"(?<!\d)\d+(?:[.,\u066b\u066c]\d+)+",
    "long number": r"(?<!\d)\d{11,}",
}
_NEVER: Final = re.compile("|".join(_NEVER_TABLE.values()))

_CANDIDATE: Final = re.compile(
    r"(?<!\d)(?:(?<!\d[ -])(?:\d{3}[ -]\d{3}|\d{4}[ -]\d{4})(?![ -]?\d)|\d{3,10}(?!\d))"
)
_MAX_CANDIDATES: Final = 200

_CODE: Final = _word(
    "(?:pass)?codes?|otp|pin|password|passwort|verification|código|codigo|код|kod",
    "(?:و?ب?ال|لل|ب)?رمز(?:ک|کم|ت|تان)?|کد(?:ت|تان)?|(?:ال)?کود(?:ک|کم)?",
    "تایید|(?:ال)?تحقق|(?:ال)?تاکید|(?:ال)?تفعیل|گذرواژه|کلمه (?:عبور|المرور|السر)",
)
_CODE_CJK: Final = "验证码|驗證碼"  # written without spaces, so no whole words
_ANY_CODE: Final = f"(?:{_CODE}|{_CODE_CJK})"
_HINT: Final = _word(
    "use|enter|verify|confirm|log ?in|sign ?in|activate|ورود|وارد|استخدم|ادخل|تسجیل|الدخول"
)
_OTHER: Final = _word(
    "order|ord|invoice|ref|reference|tracking|booking|ticket|receipt|transaction|txn|card|ending",
    "account (?:no|number|ending)|amount|balance|total|call|phone|tel|stop|zip|postal|discount",
    "promo|coupon|voucher|flight|room|سفارش|پیگیری|فاکتور|مبلغ|موجودی|مانده|کارت|حساب|تماس|تلفن",
    "لغو|قبض|پستی|ملی|تخفیف|(?:ال)?(?:طلب|فاتوره|مبلغ|رصید|بطاقه|هاتف|شحنه|تتبع)|طلبک|اتصل|رصیدک",
)
#: 1950 to 2049; 1350 to 1469 is the same in the Persian calendar and in the Hijri one.
_YEAR: Final = r"⟦(?:19[5-9]\d|20[0-4]\d|13[5-9]\d|14[0-6]\d)⟧"
_MONTH: Final = rf"{_LETTER}{{3,10}}"

#: Points for and against a candidate, which stands as ⟦1234⟧ in its sentence.
_REASONS: Final = tuple(
    (points, re.compile(pattern))
    for points, pattern in [
        (+8, rf"{_ANY_CODE}[^\d⟦]{{0,16}}⟦"),  # "code is 1234"
        (+4, rf"{_ANY_CODE}.*⟦"),  # "code for the shop of Acme is 1234"
        (+3, rf"⟧.*{_ANY_CODE}"),  # "1234 is your code"
        (+2, _HINT),  # "use 1234 to log in"
        (+2, r"⟦\d{6}⟧"),  # the usual length
        (+1, r"⟦\d{4,8}⟧"),
        (-3, r"[a-z_]⟦|⟧[a-z_]"),  # "a1234": part of a name
        (-3, r"⟦0\d{9}⟧"),  # a mobile at home
        (-3, _YEAR),  # "thank you for 2024"
        (-6, rf"(?:\d{{1,2}} {_MONTH}|{_MONTH} \d{{1,2}}),? {_YEAR}"),  # "20 May 2024"
        (-14, rf"(?:©|{_word('in|until|since|سال|عام|سنه')}) ?{_YEAR}"),
        (-12, rf"{_OTHER}[^\d⟦]{{0,10}}⟦"),  # "order #1234", "promo code 1234"
        (-99, rf"^(?!.*{_ANY_CODE}).*⟦(?:\d{{3}}|\d{{9,10}})⟧"),  # unusual, and no word for it
    ]
)

_REACH: Final = 48  # characters of context on either side
_SENTENCE_END: Final = re.compile(r"[\r\n]|[.!?؟;]\s")


class _Candidate(NamedTuple):
    digits: str
    points: int


def _best_code(text: str) -> str | None:
    found = itertools.islice(_CANDIDATE.finditer(text), _MAX_CANDIDATES)
    weighed = (_weighed(text, match) for match in found)
    best = max(weighed, key=lambda it: it.points, default=_Candidate("", 0))
    return best.digits if best.points > 0 else None


def _weighed(text: str, match: re.Match[str]) -> _Candidate:
    digits = match[0].replace(" ", "").replace("-", "")
    sentence = f"{_before(text, match.start())}⟦{digits}⟧{_after(text, match.end())}"
    return _Candidate(digits, sum(points for points, why in _REASONS if why.search(sentence)))


def _before(text: str, end: int) -> str:
    """The sentence up to the candidate; a line end right before it parts nothing."""
    reach = text[max(0, end - _REACH) : end]
    kept = reach.rstrip()
    return _SENTENCE_END.split(kept)[-1] + " " * (len(kept) < len(reach))


def _after(text: str, start: int) -> str:
    reach = text[start : start + _REACH]
    kept = reach.lstrip()
    return " " * (len(kept) < len(reach)) + _SENTENCE_END.split(kept)[0]
