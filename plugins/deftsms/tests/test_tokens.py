"""Tokens are those of the document, to the letter, in both of its forms."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, Final

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid_deftsms.emulator import DeftSMSEmulator
from qasid_deftsms.tokens import TokenEncoding, signed

KEY: Final = "test-secret-key-0001"
HEADER: Final = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9"  # {"typ":"JWT","alg":"HS256"}

#: Computed apart from Qasid: by the steps of the PHP sample, and by RFC 7515.
VECTORS: Final[list[tuple[dict[str, Any], str, str]]] = [
    (
        {"number": "09120000000", "message": "test"},
        (
            "eyJudW1iZXIiOiIwOTEyMDAwMDAwMCIsIm1lc3NhZ2UiOiJ0ZXN0In0="
            ".rIyyLa1HmoEezbGFWBnv9O6EFLDU/pPjxPmEwKH5uGM="
        ),
        (
            "eyJudW1iZXIiOiIwOTEyMDAwMDAwMCIsIm1lc3NhZ2UiOiJ0ZXN0In0"
            ".UteL9NUKWsDzY2OT019nIiycaiuCJyw3YENomYCI0G8"
        ),
    ),
    (
        {"number": "09120000000", "message": "سلام ~~~ؿ?>"},
        (
            "eyJudW1iZXIiOiIwOTEyMDAwMDAwMCIsIm1lc3NhZ2UiOiJcdTA2MzNcdTA2NDRcdTA2MjdcdTA2NDUgfn5+"
            "XHUwNjNmPz4ifQ==.7S8ltfSeVgi0yDUwW6v7SkXQ2cZ8bW/Sg86fHxBqM94="
        ),
        (
            "eyJudW1iZXIiOiIwOTEyMDAwMDAwMCIsIm1lc3NhZ2UiOiJcdTA2MzNcdTA2NDRcdTA2MjdcdTA2NDUgfn5-"
            "XHUwNjNmPz4ifQ.gVsBg4n3PldUGBpOFGyiWl9bfQsNKSaJYrHHZUEfPjg"
        ),
    ),
    (
        {"numbers": ["09120000000", "09350000000"], "message": "hi"},
        (
            "eyJudW1iZXJzIjpbIjA5MTIwMDAwMDAwIiwiMDkzNTAwMDAwMDAiXSwibWVzc2FnZSI6ImhpIn0="
            ".qxuh14HgreTWaSgo189CxhzPrK2ygAte6IdLLvVaFqs="
        ),
        (
            "eyJudW1iZXJzIjpbIjA5MTIwMDAwMDAwIiwiMDkzNTAwMDAwMDAiXSwibWVzc2FnZSI6ImhpIn0"
            "._8HuknnXtV6XQ-qK7Ks3UOAp6i_1rqMe6Y8ETfb8y0I"
        ),
    ),
    (
        {"username": "demo-user"},
        "eyJ1c2VybmFtZSI6ImRlbW8tdXNlciJ9.rv/N3ssR9WYi7B6viEamosrztWy1v3GXfThSIKwPfNQ=",
        "eyJ1c2VybmFtZSI6ImRlbW8tdXNlciJ9.rv_N3ssR9WYi7B6viEamosrztWy1v3GXfThSIKwPfNQ",
    ),
]

payloads = st.dictionaries(st.text(max_size=9), st.text() | st.lists(st.text()), max_size=4)


@pytest.mark.parametrize(("payload", "php", "base64url"), VECTORS)
def test_a_token_is_that_of_the_vector(payload: dict[str, Any], php: str, base64url: str) -> None:
    """Byte for byte, in both forms."""
    assert f"{HEADER}.{php}" == signed(payload, KEY, "php")
    assert f"{HEADER}.{base64url}" == signed(payload, KEY, "base64url")


@pytest.mark.filterwarnings("ignore:The HMAC key is 20 bytes")
@pytest.mark.parametrize(("payload", "php", "base64url"), VECTORS)
def test_the_default_form_is_a_json_web_token(
    payload: dict[str, Any], php: str, base64url: str
) -> None:
    """As any library of them reads it."""
    assert payload == jwt.decode(f"{HEADER}.{base64url}", KEY, algorithms=["HS256"])


@given(payload=payloads)
def test_the_php_form_is_what_the_sample_computes(payload: dict[str, Any]) -> None:
    """Each part in standard base64, padded; the signature over the two first, as they stand."""
    head, body, seal = signed(payload, KEY, "php").split(".")
    assert [HEADER, payload] == [head, json.loads(base64.b64decode(body, validate=True))]
    expected = hmac.new(KEY.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
    assert base64.b64encode(expected).decode() == seal


@given(payload=payloads)
def test_the_default_form_is_safe_in_addresses_and_forms(payload: dict[str, Any]) -> None:
    """Neither plus, slash nor equals sign."""
    assert not {*"+/="} & {*signed(payload, KEY, "base64url")}


@pytest.mark.parametrize("encoding", ["php", "base64url"])
def test_a_short_key_is_no_reason_for_a_warning(encoding: TokenEncoding) -> None:
    """It is the operator's; the document's own has 20 letters."""
    key = DeftSMSEmulator.settings["secret_key"]
    assert signed({}, key, encoding).startswith(f"{HEADER}.")
