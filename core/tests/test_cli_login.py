"""`qasid login`, with MyOnlineSim's emulator on a port, a browser, and processes that share."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import socket
import stat
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from qasid import errors
from qasid.cli.exits import EXIT_CODES
from qasid.effects import Request, Response
from qasid.serving import serve
from qasid.tokens import Entry, FileStore, Grant
from qasid_myonlinesim.emulator import MyOnlineSimEmulator

from .commandline import Command, Gate, Process, process, settle

PROVIDER: Final = "myonlinesim"
AUTHORIZE: Final = "/oauth/authorize?"
BALANCE: Final = "1000000 IRR\n"
LONG: Final = timedelta(days=91)  # longer than an access token lives
REFUSED: Final = EXIT_CODES[errors.AuthenticationFailed]


@attrs.define(kw_only=True, eq=False)
class Watched(MyOnlineSimEmulator):
    """Counts what it is asked; a gate holds back the answer to the call that is `held`."""

    asked: list[str] = attrs.field(factory=list)
    balances: threading.Semaphore = attrs.field(factory=lambda: threading.Semaphore(0))
    held: dict[str, Gate] = attrs.field(factory=dict)

    def handle(self, request: Request) -> Response:
        name = str(request.payload().get("grant_type", request.path.rpartition("/")[2]))
        self.asked.append(name)
        response = MyOnlineSimEmulator.handle(self, request)
        if name in self.held and response.ok:
            response = self.held[name](response)
        if name == "credit":
            self.balances.release()
        return response

    def count(self, name: str) -> int:
        return self.asked.count(name)


def free_port() -> int:
    """One below those that systems give to connections, which other tests make meanwhile."""
    while True:
        port = random.randrange(10_240, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@attrs.frozen
class World:
    """The emulator, its address, where the browser comes back, and the store."""

    emulator: Watched
    url: str
    port: int
    store: FileStore

    @property
    def entry(self) -> Entry:
        return Entry(account=PROVIDER, provider=PROVIDER, base_url=self.url, client_id="CLIENT_ID")

    @property
    def grant(self) -> Grant:
        """What is kept."""
        found = self.store.load(self.entry)
        assert found is not None
        return found

    def login(self, *more: str, **streams: Any) -> contextlib.AbstractContextManager[Process]:
        """`qasid login` as a process."""
        given = ("login", PROVIDER, "--port", str(self.port), *more)
        return process(*given, **streams)

    def logged_in(self) -> None:
        """A login, done."""
        with self.login("--no-browser") as running:
            browse(running.hear(AUTHORIZE))
            assert 0 == running.ended().code


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    settle(monkeypatch, tmp_path)
    # Whoever started these tests may ignore Ctrl-C, and processes inherit that, but no handler.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """The account of an emulator that rotates tokens, which are kept in files."""
    port = free_port()
    emulator = Watched(
        callback=f"http://127.0.0.1:{port}/callback",
        refresh_mode="rotated",
        revoke_on_refresh=True,
    )
    with serve(emulator) as server:
        settings = {"base_url": server.url, "client_id": "CLIENT_ID", "tokens": "file"}
        for name, value in {**settings, "client_secret": "CLIENT_SECRET"}.items():
            monkeypatch.setenv(f"QASID_MYONLINESIM_{name.upper()}", value)
        store = FileStore(tmp_path / "state" / "qasid" / "tokens")
        yield World(emulator, server.url, port, store)


def browse(address: str) -> tuple[int, str]:
    """Go there as a browser does, by all redirects; the status and the page in the end."""
    try:
        with urllib.request.urlopen(address.strip(), timeout=30) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


# In by a browser.


def test_a_login_is_good_for_every_process_after_it(world: World) -> None:
    """From nobody to a balance: the browser is another program, over real sockets."""
    with process("balance") as running:
        ended = running.ended()
    assert REFUSED == ended.code
    assert "run: qasid login myonlinesim" in ended.err
    with world.login("--no-browser", "--json") as running:
        address = running.hear(AUTHORIZE)
        status, page = browse(address)
        ended = running.ended()
    assert (200, 0, PROVIDER) == (status, ended.code, ended.data["account"])
    assert "You can close this window" in page
    with process("balance") as running:
        assert (0, BALANCE) == ((ended := running.ended()).code, ended.out)
    asked = [world.emulator.count(name) for name in ("authorization_code", "refresh_token")]
    assert [1, 0] == asked


def test_nothing_that_is_said_has_a_secret(world: World) -> None:
    """Neither page nor terminal; the file has them, and is the owner's alone."""
    with world.login("--no-browser") as running:
        _, page = browse(running.hear(AUTHORIZE))
        ended = running.ended()
    said = page + ended.out + ended.err
    for secret in ("AUTH_CODE", "ACCESS_TOKEN", "REFRESH_TOKEN", "CLIENT_SECRET"):
        assert secret not in said
    assert f"callback address http://127.0.0.1:{world.port}/callback" in ended.err
    kept = world.store.folder / world.entry.file_name
    assert 0o600 == stat.S_IMODE(kept.stat().st_mode)
    assert "REFRESH_TOKEN_3" in kept.read_text()


