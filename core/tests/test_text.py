"""Digits, codes and segments: what a message's text gives."""

from __future__ import annotations

import itertools
import re
import time
import unicodedata
from typing import Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid.codes import find_code
from qasid.text import Segments, ascii_digits, segments

SCRIPTS: Final = {
    "Latin": "0123456789",
    "Persian": "۰۱۲۳۴۵۶۷۸۹",
    "Arabic": "".join(chr(0x660 + digit) for digit in range(10)),
    "Devanagari": "".join(chr(0x966 + digit) for digit in range(10)),
    "full width": "".join(chr(0xFF10 + digit) for digit in range(10)),
}


def written(digits: str, script: str) -> str:
    return digits.translate(str.maketrans(SCRIPTS["Latin"], SCRIPTS[script]))


class TestAsciiDigits:
    @pytest.mark.parametrize("script", SCRIPTS)
    def test_digits_of_every_script_become_ascii(self, script: str) -> None:
        """Ten digits of any script read the same."""
        assert "0123456789" == ascii_digits(written("0123456789", script))

    def test_everything_else_stays(self) -> None:
        """Letters, marks and numbers that are no decimal digits are left as they are."""
        text = "کد: ½ ² Ⅷ ① \u200f x\n"
        assert text == ascii_digits(text)

    @given(st.text())
    def test_only_decimal_digits_change(self, text: str) -> None:
        """Each character gives itself, or the digit that Unicode says it is."""
        expected = "".join(str(unicodedata.decimal(char, char)) for char in text)
        assert expected == ascii_digits(text)

    @given(st.text())
    def test_a_second_time_changes_nothing(self, text: str) -> None:
        """What has been read once is plain already."""
        once = ascii_digits(text)
        assert once == ascii_digits(once)


ENGLISH: Final = [
    ("Your code is 482913", "482913"),
    ("Your code is 2024", "2024"),
    ("Welcome to Acme 2024! Your code: 2023", "2023"),
    ("123456", "123456"),
    ("Acme 482913", "482913"),
    ("code1234", "1234"),
    ("PIN: 123", "123"),
    ("123 is your code", "123"),
    ("2024 is your code", "2024"),
    ("Passcode 1234567890", "1234567890"),
    ("Acme: Your security code is 0042. Do not share it.", "0042"),
    ("G-482913 is your Acme verification code.", "482913"),
    ("123-456 is your code", "123456"),
    ("Your code: 123 456. Valid for 10 minutes", "123456"),
    ("Your code: 482\u2011913", "482913"),
    ("Your code: 482\u00a0913", "482913"),
    ("code 1234-5678", "12345678"),
    ("*482913* is your code", "482913"),
    ("Your code is 482913.Don't share it", "482913"),
    ("<#> Your Acme code is: 482913\nFA+9qCX9VSu", "482913"),
    ("Your verification code is below.\n\n482913\n\nIt expires in 600 seconds", "482913"),
    ("482913\nis your verification code", "482913"),
    ("Your code\r\n4821\r\n", "4821"),
    ("Use 482913 as your Acme login code. It expires in 5 min.", "482913"),
    ("Valid for 300 seconds: your password is 556677", "556677"),
    ("Code 482-913 expires at 14:05", "482913"),
    ("Your order 884213 has shipped. Code 4821", "4821"),
    ("Your code for order 8841 is 4821", "4821"),
    ("code: 4821, tracking 7741203", "4821"),
    ("Tracking 7741203, code: 4821", "4821"),
    ("Ref 77123: use code 4821 to confirm payment of 50,000 Toman", "4821"),
    ("Your Acme account: 482913 is your security code", "482913"),
    ("Never share this code. Call 8001234567 if this was not you. Code: 771204", "771204"),
    ("Acme code 482913. Call 1-800-555-0199", "482913"),
    ("Your one-time PIN for payment of SAR 1,250.50 to card ending 4417 is 90218.", "90218"),
    ("OTP is 482913 for 12345.00 INR at Acme on card ending 1234 till 12:30", "482913"),
    ("Dear customer, 482913 is the OTP for a payment of Rs. 5000", "482913"),
    ("OTP 4821 SAR 250.00 at Acme", "4821"),
    ("Code is 4821 $5 off next time", "4821"),
    ("Pay £4821 or €9912 with code 7731", "7731"),
    ("https://acme.example/r/884213 your code 4821", "4821"),
    ("Mail help2024@acme.example or see acme.example/771204, code 4821", "4821"),
    ("Your code 4821 @acme.example #4821", "4821"),
]

