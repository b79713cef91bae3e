"""What is wrong with the settings, the network or a plugin: each said in one line, and checked."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
import trustme

from qasid import errors, finding
from qasid.cli.exits import EXIT_CODES, NO

from .commandline import KEY, Command, Staged, answering, install, lines, served, settle
from .loopback import reply, serving

WRONG_KEY: Final = "s3cret-wr0ng"


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    settle(monkeypatch, tmp_path)
    yield
    finding.forget()  # a test may have installed something


@pytest.fixture
def smsarab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Staged]:
    emulator = Staged()
    with served(monkeypatch, emulator):
        monkeypatch.setenv("QASID_SMSARAB_MAX_WAIT", "0")  # nothing is tried twice
        yield emulator


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def unreachable(smsarab: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QASID_SMSARAB_BASE_URL", f"http://127.0.0.1:{closed_port()}")


# Settings.


def test_an_unknown_account_names_what_there_is(qasid: Command) -> None:
    """And how to install what there is not."""
    Path("qasid.toml").write_text('[accounts.work]\nprovider = "sandbox"\n')
    ended = qasid("balance", "--account", "nobody")
    assert (EXIT_CODES[errors.ProviderNotFound], "") == (ended.code, ended.out)
    assert "no provider 'nobody' is installed (there are: " in ended.err
    assert "try: pip install qasid-nobody (accounts in qasid.toml: work)" in ended.err


def test_an_account_of_an_unknown_provider_names_the_provider(qasid: Command) -> None:
    """As that is what has to be installed."""
    Path("qasid.toml").write_text('[accounts.work]\nprovider = "nobody"\n')
    assert "pip install qasid-nobody" in qasid("balance").err


def test_a_missing_key_names_its_variable(qasid: Command) -> None:
    """And the account and the field."""
    ended = qasid("balance", "--account", "smsarab")
    assert EXIT_CODES[errors.SettingsError] == ended.code
    assert (
        "account 'smsarab', field 'api_key': is missing; set the variable QASID_SMSARAB_API_KEY"
        in (ended.err)
    )


@pytest.mark.parametrize("text", ["[accounts", "accounts = 1", "[accounts.a]\nprovider = 1"])
def test_a_broken_file_is_a_settings_error(qasid: Command, text: str) -> None:
    """Which says where it is broken."""
    Path("qasid.toml").write_text(text)
    assert EXIT_CODES[errors.SettingsError] == qasid("balance").code


@pytest.mark.parametrize("timeout", ["-1", "0", "soon"])
def test_a_time_out_is_more_than_nothing(qasid: Command, smsarab: Staged, timeout: str) -> None:
    """Nothing is sent with a wrong one."""
    ended = qasid("balance", "--timeout", timeout)
    assert (2, [], True) == (ended.code, smsarab.asked, "'--timeout'" in ended.err)


def test_a_time_out_may_be_given(qasid: Command, smsarab: Staged) -> None:
    """In seconds, also a part of one."""
    assert "45.75 USD\n" == qasid("balance", "--timeout", "7.5").out


# What is asked for.


@pytest.mark.parametrize("to", ["12", "not a number", "+1 555", "+999999999999999999"])
@pytest.mark.parametrize(
    "words", [["send", "{}", "x"], ["otp", "send", "{}"], ["otp", "verify", "{}", "1"]]
)
def test_a_wrong_number_is_refused_without_being_shown(
    qasid: Command, words: list[str], to: str
) -> None:
    """Only the field is named."""
    ended = qasid(*(word.format(to) for word in words))
    assert EXIT_CODES[errors.InvalidRecipient] == ended.code
    assert ("'to'" in ended.err, to in ended.err) == (True, False)


@pytest.mark.parametrize(
    "words",
    [
        ["inbox", "--limit", "0"],
        ["otp", "send", "+989120000000", "--code", "abc"],
        ["otp", "send", "+989120000000", "--length", "99"],
        ["otp", "send", "+989120000000", "--lifetime", "0"],
        ["otp", "send", "+989120000000", "--lifetime", "1e300"],
    ],
)
def test_a_wrong_value_is_a_wrong_use(qasid: Command, words: list[str]) -> None:
    """Told in a line, whoever finds it."""
    ended = qasid(*words)
    assert (2, "", 1) == (ended.code, ended.out, ended.err.lower().count("error: "))


# The network.


def test_a_wrong_key_is_not_let_in(
    qasid: Command, smsarab: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is not shown."""
    monkeypatch.setenv("QASID_SMSARAB_API_KEY", WRONG_KEY)
    ended = qasid("balance")
    assert (EXIT_CODES[errors.AuthenticationFailed], "") == (ended.code, ended.out)
    assert WRONG_KEY not in ended.err


@pytest.mark.usefixtures("unreachable")
def test_a_host_that_is_not_there_is_named(qasid: Command) -> None:
    """Nothing was performed."""
    ended = qasid("balance")
    assert EXIT_CODES[errors.ConnectFailed] == ended.code
    assert "refused the connection\nIt was not performed.\n" in ended.err