def test_the_browser_of_this_machine_is_opened(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The one that the person has chosen."""
    script = tmp_path / "browser.py"
    script.write_text("import sys, urllib.request\nurllib.request.urlopen(sys.argv[1]).read()\n")
    monkeypatch.setenv("BROWSER", f"{sys.executable} {script} %s")
    with world.login() as running:
        ended = running.ended()
    assert (0, True) == (ended.code, "No browser" not in ended.err)


def test_without_a_browser_it_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is there to be opened by hand."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("BROWSER", "no-such-browser-at-all")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with world.login() as running:
        address = running.hear(AUTHORIZE)
        running.hear("No browser could be opened")
        browse(address)
        assert 0 == running.ended().code


def test_a_login_may_be_done_again(world: World) -> None:
    """It takes the place of the one before, also of one that is damaged."""
    world.logged_in()
    kept = world.store.folder / world.entry.file_name
    kept.write_text("{")
    world.logged_in()
    assert "ACCESS_TOKEN_5" == world.grant.credential.token


# What else may come.


def test_what_does_not_belong_to_it_changes_nothing(world: World) -> None:
    """Another state, another path, another name of the host, another method."""
    with world.login("--no-browser") as running:
        address = running.hear(AUTHORIZE)
        (state,) = parse_qs(urlsplit(address).query)["state"]
        back = f"http://127.0.0.1:{world.port}"
        query = f"code=AUTH_CODE&state={state}"
        assert 400 == browse(f"{back}/callback?code=AUTH_CODE&state=x{state[1:]}x")[0]
        assert 404 == browse(f"{back}/?{query}")[0]
        foreign = urllib.request.Request(f"{back}/callback?{query}", headers={"Host": "a.example"})
        posted = urllib.request.Request(f"{back}/callback?{query}", method="POST")
        for request, status in ((foreign, 421), (posted, 405)):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request, timeout=30)
            caught.value.close()
            assert status == caught.value.code
        assert 0 == world.emulator.count("authorization_code")
        assert 200 == browse(address)[0]
        assert 0 == running.ended().code


def test_a_code_that_was_used_is_refused(world: World) -> None:
    """By the provider; nothing is kept."""
    with world.login("--no-browser") as running:
        (state,) = parse_qs(urlsplit(running.hear(AUTHORIZE)).query)["state"]
        browse(f"http://127.0.0.1:{world.port}/callback?code=AUTH_CODE_9&state={state}")
        ended = running.ended()
    assert (REFUSED, True) == (ended.code, "run: qasid login myonlinesim" in ended.err)
    assert world.store.load(world.entry) is None


def test_an_owner_may_say_no(world: World) -> None:
    """The page and the command say so; no token is asked for."""
    world.emulator.approves = False
    with world.login("--no-browser") as running:
        assert "You did not let Qasid in" in browse(running.hear(AUTHORIZE))[1]
        ended = running.ended()
    assert (REFUSED, True) == (ended.code, "(access_denied)" in ended.err)
    assert 0 == world.emulator.count("authorization_code")


def test_the_wait_has_an_end(world: World, qasid: Command) -> None:
    """The port is free again then."""
    given = ("login", PROVIDER, "--no-browser", "--port", str(world.port), "--timeout", "0.01")
    for _ in range(2):
        ended = qasid(*given)
        assert EXIT_CODES[errors.WaitTimeout] == ended.code
        assert "the browser did not come back in 0.01 s\n" in ended.err


def test_the_end_of_the_wait_tells_who_came(world: World) -> None:
    """Else nobody would know that the state was another one."""
    with world.login("--no-browser", "--timeout", "5") as running:
        running.hear(AUTHORIZE)
        browse(f"http://127.0.0.1:{world.port}/callback?code=C&state=S")
        ended = running.ended()
    assert "what came was refused: state: it is not that of this login" in ended.err


def test_a_port_that_is_taken_is_a_wrong_use(world: World, qasid: Command) -> None:
    """It names the option; nobody is sent to a browser that could not come back."""
    with socket.create_server(("127.0.0.1", world.port)):
        ended = qasid("login", PROVIDER, "--no-browser", "--port", str(world.port))
    assert 2 == ended.code
    assert f"--port': nothing can listen on {world.port}" in ended.err
    assert AUTHORIZE not in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait(world: World, number: signal.Signals) -> None:
    """Nothing is kept, and nobody listens any more."""
    with world.login("--no-browser") as running:
        running.hear(AUTHORIZE)
        running.popen.send_signal(number)
        ended = running.ended()
    assert {signal.SIGINT: 130, signal.SIGTERM: -signal.SIGTERM}[number] == ended.code
    assert world.store.load(world.entry) is None
    socket.create_server(("127.0.0.1", world.port)).close()


def test_a_connection_that_says_nothing_is_in_nobodys_way(world: World) -> None:
    """Browsers open some in advance."""
    with world.login("--no-browser") as running:
        address = running.hear(AUTHORIZE)
        with socket.create_connection(("127.0.0.1", world.port)):
            assert 200 == browse(address)[0]
            assert 0 == running.ended().code


# By hand.


def redirected(world: World, address: str) -> str:
    """Where a browser would end, which it cannot reach."""
    visit = Request(method="GET", url=address.strip())
    return world.emulator.handle(visit).header("Location") or ""


def test_an_address_may_be_pasted_from_elsewhere(world: World) -> None:
    """Nothing listens; it is read from stdin where that is no terminal."""
    with world.login("--paste", stdin=-1) as running:
        answer = redirected(world, running.hear(AUTHORIZE))
        assert running.popen.stdin is not None
        running.popen.stdin.write(f"{answer}\nmore\n")
        running.popen.stdin.close()
        assert 0 == running.ended().code
    assert "ACCESS_TOKEN_3" == world.grant.credential.token


def test_what_is_pasted_at_a_terminal_is_not_shown(world: World) -> None:
    """It holds a code."""
    master, terminal = os.openpty()
    try:
        with world.login("--paste", stdin=terminal, start_new_session=True) as running:
            answer = redirected(world, running.hear(AUTHORIZE))
            running.hear("copy that whole address")
            prompt = running.popen.stderr
            assert prompt is not None
            asked = iter(lambda: prompt.read(1), ":")
            running.heard += "".join(asked)
            os.write(master, f"{answer}\n".encode())
            ended = running.ended()
        assert 0 == ended.code
        assert b"AUTH_CODE" not in _seen(master)
    finally:
        os.close(master)
        os.close(terminal)


def _seen(master: int) -> bytes:
    """What the terminal has echoed so far."""
    os.set_blocking(master, False)
    with contextlib.suppress(BlockingIOError):
        return os.read(master, 65_536)
    return b""


@pytest.mark.parametrize(
    ("pasted", "words"),
    [
        ("", "state: it is not that of this login"),
        ("AUTH_CODE\n", "state: it is not that of this login"),
        ("http://127.0.0.1:8765/callback?code=AUTH_CODE&state=S\n", "state: it is not that"),
    ],
)
def test_what_is_pasted_must_be_of_this_login(
    world: World, qasid: Command, monkeypatch: pytest.MonkeyPatch, pasted: str, words: str
) -> None:
    """Else no token is asked for."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(pasted))
    ended = qasid("login", PROVIDER, "--paste")
    assert EXIT_CODES[errors.InvalidRequest] == ended.code
    assert words in ended.err
    assert [] == world.emulator.asked


def test_without_stdin_nothing_can_be_pasted(
    world: World, qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is a wrong use."""
    monkeypatch.setattr(sys, "stdin", None)
    assert 2 == qasid("login", PROVIDER, "--paste").code


class _Terminal(io.StringIO):
    """Looks like one, and ends at once."""

    def isatty(self) -> bool:
        return True


def test_an_end_of_input_at_the_terminal_is_no_address(
    world: World, qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-D."""

    def ended_input(prompt: str, stream: object) -> str:
        raise EOFError

    monkeypatch.setattr(sys, "stdin", _Terminal())
    monkeypatch.setattr("qasid.cli.login.getpass", ended_input)
    assert EXIT_CODES[errors.InvalidRequest] == qasid("login", PROVIDER, "--paste").code


# Who can, and where to.


def test_a_provider_without_a_login_says_so(qasid: Command) -> None:
    """For both commands."""
    for name in ("login", "logout"):
        ended = qasid(name, "sandbox")
        assert EXIT_CODES[errors.UnsupportedOperation] == ended.code
        assert "sandbox has no login; the account's settings let it in" in ended.err


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("QASID_MYONLINESIM_TOKENS", "none", "there is nowhere to keep a login"),
        ("QASID_MYONLINESIM_BASE_URL", "emulator://myonlinesim", "there is nowhere to keep"),
        ("QASID_STATE_DIR", "/dev/null", "/dev/null"),
    ],
)
def test_a_login_that_could_not_be_kept_is_not_begun(
    world: World,
    qasid: Command,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    words: str,
) -> None:
    """The owner is not asked for nothing."""
    monkeypatch.setenv(variable, value)
    ended = qasid("login", PROVIDER, "--no-browser")
    assert EXIT_CODES[errors.SettingsError] == ended.code
    assert "field 'tokens'" in ended.err
    assert words in ended.err
    assert AUTHORIZE not in ended.err