PERSIAN: Final = [
    ("کد تأیید شما: ۱۲۳۴۵\nلغو۱۱", "12345"),
    ("کد\u200cتأیید ۱۲۳۴۵", "12345"),
    ("کد ورود شما به نمونه: ۰۰۴۲\nاین کد تا ۵ دقیقه معتبر است.", "0042"),
    ("کد فعال\u200cسازی شما در نمونه ۴۸۲۱۳ می\u200cباشد", "48213"),
    ("۱۲۳۴۵ کد ورود شما به نمونه است. اعتبار: ۲ دقیقه", "12345"),
    ("کد شما ۱۲۳۴ است و تا ۱۸۰ ثانیه اعتبار دارد", "1234"),
    ("کد۱۲۳۴", "1234"),
    ("رمز:۱۲۳۴۵۶", "123456"),
    ("کد: ۱۲۳۴ روز خوش", "1234"),
    ("کد شما ۴۸۲۱ ساعت ۱۲:۳۰", "4821"),
    ("رمز یکبار مصرف شما: ۷۷۴۱۲۰\nمبلغ: ۲٬۵۰۰٬۰۰۰ ریال\nکارت: ****۴۴۱۷", "774120"),
    ("خرید\nمبلغ:1,250,000\nرمز 48213957\nزمان انقضا 12:45:10", "48213957"),
    ("خرید مبلغ 2500000 ریال رمز پویا ۴۸۲۱۳۹۵", "4821395"),
    ("رمز دوم: 774120 مبلغ 1500000 تومان ساعت 12:30 تاریخ 1403/05/06", "774120"),
    ("کد پیگیری: ۷۷۴۱۲۰۳ رمز: ۴۸۲۱", "4821"),
    ("كد شما (حروف عربي): ۴۸۲۱", "4821"),
]

ARABIC: Final = [
    ("رمز التحقق الخاص بك هو 048213. صالح لمدة 10 دقائق", "048213"),
    ("\u202bرمز التحقق: \u200f\u202a048213\u202c\u202c", "048213"),
    ("رَمْز التَّحَقُّق: 4821", "4821"),
    ("عزيزي العميل، كود التفعيل: ٧٧٤١٢٠ لا تشاركه مع أحد", "774120"),
    ("استخدم ٧٧٤١٢٠ لتسجيل الدخول. صالح لمدة ١٢٠ ثانية", "774120"),
    ("٤٨٢١ هو رمز التأكيد الخاص بك", "4821"),
    ("مبلغ الشراء ١٬٢٥٠ ر.س من بطاقتك ****4417 رمز التحقق: 90218", "90218"),
    ("مبلغ الشراء 1250 ريال رمز الشراء 90218", "90218"),
]

OTHERS: Final = [
    ("验证码482913，5分钟内有效", "482913"),
    ("Ваш код 4821", "4821"),
    ("Su código es 4821", "4821"),
    ("Ihr Code lautet 482913", "482913"),
]

BOUND: Final = [
    ("Your code is 111111.\n\n@acme.example #482913", "482913"),
    ("4821 is your code\n@acme.example #x7K9q2", "x7K9q2"),
    ("کد ۱۱۱۱\n@acme.example #۴۸۲۱", "4821"),
    ("Code 1111\r\n@shop.acme.example:8443 #4821 %frame.example\r\n", "4821"),
    ("@first.example #1111\n\u200e@second.example #2222\u200e", "2222"),
    ("Your code is 4821\n@acme.example", "4821"),
    ("Your code is 4821\n@somebody #hashtag", "4821"),
]

NO_CODE: Final = [
    "",
    "Hello",
    "Your code is on its way",
    "12",
    "2024",
    "Thanks for calling 0912 111 2233 in 2024",
    "Thanks for 2024",
    "Code valid until 2025",
    "Your code was sent on 20 May 2024",
    "May 20, 2024: your code was used",
    "Order #88412 confirmed 2024-05-06 12:30. Total $1,299",
    "Your appointment is on 12/05/2024 at 10:30. Call 011 465 1234",
    "50% off! Use promo SAVE2024 before 31.12.2024",
    "In 2024 we grew by 4500 percent",
    "Your code is valid for 300 seconds",
    "Call +966 50 123 4567 or +966501234567 or 00966501234567 for the code",
    "Acme (555) 123-4567, 555-123-4567",
    "If you did not ask, call 0501234567",
    "Room 482 is ready",
    "123456789 points",
    "Dial *123*4567# now",
    "Your balance is 4821",
    "Card ****4417 was charged 250 USD",
    "www.acme.example/482913 or https://acme.example/?code=482913",
    "Item a4821b",
    "واریز ۲۵۰۰۰۰۰ ریال به حساب ۸۸۴۱۲۰۳۳ مانده ۱۲۵۰۰۰۰۰",
    "مبلغ ۲۵۰۰۰۰ تومان و ٪۵۰۰ تخفیف",
    "با تشکر از تماس شما با ۰۲۱-۸۸۴۴۱۲۰۰ در سال ۱۴۰۳",
    "کد ملی شما ۰۰۱۲۳۴۵۶۷۸ ثبت شد",
    "تم شحن طلبك رقم 884120. للاستفسار اتصل 920000123",
    "رقم الطلب ٨٨٤٢١٣",
    "الرصيد 4821 دينار",
]

