"""Requests become bytes, and bytes become values, the same way everywhere."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qasid import effects
from qasid._version import VERSION
from qasid.effects import Request, Response, segment
from qasid.emulation import utc_now
from qasid.errors import InvalidRequest, Outcome, ProtocolError

URL: Final = "https://api.example.com/v1/messages"
SECRET: Final = "hush-hush"
HALF: Final = "half a smile \ud83d"

#: The three escapes of browsers cannot be told from what they stand for.
NAMES: Final = st.text().filter(
    lambda text: not any(escape in text for escape in ("%22", "%0D", "%0A"))
)
FIELDS: Final = st.dictionaries(NAMES, st.text())
JSON_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def request(method: str = "POST", url: str = URL, **members: Any) -> Request:
    """A request as a provider makes it."""
    return Request(method=method, url=url, **members)


def received(body: bytes, kind: str | None) -> dict[str, Any]:
    """What is read from a body that came with that Content-Type."""
    headers = {} if kind is None else {"content-type": kind}
    return request(content=body, headers=headers).payload()


def reply(body: bytes) -> Any:
    """What is read from the body of a reply."""
    return Response(status=200, body=body).json()


# As a provider makes it.


@pytest.mark.parametrize(
    ("method", "safe"),
    [("GET", True), ("HEAD", True), ("OPTIONS", True), ("POST", False), ("DELETE", False)],
)
def test_the_method_decides_whether_a_request_is_safe(method: str, safe: bool) -> None:
    """Where nothing else is said."""
    assert safe is request(method).safe


def test_a_request_can_be_called_safe() -> None:
    """As a read by POST is; it stays so when it is encoded."""
    assert request(safe=True).encode().safe


@pytest.mark.parametrize("given_as", [{"a": 1}, [("a", 1)], (("a", "1"),)])
def test_pairs_are_given_as_mapping_or_pairs(given_as: Any) -> None:
    """And are kept as texts."""
    made = request(query=given_as, headers=given_as, form=given_as)
    assert [(("a", "1"),)] * 3 == [made.query, made.headers, made.form]


def test_a_request_shows_neither_query_nor_headers_nor_body() -> None:
    """Method, origin and path alone, also when encoded."""
    made = request(query={"key": SECRET}, headers={"X-Key": SECRET}, json={"key": SECRET})
    shown = f"<Request POST {URL}>"
    assert (shown, shown) == (repr(made), repr(made.encode()))


def test_origin_is_lower_case_and_keeps_the_port() -> None:
    """So that two of them can be compared."""
    assert "https://api.example.com:8443" == request(url="HTTPS://API.example.com:8443/A").origin


def test_path_stays_percent_encoded() -> None:
    """A slash within a segment remains one."""
    assert "/v1/a%2Fb" == request(url="https://api.example.com/v1/a%2Fb?c=d").path


def test_a_header_is_found_whatever_its_case() -> None:
    """The first of its name, or nothing."""
    made = request(headers=[("X-A", "1"), ("x-a", "2")])
    assert ("1", None) == (made.header("x-A"), made.header("X-B"))


# As it goes over the wire.


def test_a_get_request_has_no_body_and_says_no_length() -> None:
    """Its headers are complete, and in a fixed order."""
    made = request("GET", headers={"X-Key": SECRET}).encode()
    standing = (("User-Agent", f"qasid/{VERSION}"), ("Accept-Encoding", "identity"))
    assert (("Host", "api.example.com"), *standing, ("X-Key", SECRET)) == made.headers
    assert b"" == made.content


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
def test_a_method_without_a_body_says_no_length(method: str) -> None:
    """Unless it has a body all the same."""
    assert None is request(method).encode().header("Content-Length")
    assert "2" == request(method, json={}).encode().header("Content-Length")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_method_with_a_body_says_its_length_even_if_it_is_nothing(method: str) -> None:
    """Servers answer 411 otherwise."""
    made = request(method).encode()
    assert ("0", None) == (made.header("Content-Length"), made.header("Content-Type"))


@pytest.mark.parametrize(
    ("members", "kind", "body"),
    [
        ({"json": {"to": "سلام", "n": 1}}, "application/json", '{"to":"سلام","n":1}'.encode()),
        ({"json": []}, "application/json", b"[]"),
        (
            {"form": {"a b": "c&d", "e": "é"}},
            "application/x-www-form-urlencoded",
            b"a+b=c%26d&e=%C3%A9",
        ),
        ({"form": {}}, "application/x-www-form-urlencoded", b""),
    ],
)
def test_a_body_is_written_and_named(members: dict[str, Any], kind: str, body: bytes) -> None:
    """With its type, its bytes and their number."""
    made = request(**members).encode()
    assert (kind, body) == (made.header("Content-Type"), made.content)
    assert str(len(body)) == made.header("Content-Length")


def test_a_multipart_body_is_written_as_browsers_do() -> None:
    """Quotes and line ends of a name are escaped, all else is left as it is."""
    made = request(multipart=[('q"\r\n', "1"), ("نام", "2")]).encode()
    mark = str(made.header("Content-Type")).partition("boundary=")[2]
    first = f'--{mark}\r\nContent-Disposition: form-data; name="q%22%0D%0A"\r\n\r\n1\r\n'
    second = f'--{mark}\r\nContent-Disposition: form-data; name="نام"\r\n\r\n2\r\n'
    assert f"{first}{second}--{mark}--\r\n".encode() == made.content


def test_equal_multipart_requests_have_equal_bytes() -> None:
    """The boundary is made of the content."""
    first, again = (request(multipart={"a": "b"}).encode() for _ in range(2))
    assert first == again
    assert first.headers != request(multipart={"a": "c"}).encode().headers


@pytest.mark.parametrize(
    ("url", "query", "expected"),
    [
        (URL, {}, URL),
        (URL, {"a": "b c", "d": "&"}, f"{URL}?a=b+c&d=%26"),
        (f"{URL}?x=1", {"a": "b"}, f"{URL}?x=1&a=b"),
        (URL, [("a", "1"), ("a", "2")], f"{URL}?a=1&a=2"),
    ],
)
def test_the_query_joins_the_address(url: str, query: Any, expected: str) -> None:
    """After what is there already, in its order."""
    assert (expected, ()) == attrs.astuple(request(url=url, query=query).encode())[1:3]


@pytest.mark.parametrize("name", ["host", "user-agent", "ACCEPT-ENCODING", "Content-type"])
def test_a_header_of_the_provider_takes_the_place_of_ours(name: str) -> None:
    """None is sent twice."""
    made = request(headers={name: "mine"}, json={}).encode()
    assert ["mine"] == [value for key, value in made.headers if key.lower() == name.lower()]


@given(
    query=FIELDS,
    headers=st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.text()),
    body=st.sampled_from(["json", "form", "multipart", None]),
    fields=FIELDS,
)
def test_encoding_twice_is_encoding_once(
    query: dict[str, str], headers: dict[str, str], body: str | None, fields: dict[str, str]
) -> None:
    """What is encoded stays as it is."""
    bodies: dict[str, Any] = {body: fields} if body else {}
    once = request(query=query, headers=headers, **bodies).encode()
    assert once is once.encode()


@pytest.mark.parametrize(
    "members",
    [
        {"query": {"a": HALF}},
        {"json": {"a": HALF}},
        {"form": {"a": HALF}},
        {"multipart": {"a": HALF}},
        {"multipart": {HALF: "a"}},
    ],
)
def test_half_a_character_is_refused_without_being_shown(members: dict[str, Any]) -> None:
    """Nothing was sent, and the text is nowhere in the error."""
    with pytest.raises(InvalidRequest, match="half a character") as caught:
        request(**members).encode()
    assert Outcome.NOT_PERFORMED is caught.value.outcome
    assert "smile" not in f"{caught.value!r}"


# As it is received.


@given(FIELDS)
@example({"": ""})
@example({'q"; filename="x': "a\r\n--b\r\n\r\nc", "\0": "\0\r\r\n\n", "😀 é": "\x85\u2028"})
def test_a_multipart_body_is_read_as_it_was_written(fields: dict[str, str]) -> None:
    """Whatever stands in names and values."""
    assert fields == request(multipart=fields).encode().payload()


@given(st.dictionaries(st.text(), st.text()))
@example({"": "", '"&=+%\r\n\0😀': '"&=+%\r\n\0😀'})
def test_a_form_is_read_as_it_was_written(fields: dict[str, str]) -> None:
    """Whatever stands in names and values."""
    assert fields == request(form=fields).encode().payload()


@given(st.dictionaries(st.text(), JSON_VALUES))
def test_a_json_object_is_read_as_it_was_written(value: dict[str, Any]) -> None:
    """Whatever it holds."""
    assert value == request(json=value).encode().payload()


@given(FIELDS)
def test_params_are_the_query_as_it_was_written(fields: dict[str, str]) -> None:
    """Whatever stands in names and values."""
    assert fields == request("GET", query=fields).encode().params()


def test_the_last_of_a_name_wins() -> None:
    """In queries and in bodies of every kind."""
    twice = [("a", "1"), ("a", "2")]
    made = [request(form=twice), request(multipart=twice)]
    assert [{"a": "2"}] * 2 == [one.encode().payload() for one in made]
    assert {"a": "2"} == request(query=twice).encode().params()
    assert {"a": 2} == received(b'{"a":1,"a":2}', "application/json")


def test_a_fraction_that_is_received_is_a_decimal() -> None:
    """As it is in a reply, so that both are read the same way."""
    assert {"price": Decimal("0.10")} == received(b'{"price":0.10}', "application/json")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", None),
        (b"a=b", "text/plain"),
        (b"[1]", "application/json"),
        (b'{"a":NaN}', "application/json"),
        (b'{"a":1e9999999999999999999999}', "application/json"),
        (b"\xff", "application/json"),
        (b'{"a":' * 100_000, "application/json"),
        (b"a", "multipart/form-data"),
        (b"a", "multipart/form-data; boundary=b"),
        (b"--b\r\nContent-Type: text/plain\r\n\r\na\r\n--b--", "multipart/form-data; boundary=b"),
    ],
    ids=lambda given: str(given)[:30],
)
def test_a_body_that_cannot_be_read_is_empty(body: bytes, kind: str | None) -> None:
    """An emulator answers it as its provider would."""
    assert {} == received(body, kind)


@pytest.mark.parametrize("mark", ["b", '"b"', '"b"; charset=utf-8'])
def test_a_multipart_body_of_others_is_read(mark: str) -> None:
    """With a preamble, more headers, a file name, and bytes that are no text."""
    head = b"preamble\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; "
    body = head + b'name="a"; filename="a.txt"\r\n\r\n\xff\r\n--b--\r\nend'
    assert {"a": "\ufffd"} == received(body, f"Multipart/Form-Data; Boundary={mark}")


@given(st.binary(), st.sampled_from(["application/json", "multipart/form-data; boundary=b"]))
def test_reading_what_was_received_never_fails(body: bytes, kind: str) -> None:
    """Whatever the bytes."""
    assert isinstance(received(body, kind), dict)


# Segments of an address.


@given(st.text(min_size=1).filter(lambda text: text not in {".", ".."}))
def test_a_segment_cannot_leave_its_place(text: str) -> None:
    """No slash, no question mark, no dots alone; and it reads as it was."""
    assert text == unquote(segment(text))
    assert not {*segment(text)} & {*"/?#\\ &"}


@pytest.mark.parametrize("text", ["", ".", "..", HALF])
def test_what_cannot_be_a_segment_is_refused(text: str) -> None:
    """Servers resolve dots even when they are encoded."""
    with pytest.raises(InvalidRequest):
        segment(text)


# Replies.


def test_a_response_shows_neither_headers_nor_body() -> None:
    """Its status and its size alone."""
    shown = Response(status=200, headers={"X-Key": SECRET}, body=SECRET.encode())
    assert "<Response 200, 9 bytes>" == repr(shown)


def test_a_response_is_stamped_in_utc() -> None:
    """Where nobody stamps it."""
    assert timedelta(0) == Response(status=200).received_at.utcoffset()


@pytest.mark.parametrize(("status", "ok"), [(199, False), (200, True), (299, True), (300, False)])
def test_ok_is_2xx(status: int, ok: bool) -> None:
    """And nothing else."""
    assert ok is Response(status=status).ok


def test_a_header_of_a_response_is_found_whatever_its_case() -> None:
    """Or there is none."""
    found = Response(status=200, headers={"Retry-After": "1"})
    assert ("1", None) == (found.header("retry-after"), found.header("x"))


def test_fractions_are_decimals() -> None:
    """Exactly as written; whole numbers stay whole."""
    assert "[Decimal('0.10'), Decimal('1E+2'), 1]" == repr(reply(b"[0.10, 1e2, 1]"))


def test_the_last_member_of_a_name_wins() -> None:
    """As in most readers."""
    assert {"a": 2} == reply(b'{"a": 1, "a": 2}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"a": NaN}',
        b"[Infinity]",
        b"-Infinity",
        b"1e9999999999999999999999",
        b"\xff\xfe\xfd",
        b'"\xc3"',
        b"[" * 100_000,
        b"9" * 5_000,
    ],
    ids=lambda body: str(body[:20]),
)
def test_what_is_not_json_is_a_protocol_error(body: bytes) -> None:
    """It says the status and not the body, which it keeps."""
    with pytest.raises(ProtocolError, match=r"^the reply \(status 200\) is not JSON$") as caught:
        reply(body)
    assert None is not caught.value.response
    assert body == caught.value.response.body


@given(JSON_VALUES)
def test_json_is_read(value: Any) -> None:
    """In UTF-8."""
    assert value == reply(json.dumps(value, ensure_ascii=False).encode())


@pytest.mark.parametrize("pair", [b"[]", b'{"":}'], ids=["lists", "objects"])
@pytest.mark.parametrize("words", [b"0", b'"[[\\"{{"'], ids=["number", "brackets in a text"])
def test_json_is_read_down_to_a_hundred_levels(pair: bytes, words: bytes) -> None:
    """No provider's is as deep, and the parser never comes near the end of the stack."""
    left, right = pair[:-1], pair[-1:]
    reply(b"[%b]" % b",".join([left * 99 + words + right * 99] * 3))
    with pytest.raises(ProtocolError, match="is not JSON"):
        reply(left * 101 + words + right * 101)


@pytest.mark.parametrize("body", [b"[" * 10**6, b'"' + b'\\"' * 10**5 + b"[" * 101], ids=len)
def test_nesting_without_an_end_is_no_json(body: bytes) -> None:
    """And is found to be none at once, whatever else stands in it."""
    with pytest.raises(ProtocolError, match="is not JSON"):
        reply(body)


@given(st.binary())
def test_reading_a_reply_gives_a_value_or_a_protocol_error(body: bytes) -> None:
    """Whatever the bytes."""
    try:
        reply(body)
    except ProtocolError as error:
        assert None is error.outcome  # noqa: PT017, most bytes are no JSON and none need be


def test_the_wall_clock_is_in_utc() -> None:
    """That by which emulators live unless told."""
    assert timedelta(0) == utc_now().utcoffset()


def test_all_names_are_there() -> None:
    """Of those that the module calls public."""
    assert sorted(effects.__all__) == effects.__all__
    assert all(hasattr(effects, name) for name in effects.__all__)