def test_an_account_of_another_name_is_told_its_own(
    world: World, qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy can be copied."""
    Path("qasid.toml").write_text(
        '[accounts.work]\nprovider = "myonlinesim"\nclient_id = "CLIENT_ID"\n'
        f'client_secret = {{ env = "SECRET" }}\nbase_url = "{world.url}"\ntokens = "file"\n'
    )
    monkeypatch.setenv("SECRET", "CLIENT_SECRET")
    ended = qasid("balance", "--account", "work")
    assert "run: qasid login work" in ended.err


def test_a_logout_forgets(world: World, qasid: Command) -> None:
    """And says that the provider does not."""
    world.logged_in()
    assert {"account": PROVIDER, "forgotten": True} == qasid("logout", PROVIDER, "--json").data
    assert REFUSED == qasid("balance").code
    ended = qasid("logout", PROVIDER)
    assert (0, "myonlinesim was not logged in.\n", "") == (ended.code, ended.out, ended.err)


# What the doctor sees.


def findings(qasid: Command) -> dict[str, tuple[bool | None, str]]:
    data = qasid("doctor", "--account", PROVIDER, "--json").data
    return {item["subject"]: (item["ok"], item["words"]) for item in data}


def test_the_doctor_tells_who_is_logged_in(world: World, qasid: Command) -> None:
    """And until when the token is good, before it asks the provider anything."""
    assert (False, "not logged in; run: qasid login myonlinesim") == findings(qasid)["login"]
    assert [] == world.emulator.asked
    world.logged_in()
    end = world.grant.credential.expires_at
    found = findings(qasid)
    assert (True, f"logged in; the token ends {end:%Y-%m-%d %H:%M} UTC") == found["login"]
    assert found["authentication"][0]
    assert 0 == world.emulator.count("refresh_token")


def test_the_doctor_knows_tokens_without_an_end(world: World, qasid: Command) -> None:
    """Those are good until they are refused."""
    world.logged_in()
    credential = attrs.evolve(world.grant.credential, expires_at=None)
    world.store.save(world.entry, Grant(credential=credential))
    assert (True, "logged in") == findings(qasid)["login"]


def test_the_doctor_takes_the_refresh_token_of_the_settings(
    world: World, qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as good as a login."""
    monkeypatch.setenv("QASID_MYONLINESIM_REFRESH_TOKEN", "REFRESH_TOKEN")
    found = findings(qasid)
    assert (True, "begins with the refresh token of the settings") == found["login"]
    assert found["authentication"][0]


def test_a_file_that_others_may_read_is_refused(world: World, qasid: Command) -> None:
    """By every command, with the remedy; the provider is asked nothing."""
    world.logged_in()
    kept = world.store.folder / world.entry.file_name
    kept.chmod(0o644)
    before = [*world.emulator.asked]
    ended = qasid("balance")
    assert EXIT_CODES[errors.SettingsError] == ended.code
    assert f"run: chmod 600 {kept}" in ended.err
    assert not findings(qasid)["login"][0]
    assert before == world.emulator.asked


# Over the months.


def test_four_processes_renew_once(world: World) -> None:
    """All are refused before one of them may renew; the others take what that one got."""
    world.logged_in()
    world.emulator.advance(LONG)
    lock = world.store.lock(world.entry)
    assert lock.acquire()
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(process("balance")) for _ in range(4)]
        for _ in running:
            assert world.emulator.balances.acquire(timeout=60)
        lock.release()
        ended = [one.ended() for one in running]
    assert [(0, BALANCE, "")] * 4 == [(one.code, one.out, one.err) for one in ended]
    assert 1 == world.emulator.count("refresh_token")
    assert "REFRESH_TOKEN_4" == world.grant.credential.refresh_token