@pytest.mark.usefixtures("unreachable")
def test_a_number_that_could_not_be_asked_for_is_not_written_down(qasid: Command) -> None:
    """As it was surely not rented."""
    assert EXIT_CODES[errors.ConnectFailed] == qasid("rent", "whatsapp", "SA").code
    assert [] == qasid("activations", "--json").data


def test_a_server_without_tls_is_not_talked_to(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the address says https."""
    with served(monkeypatch) as server:
        address = server.url.replace("http://", "https://")
        monkeypatch.setenv("QASID_SMSARAB_BASE_URL", address)
        monkeypatch.setenv("QASID_SMSARAB_MAX_WAIT", "0")
        ended = qasid("balance")
    assert EXIT_CODES[errors.ConnectFailed] == ended.code
    assert "could not agree with us on TLS" in ended.err


def secured() -> tuple[trustme.CA, ssl.SSLContext]:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return authority, context


def test_a_certificate_that_is_not_trusted_ends_it(
    qasid: Command, smsarab: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the key is sent."""
    with serving(reply(), tls=secured()[1]) as server:
        monkeypatch.setenv("QASID_SMSARAB_BASE_URL", server.url)
        ended = qasid("balance")
    assert (EXIT_CODES[errors.ConnectFailed], []) == (ended.code, server.requests)
    assert "has a certificate that is not trusted" in ended.err


def test_a_page_instead_of_json_cannot_be_read(
    qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a wrong address or a captive portal gives; its text is not shown."""
    with served(monkeypatch) as server:
        page = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<h1>Hi</h1>"}
        control = http.client.HTTPConnection(urlsplit(server.control_url).netloc)
        control.request("POST", "/fail_next", json.dumps(page))
        assert 200 == control.getresponse().status
        control.close()
        ended = qasid("balance")
    assert (EXIT_CODES[errors.ProtocolError], "") == (ended.code, ended.out)
    assert "<h1>" not in ended.err


# Plugins.

DUMB: Final = """
from typing import ClassVar
import attrs
from qasid.values import ProviderInfo

@attrs.frozen(eq=False, kw_only=True)
class Dumb:
    info: ClassVar = ProviderInfo(title="Dumb", contract="1.0", homepage="", support={})
    base_url: str = "https://dumb.example.com"
"""

VAGUE: Final = f"""
{DUMB.replace("Dumb", "Vague")}
    path_inbox: str = unverified("/inbox")
""".replace("\nimport attrs", "\nimport attrs\nfrom qasid.fields import unverified")


def test_a_broken_plugin_is_shown_with_the_reason(
    qasid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stderr, below the matrix of those that work."""
    install(monkeypatch, tmp_path / "a", "qasid-bad", "bad = bad_one:Bad", "import no_such_thing")
    ended = qasid("providers")
    assert (0, True) == (ended.code, "sandbox" in ended.out)
    assert "bad: 'bad' of qasid-bad 2.0 (bad_one:Bad) is broken: ModuleNotFoundError: " in ended.err


def test_a_broken_plugin_is_shown_in_the_json_too(
    qasid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason, and nothing on stderr."""
    install(monkeypatch, tmp_path / "a", "qasid-bad", "bad = bad_two:Bad", "raise SystemExit(3)")
    ended = qasid("providers", "--json")
    (found,) = [entry for entry in ended.data if entry["name"] == "bad"]
    assert (["qasid-bad 2.0"], "") == (found["distributions"], ended.err)
    assert found["broken"].endswith("is broken: SystemExit: 3")


def test_a_broken_plugin_cannot_be_used(
    qasid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PluginError, and no traceback of somebody else's code."""
    install(monkeypatch, tmp_path / "a", "qasid-bad", "bad = bad_three:Bad", "assert False")
    assert EXIT_CODES[errors.PluginError] == qasid("balance", "--account", "bad").code


def test_a_name_that_two_claim_names_both(
    qasid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is nobody's until one of them is uninstalled."""
    for owner in ("qasid-one", "qasid-two"):
        install(monkeypatch, tmp_path / owner, owner, "dumb = dumb_twice:Dumb", DUMB)
    said = qasid("providers").err
    assert "dumb: 'dumb' is claimed by " in said
    assert (True, True) == ("qasid-one 2.0" in said, "qasid-two 2.0" in said)


def test_without_a_provider_it_is_said_what_to_install(
    qasid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And stdout is empty, as no matrix has no columns."""
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    finding.forget()
    ended = qasid("providers")
    assert (0, "", "No provider is installed; try: pip install qasid-sandbox\n") == (
        ended.code,
        ended.out,
        ended.err,
    )


# Doctor.

STATE: Final = "ok * state directory can be written"


def test_the_doctor_finds_the_sandbox_sound(qasid: Command) -> None:
    """Where no account is configured."""
    ended = qasid("doctor")
    assert 0 == ended.code
    assert [
        STATE,
        "ok sandbox settings provider sandbox",
        "ok sandbox connection emulator, this machine only",
        "ok sandbox authentication the provider let this account in",
    ] == lines(ended.out)


def test_the_doctor_looks_at_every_account(qasid: Command, smsarab: Staged) -> None:
    """That is configured."""
    Path("qasid.toml").write_text('[accounts.work]\nprovider = "sandbox"\n')
    accounts = {finding["account"] for finding in qasid("doctor", "--json").data}
    assert {"*", "work", "smsarab"} == accounts


def test_the_doctor_looks_at_the_one_asked_for(qasid: Command, smsarab: Staged) -> None:
    """Without a word about others."""
    accounts = {finding["account"] for finding in qasid("doctor", "-a", "sandbox", "--json").data}
    assert {"*", "sandbox"} == accounts


def test_the_doctor_spends_nothing(qasid: Command, smsarab: Staged) -> None:
    """One question is enough for connection and key."""
    assert 0 == qasid("doctor").code
    assert ["GET /v1/balance"] == smsarab.asked


def test_the_doctor_tells_tls(
    qasid: Command, smsarab: Staged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the certificate was verified."""
    authority, context = secured()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    answer = b'{"success": true, "data": {"balance": 1, "currency": "USD"}}'
    with serving(reply(answer), tls=context) as server:
        monkeypatch.setenv("QASID_SMSARAB_BASE_URL", server.url)
        ended = qasid("doctor")
    assert "ok smsarab connection TLS, certificate verified" == lines(ended.out)[2]


@pytest.mark.parametrize(
    ("status", "kind"), [(401, "AuthenticationFailed"), (403, "PermissionDenied")]
)
def test_the_doctor_finds_a_key_that_is_not_let_in(
    qasid: Command, smsarab: Staged, status: int, kind: str
) -> None:
    """The connection is then sound, and the exit code 1."""
    smsarab.cues["GET /v1/balance"] = answering(status)
    ended = qasid("doctor")
    _, _, connection, authentication = lines(ended.out)
    assert (NO, "ok smsarab connection http, this machine only") == (ended.code, connection)
    assert authentication.startswith(f"FAILED smsarab authentication {kind}: ")


@pytest.mark.usefixtures("unreachable")
def test_the_doctor_does_not_guess_what_cannot_be_known(qasid: Command) -> None:
    """Whether the key is right, where the provider cannot be reached."""
    ended = qasid("doctor")
    _, _, connection, authentication = lines(ended.out)
    assert (NO, True) == (ended.code, connection.startswith("FAILED smsarab connection Connect"))
    expected = "[not verified] smsarab authentication the provider could not be asked"
    assert expected == authentication


def test_the_doctor_cannot_prove_a_provider_without_a_free_question(
    qasid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is no failure."""
    install(monkeypatch, tmp_path / "a", "qasid-dumb", "dumb = dumb_one:Dumb", DUMB)
    ended = qasid("doctor", "--account", "dumb")
    assert (0, ["[not verified]", "[not verified]"]) == (
        ended.code,
        [line[:14] for line in ended.out.splitlines()[2:]],
    )


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (None, ["path_inbox: no document confirms its default; ask the provider and set it"]),
        ("/messages", []),
    ],
)
def test_the_doctor_tells_a_default_that_no_document_confirms(
    qasid: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str | None,
    told: list[str],
) -> None:
    """Until another value is set; that is no failure."""
    install(monkeypatch, tmp_path / "a", "qasid-vague", "vague = vague_one:Vague", VAGUE)
    if path is not None:
        monkeypatch.setenv("QASID_VAGUE_PATH_INBOX", path)
    ended = qasid("doctor", "--account", "vague", "--json")
    about = [f for f in ended.data if f["subject"] == "settings" and f["ok"] is None]
    assert (0, told) == (ended.code, [finding["words"] for finding in about])


@pytest.mark.parametrize(
    ("account", "kind"), [("smsarab", "SettingsError"), ("nobody", "ProviderNotFound")]
)
def test_the_doctor_finds_wrong_settings(qasid: Command, account: str, kind: str) -> None:
    """And asks no further."""
    ended = qasid("doctor", "--account", account)
    _, last = lines(ended.out)
    assert (NO, True) == (ended.code, last.startswith(f"FAILED {account} settings {kind}: "))


def test_the_doctor_finds_a_state_that_cannot_be_written(
    qasid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And looks at the accounts all the same."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("QASID_STATE_DIR", str(tmp_path / "file" / "below"))
    first, second, *_ = lines(qasid("doctor").out)
    assert first.startswith("FAILED * state directory ")
    assert "ok sandbox settings provider sandbox" == second


@pytest.mark.parametrize("words", [["doctor"], ["doctor", "--json"]])
@pytest.mark.parametrize("key", [KEY, WRONG_KEY])
def test_the_doctor_never_shows_a_key(
    qasid: Command,
    smsarab: Staged,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    key: str,
) -> None:
    """Neither a right one nor a wrong one."""
    monkeypatch.setenv("QASID_SMSARAB_API_KEY", key)
    ended = qasid(*words)
    assert key not in ended.out + ended.err
