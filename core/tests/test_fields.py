"""The fields of a provider refuse what is unsafe, and show no secret."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qasid.fields import base_url, is_secret, is_unverified, secret, unverified

SECRET: Final = "hush-hush"


@attrs.frozen(eq=False, kw_only=True)
class Provider:
    """A provider's settings."""

    info: ClassVar = None
    api_key: str = secret()
    token: str = secret(default="none")
    refresh_token: str | None = secret(default=None)
    base_url: str = base_url("https://api.example.com/v1")
    path_inbox: str = unverified("/inbox", validator=attrs.validators.min_len(1))


def test_a_secret_is_not_shown() -> None:
    """Neither by `repr` nor by `str`."""
    provider = Provider(api_key=SECRET, token=SECRET)
    assert "Provider(base_url='https://api.example.com/v1', path_inbox='/inbox')" == repr(provider)
    assert str(provider) == repr(provider)


def test_a_secret_is_known_as_one() -> None:
    """And other fields are not."""
    fields = attrs.fields_dict(Provider)
    assert [True, True, True, False, False] == [is_secret(fields[name]) for name in fields]


def test_a_secret_may_have_a_default() -> None:
    """Then it need not be given."""
    assert "none" == Provider(api_key=SECRET).token


def test_a_secret_may_be_left_out_where_its_default_is_none() -> None:
    """None is then a value like any other, also where it is given."""
    assert Provider(api_key=SECRET).refresh_token is None
    assert Provider(api_key=SECRET, refresh_token=None).refresh_token is None


@pytest.mark.parametrize("value", ["", 7, "with\na line end"])
def test_a_secret_that_may_be_left_out_is_clean_where_it_is_given(value: Any) -> None:
    """An empty variable of the environment is a mistake, and no token."""
    with pytest.raises(ValueError, match=r"^(is empty|holds a control character)"):
        Provider(api_key=SECRET, refresh_token=value)


def test_a_default_that_no_document_confirms_is_known_as_one() -> None:
    """It is a default all the same, and what is given in its place is checked."""
    fields = attrs.fields_dict(Provider)
    assert [False, False, False, False, True] == [is_unverified(fields[name]) for name in fields]
    assert "/inbox" == Provider(api_key=SECRET).path_inbox
    with pytest.raises(ValueError, match="path_inbox"):
        Provider(api_key=SECRET, path_inbox="")


@pytest.mark.parametrize("value", ["", None, 7, b"bytes"])
def test_a_secret_that_is_no_text_or_empty_is_refused(value: Any) -> None:
    """An empty key would be sent as one."""
    with pytest.raises(ValueError, match=r"^is empty$"):
        Provider(api_key=value)


@pytest.mark.parametrize("character", ["\n", "\r", "\0", "\t", "\x7f", "\u2028", "\ud83d"])
def test_a_secret_with_a_control_character_is_refused_unseen(character: str) -> None:
    """It would end a header, or was copied with its line end."""
    with pytest.raises(ValueError, match=r"^holds a control character, such as a line end$"):
        Provider(api_key=SECRET + character)


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1))
def test_a_secret_is_kept_as_it_is(value: str) -> None:
    """Also with characters that few keys have."""
    assert value == Provider(api_key=value).api_key


@pytest.mark.parametrize(
    "address",
    [
        "https://api.example.com",
        "https://api.example.com:8443/a/b",
        "https://[2001:db8::1]/v1",
        "http://localhost:8000",
        "http://LOCALHOST",
        "http://127.0.0.1",
        "http://[::1]:8000/v1",
        "emulator://smsarab",
    ],
)
def test_an_address_is_https_or_of_this_machine(address: str) -> None:
    """A slash at its end is dropped, as paths begin with one."""
    found = Provider(api_key=SECRET, base_url=f"{address}//").base_url
    assert address == found


@pytest.mark.parametrize(
    "address",
    [
        "http://api.example.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://127.0.0.2",
        "ftp://api.example.com",
        "//api.example.com",
    ],
)
def test_an_address_that_is_not_encrypted_is_refused(address: str) -> None:
    """Secrets would be read on their way."""
    with pytest.raises(ValueError, match=r"^must begin with https://"):
        Provider(api_key=SECRET, base_url=address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://",
        "https://:443",
        "api.example.com",
        "https:api.example.com",
        "https://user@api.example.com",
        "https://:password@api.example.com",
        "https://@api.example.com",
        "https://api.example.com\\@other.example",
        "https://api.example.com?a=b",
        "https://api.example.com?",
        "https://api.example.com#a",
        "https://api.example.com/a b",
        "https://api.example.com\n.other.example",
        "https://api.example.com:port",
        "https://api.example.com:99999",
        "https://api.example.com:0",
        "https://[::1",
        None,
        7,
    ],
)
def test_what_is_no_plain_address_is_refused(address: Any) -> None:
    """No user, no query, no fragment, no port that is none."""
    with pytest.raises(ValueError, match=r"^must be an address such as https://"):
        Provider(api_key=SECRET, base_url=address)


@given(st.text() | st.text("https:/@[].#?1 a\\"))
def test_any_other_text_is_refused_with_a_value_error(address: str) -> None:
    """Or is an address."""
    try:
        found = Provider(api_key=SECRET, base_url=address).base_url
    except ValueError:
        return
    assert found.startswith(("https://", "http://", "emulator://"))