TEMPLATES: Final = [
    "Your code is {}",
    "{} is your Acme verification code. Valid for 10 minutes.",
    "G-{} is your code",
    "Acme: use {} as your password for SAR 1,250.00 at 12:30 on 2024-05-06",
    "Order 88412: your passcode is {}. Call +966501234567",
    "کد تأیید شما: {}\nاعتبار: ۵ دقیقه\nلغو۱۱",
    "مبلغ ۲۵۰٬۰۰۰ ریال\nرمز: {}\nساعت ۱۲:۳۰",
    "رمز التحقق الخاص بك هو {}. صالح لمدة 10 دقائق",
    "\u202bكود التفعيل: \u202a{}\u202c\u202c",
]

CODES: Final = st.text("0123456789", min_size=4, max_size=8)

#: Texts with all that find_code looks at, in any order.
PIECES: Final = st.lists(
    st.sampled_from([*"0123456789 -.,:/*#@%+$\n", "code", "رمز", "کد", "SAR ", "۱۲", "a.io", "⟦"])
).map("".join)

#: Pieces that, repeated, keep the patterns busy.
NUMBERS: Final = ["1", "1 ", "1,", "12-", "+1 ", "1*", "%1", "(12) ", "1234 ", "123 456 ", "0 "]
WORDS: Final = ["a", "a.", "a-.", "a+", "@a.", "@a.b #", "code ", "سلام ", *"۱*$.⟦\n "]