def test_a_process_that_is_killed_when_it_uses_new_tokens_loses_none(
    world: World, qasid: Command
) -> None:
    """They were kept before they were used; the old ones are void."""
    world.logged_in()
    world.emulator.advance(LONG)
    gate = world.emulator.held["credit"] = Gate()
    with process("balance") as running:
        assert gate.came.wait(60)
        running.popen.kill()
        running.ended()
        gate.go.set()
    assert (0, BALANCE) == ((ended := qasid("balance")).code, ended.out)
    assert 1 == world.emulator.count("refresh_token")


def test_a_process_that_is_killed_while_it_renews_leaves_no_lock(
    world: World, qasid: Command
) -> None:
    """What was on its way is lost; with a provider that does not rotate that is no harm."""
    world.emulator.refresh_mode = "same"
    world.logged_in()
    world.emulator.advance(LONG)
    gate = world.emulator.held["refresh_token"] = Gate()
    with process("balance") as running:
        assert gate.came.wait(60)
        running.popen.kill()
        running.ended()
        gate.go.set()
    del world.emulator.held["refresh_token"]
    assert (0, BALANCE) == ((ended := qasid("balance")).code, ended.out)
    assert 2 == world.emulator.count("refresh_token")


def test_ctrl_c_while_it_renews_loses_nothing(world: World, qasid: Command) -> None:
    """The command waits for the answer, keeps it, and ends then."""
    world.logged_in()
    world.emulator.advance(LONG)
    gate = world.emulator.held["refresh_token"] = Gate()
    with process("balance") as running:
        assert gate.came.wait(60)
        running.popen.send_signal(signal.SIGINT)
        gate.go.set()
        assert (130, "") == ((ended := running.ended()).code, ended.out)
    assert (0, BALANCE) == ((ended := qasid("balance")).code, ended.out)
    assert 1 == world.emulator.count("refresh_token")