class TestFindCode:
    @pytest.mark.parametrize(("text", "code"), ENGLISH + PERSIAN + ARABIC + OTHERS)
    def test_the_code_is_found(self, text: str, code: str) -> None:
        """The code is given, whatever other numbers stand beside it."""
        assert code == find_code(text)

    @pytest.mark.parametrize(("text", "code"), BOUND)
    def test_a_line_that_binds_the_code_to_a_domain_wins(self, text: str, code: str) -> None:
        """The last `@domain #code` line is believed; what only looks like one is not."""
        assert code == find_code(text)

    @pytest.mark.parametrize("text", NO_CODE)
    def test_a_text_without_a_plausible_code_gives_none(self, text: str) -> None:
        """Prices, phones, dates, orders and the like are no codes."""
        assert find_code(text) is None

    @given(CODES, st.sampled_from(TEMPLATES), st.sampled_from(sorted(SCRIPTS)))
    def test_any_code_is_found_in_any_script(self, code: str, template: str, script: str) -> None:
        """A code of 4 to 8 digits, a year's or not, is found with its leading zeros."""
        assert code == find_code(template.format(written(code, script)))

    @given(st.text("0123456789", min_size=3, max_size=10), st.sampled_from(sorted(SCRIPTS)))
    def test_a_code_word_allows_three_to_ten_digits(self, code: str, script: str) -> None:
        """Unusual lengths are read where a code word stands right before."""
        assert code == find_code(f"Your code: {written(code, script)}")

    @given(st.from_regex(r"[0-9A-Za-z]{1,12}", fullmatch=True), st.text())
    def test_a_bound_code_is_given_unchanged(self, code: str, before: str) -> None:
        """Letters and their case stay, whatever stands above."""
        assert code == find_code(f"{before}\n@acme.example #{code}")

    @given(st.text() | PIECES)
    def test_the_result_is_plain_or_nothing(self, text: str) -> None:
        """No text raises; a result is ASCII digits, or the letters and digits of a bound code."""
        code = find_code(text)
        pattern = r"[0-9A-Za-z]{1,64}" if "@" in text else r"[0-9]{3,10}"
        assert code is None or re.fullmatch(pattern, code)

    @given(CODES, st.text("\u200e\u200f\u202a\u202b\u202c\u2066\u2069\ufeff"))
    def test_direction_marks_do_not_matter(self, code: str, marks: str) -> None:
        """Marks around and within the code are not seen."""
        text = f"رمز التحقق: {marks}{code[:2]}{marks}{code[2:]}{marks}"
        assert code == find_code(text)

    def test_only_the_first_200_numbers_are_weighed(self) -> None:
        """A text of hundreds of numbers is no message; its end is not read."""
        assert find_code("order 8841\n" * 200 + "code 4821") is None

    @pytest.mark.parametrize("piece", NUMBERS + WORDS)
    def test_a_huge_text_takes_no_more_than_linear_time(self, piece: str) -> None:
        """100,000 characters of one piece take well under two seconds on a slow machine."""
        text = piece * (100_000 // len(piece))
        start = time.process_time()
        find_code(text)
        assert time.process_time() - start < 2


SEGMENTS: Final = [
    ("", Segments("GSM-7", 0, 1, 160)),
    ("a", Segments("GSM-7", 1, 1, 160)),
    ("a" * 160, Segments("GSM-7", 160, 1, 160)),
    ("a" * 161, Segments("GSM-7", 161, 2, 153)),
    ("a" * 306, Segments("GSM-7", 306, 2, 153)),
    ("a" * 307, Segments("GSM-7", 307, 3, 153)),
    ("@£Δ_\r\n", Segments("GSM-7", 6, 1, 160)),
    ("€[]{}\\^~|\f", Segments("GSM-7", 20, 1, 160)),
    ("€" * 80, Segments("GSM-7", 160, 1, 160)),
    ("a" * 159 + "€", Segments("GSM-7", 161, 2, 153)),
    ("سلام", Segments("UCS-2", 4, 1, 70)),
    ("ا" * 70, Segments("UCS-2", 70, 1, 70)),
    ("ا" * 71, Segments("UCS-2", 71, 2, 67)),
    ("ا" * 134, Segments("UCS-2", 134, 2, 67)),
    ("ا" * 135, Segments("UCS-2", 135, 3, 67)),
    ("\U0001f600", Segments("UCS-2", 2, 1, 70)),
    ("\U0001f600" * 35, Segments("UCS-2", 70, 1, 70)),
    ("`", Segments("UCS-2", 1, 1, 70)),
    ("ç", Segments("UCS-2", 1, 1, 70)),
]

#: Texts around the borders: long ones of one kind, with a few others strewn in.
LONG: Final = st.builds(
    lambda text, more, times: text * times + more,
    st.text("aé€[اگ\U0001f600\n", max_size=8),
    st.text("ab€ا\U0001f600", max_size=4),
    st.integers(0, 60),
)


class TestSegments:
    @pytest.mark.parametrize(("text", "expected"), SEGMENTS)
    def test_a_text_is_counted_as_operators_do(self, text: str, expected: Segments) -> None:
        """160 and 153 septets, 70 and 67 code units, at and beside each border."""
        assert expected == segments(text)

    def test_an_escape_and_its_character_stay_together(self) -> None:
        """152 + 2 septets do not fit into 153, so 306 septets take three segments."""
        assert Segments("GSM-7", 306, 3, 153) == segments("a" * 152 + "€" + "a" * 152)

    def test_a_surrogate_pair_stays_together(self) -> None:
        """66 + 2 code units do not fit into 67, so 134 units take three segments."""
        text = "ا" * 66 + "\U0001f600" + "ا" * 66
        assert Segments("UCS-2", 134, 3, 67) == segments(text)

    def test_the_default_alphabet_is_the_whole_one(self) -> None:
        """127 characters (the escape is none), and ten more by escape."""
        plain = [char for char in map(chr, range(0x10000)) if segments(char).encoding == "GSM-7"]
        assert [1] * 127 + [2] * 10 == sorted(segments(char).units for char in plain)

    def test_segments_are_frozen(self) -> None:
        """A count cannot be changed by mistake."""
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            segments("a").count = 2  # type: ignore[misc]

    @given(st.text() | LONG)
    def test_units_are_those_of_the_encoding(self, text: str) -> None:
        """Under UCS-2, units are the pairs of bytes of UTF-16."""
        result = segments(text)
        pairs = len(text.encode("utf-16-be", "surrogatepass")) // 2
        assert result.encoding == "GSM-7" or pairs == result.units

    @given(st.text() | LONG)
    def test_the_count_is_as_small_as_it_can_be(self, text: str) -> None:
        """All units find room, and each segment but the last has at most one unit to spare."""
        result = segments(text)
        least = (result.count - 1) * (result.per_segment - 1)
        assert least <= result.units <= result.count * result.per_segment

    @given(LONG)
    def test_a_longer_text_never_takes_fewer_segments(self, text: str) -> None:
        """Each character that is added keeps the count or raises it."""
        counts = [segments(text[:length]).count for length in range(len(text) + 1)]
        assert all(one <= next_one for one, next_one in itertools.pairwise(counts))