def test_after_three_years_the_owner_is_asked_again(world: World, qasid: Command) -> None:
    """The error says how."""
    world.logged_in()
    world.emulator.advance(timedelta(days=3 * 366))
    ended = qasid("balance")
    assert REFUSED == ended.code
    assert "run: qasid login myonlinesim" in ended.err
    assert "REFRESH_TOKEN" not in ended.err


def test_a_refresh_token_in_the_settings_survives_its_rotation(
    world: World, qasid: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is void after the first process; what it gave is kept."""
    monkeypatch.setenv("QASID_MYONLINESIM_REFRESH_TOKEN", "REFRESH_TOKEN")
    for _ in range(2):
        assert (0, BALANCE) == ((ended := qasid("balance")).code, ended.out)
        world.emulator.advance(LONG)
    assert 2 == world.emulator.count("refresh_token")


def test_what_is_no_provider_keeps_nothing(
    qasid: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox has no tokens, and an emulator in this process ends with it."""
    settings = {"base_url": "emulator://myonlinesim", **MyOnlineSimEmulator.settings}
    for name, value in settings.items():
        monkeypatch.setenv(f"QASID_MYONLINESIM_{name.upper()}", value)
    for account in (PROVIDER, "sandbox"):
        assert 0 == qasid("balance", "--account", account).code
    assert not (tmp_path / "state").exists()
