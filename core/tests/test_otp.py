"""Codes are sent within limits, to whom they belong, and are good once."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

import qasid
from qasid import errors, otp
from qasid.codes import find_code
from qasid.drivers.aio import AsyncDriver, LoopClock
from qasid.drivers.plug import AsyncPlug, Plug
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.drivers.virtual_aio import VirtualLoop
from qasid.effects import Request, Response
from qasid.errors import InvalidRecipient, OtpLimitExceeded, SettingsError
from qasid.journal import schema
from qasid.journal.database import Database
from qasid.otp import Cap, CodeTemplate, CodeText, Conversion, Reason, Rules, Step
from qasid.otp.limits import Draft
from qasid.otp.store import Guess, Held, Right, Store
from qasid.phone import country
from qasid.routing import AsyncRoute, Route
from qasid_sandbox.emulator import SandboxEmulator

from .acme import TO, Awaited
from .databases import KINDS, database
from .routes import Ear

OTHER: Final = "+989121112244"
KEY: Final = "KEY-0f1e2d3c-KEY-0f1e2d3c"
TEXT: Final = CodeText("Your code is {code}.")
FREE: Final = Rules(cooldown=0, per_recipient=(), per_caller=(), conversion=None)
REFUSAL: Final = Response(status=402, body=b"{}")
SECOND: Final = timedelta(seconds=1)


def ruled(**changes: Any) -> Rules:
    """Rules that limit nothing but what is told."""
    return attrs.evolve(FREE, **changes)


@attrs.define
class Wall(VirtualClock):
    """A clock whose dates may be put back, as those of a machine."""

    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        """The date that it shows."""
        return VirtualClock.now(self) + self.ahead


@attrs.frozen(eq=False)
class Dated(LoopClock):
    """The event loop's clock, with the dates of a virtual one."""

    clock: VirtualClock

    def now(self) -> datetime:  # type: ignore[override]
        """The virtual date."""
        return self.clock.now()


@attrs.define(eq=False)
class World:
    """The sandbox's server, accounts there, and verifiers over them, in virtual time."""

    face: type[Any]
    url: str
    stack: contextlib.ExitStack
    clock: Wall = attrs.field(factory=Wall)
    emulator: SandboxEmulator = attrs.field(init=False)
    runner: asyncio.Runner = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.emulator = SandboxEmulator(clock=self.clock.now)
        runner = asyncio.Runner(loop_factory=lambda: VirtualLoop(self.clock))
        self.runner = self.stack.enter_context(runner)

    @property
    def is_async(self) -> bool:
        """Whether it is of coroutines."""
        return self.face is otp.AsyncVerifier

    def account(self, handle: Callable[[Request], Response] | None = None, **options: Any) -> Any:
        """An account there, or at whoever answers."""
        handle = handle or self.emulator.handle
        options = {"journal_url": self.url, "delay": 0, **options}
        if self.is_async:
            driver = AsyncDriver(AsyncPlug(Plug(handle, self.clock.now)), Dated(self.clock))
            return qasid.connect_async("sandbox", driver=driver, **options)
        return qasid.connect("sandbox", driver=virtual_driver(handle, self.clock), **options)

    def verifier(self, account: Any = None, **given: Any) -> Any:
        """A verifier that is used in the same way, whatever its face."""
        made = self.face(account or self.account(), **{"key": KEY, "rules": FREE, **given})
        self.stack.callback(made._database.close)
        return Awaited(made, self.runner) if self.is_async else made

    def route(self, *accounts: Any) -> Any:
        """A route over accounts, which go by the names a, b, and so on."""
        for name, account in zip("abc", accounts, strict=False):
            account._operations.name = name
        return (AsyncRoute if self.is_async else Route)("alerts", accounts)

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.seconds += seconds

    def put_back(self, seconds: float) -> None:
        """Put the dates back."""
        self.clock.ahead -= seconds * SECOND

    def code(self, to: str = TO) -> str:
        """The code that the phone was sent last."""
        texts = [item.text for item in self.emulator.outbox() if item.to == to]
        return find_code(texts[-1]) or ""

    def rows(self, table: sa.Table) -> list[Any]:
        """What stands in the database."""
        engine = sa.create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as run:
            found = run.execute(sa.select(table)).mappings().all()
        engine.dispose()
        return [*found]


def worlds(kind: str, face: type[Any], folder: Path) -> Iterator[World]:
    with database(kind, folder) as url, contextlib.ExitStack() as stack:
        yield World(face, url, stack)


@pytest.fixture(params=[otp.Verifier, otp.AsyncVerifier])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world of either face."""
    yield from worlds("sqlite", request.param, tmp_path)


@pytest.fixture(params=KINDS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world on either database."""
    yield from worlds(request.param, otp.Verifier, tmp_path)


both_kinds = pytest.mark.parametrize("text", [TEXT, None], ids=["made here", "held"])


def wrong(code: str) -> str:
    """Another code than that."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"


# What a code is good for.


@both_kinds
def test_the_code_that_was_sent_is_right_once(world: World, text: CodeText | None) -> None:
    """And in no digits of its own a second time."""
    verifier = world.verifier(text=text)
    issued = verifier.issue(TO, purpose="login")
    verdicts = [verifier.verify(TO, world.code(), purpose="login") for _ in range(2)]
    assert (TO, "login", "sandbox", 0) == (issued.to, issued.purpose, issued.account, issued.step)
    assert [(True, ""), (False, Reason.NO_CODE)] == [(v.accepted, v.reason) for v in verdicts]


@both_kinds
def test_a_code_may_be_typed_as_people_type(world: World, text: CodeText | None) -> None:
    """With blanks, dashes, and Persian digits."""
    verifier = world.verifier(text=text)
    verifier.issue(TO, purpose="login")
    code = world.code().translate({ord("0") + digit: 0x6F0 + digit for digit in range(10)})
    assert verifier.verify("0912 111 2233", f" {code[:3]}-{code[3:]} ", purpose="login")


@both_kinds
def test_a_wrong_code_is_a_verdict(world: World, text: CodeText | None) -> None:
    """The right one is right after it."""
    verifier = world.verifier(text=text)
    verifier.issue(TO, purpose="login")
    assert Reason.WRONG == verifier.verify(TO, wrong(world.code()), purpose="login").reason
    assert verifier.verify(TO, world.code(), purpose="login")


@both_kinds
def test_a_code_is_of_one_purpose_and_one_recipient(world: World, text: CodeText | None) -> None:
    """Nobody changes a password with a code for logging in."""
    verifier = world.verifier(text=text)
    verifier.issue(TO, purpose="login")
    code = world.code()
    asked = [(TO, "password"), (OTHER, "login")]
    verdicts = [verifier.verify(to, code, purpose=purpose) for to, purpose in asked]
    assert [Reason.NO_CODE] * 2 == [verdict.reason for verdict in verdicts]


def test_codes_that_are_made_here_stand_side_by_side_for_two_purposes(world: World) -> None:
    """Each is right for its own."""
    verifier = world.verifier(text=TEXT)
    codes = {}
    for purpose in ("login", "payment"):
        verifier.issue(TO, purpose=purpose)
        codes[purpose] = world.code()
    assert all(verifier.verify(TO, code, purpose=it) for it, code in codes.items())


def test_a_code_that_is_held_takes_the_place_of_one_for_another_purpose(world: World) -> None:
    """A provider holds one for a number, and cannot tell what for."""
    verifier = world.verifier()
    for purpose in ("login", "payment"):
        verifier.issue(TO, purpose=purpose)
    verdicts = [verifier.verify(TO, world.code(), purpose=it) for it in ("login", "payment")]
    assert [Reason.NO_CODE, ""] == [verdict.reason for verdict in verdicts]


@both_kinds
def test_a_code_ends(world: World, text: CodeText | None) -> None:
    """With the last second of its life."""
    verifier = world.verifier(text=text, rules=ruled(lifetime=60))
    issued = verifier.issue(TO, purpose="login")
    assert world.clock.now() + 60 * SECOND == issued.expires_at
    world.pass_(60)
    assert Reason.EXPIRED == verifier.verify(TO, world.code(), purpose="login").reason


def test_another_code_takes_the_place_of_the_one_before(world: World) -> None:
    """Also where the clock went back in between."""
    verifier = world.verifier(text=TEXT)
    codes = []
    for back in (3_600, 0):
        verifier.issue(TO, purpose="login")
        codes.append(world.code())
        world.put_back(back)
    verdicts = [verifier.verify(TO, code, purpose="login") for code in codes]
    assert [Reason.WRONG, ""] == [verdict.reason for verdict in verdicts]


@pytest.mark.parametrize("entered", ["", "abc", "12a4", "1" * 11, "½"])
def test_what_is_no_code_is_not_compared(world: World, entered: str) -> None:
    """Nor does it count as a guess."""
    verifier = world.verifier(text=TEXT)
    verifier.issue(TO, purpose="login")
    for _ in range(10):
        assert Reason.NOT_A_CODE == verifier.verify(TO, entered, purpose="login").reason
    assert verifier.verify(TO, world.code(), purpose="login")


def test_a_code_that_was_never_issued_is_rejected(world: World) -> None:
    """And nothing is asked of anybody, or written."""
    verifier = world.verifier()
    assert Reason.NO_CODE == verifier.verify(TO, "123456", purpose="login").reason
    assert [] == world.rows(schema.otp_guesses)


def test_codes_are_kept_over_processes(world: World) -> None:
    """With the same key and database; with another key nothing is known of them."""
    world.verifier(text=TEXT).issue(TO, purpose="login")
    code = world.code()
    stranger = world.verifier(text=TEXT, key="another key of 16 bytes or more")
    assert Reason.NO_CODE == stranger.verify(TO, code, purpose="login").reason
    assert world.verifier(text=TEXT).verify(TO, code, purpose="login")


def test_nothing_that_is_kept_tells_a_code_a_recipient_or_a_caller(world: World) -> None:
    """Not even the same digest for the same code."""
    verifier = world.verifier(text=TEXT)
    for purpose in ("login", "payment"):
        issued = verifier.issue(TO, purpose=purpose, caller="203.0.113.7")
        assert world.code() not in repr(issued)
    rows = world.rows(schema.otp_code)
    text = repr(rows) + repr(world.rows(schema.otp_guesses))
    assert not [it for it in (TO, TO[1:], "203.0.113.7", KEY, world.code()) if it in text]
    assert 2 == len({row["digest"] for row in rows})


# Guesses.


@both_kinds
def test_so_many_guesses_are_compared_and_no_more(world: World, text: CodeText | None) -> None:
    """Then the right one is of no use either, until the time is over."""
    verifier = world.verifier(text=text, rules=ruled(lifetime=3_600))
    verifier.issue(TO, purpose="login")
    code = world.code()
    made = [verifier.verify(TO, wrong(code), purpose="login").reason for _ in range(6)]
    assert [Reason.WRONG] * 5 + [Reason.TOO_MANY_GUESSES] == made
    assert Reason.TOO_MANY_GUESSES == verifier.verify(TO, code, purpose="login").reason
    world.pass_(15 * 60)
    assert verifier.verify(TO, code, purpose="login")


def test_another_code_gives_no_more_guesses(world: World) -> None:
    """Nor does one for another purpose: they are counted for the recipient."""
    verifier = world.verifier(text=TEXT)
    reasons = []
    for purpose in ("login", "login", "payment", "login", "payment", "login"):
        verifier.issue(TO, purpose=purpose)
        reasons.append(verifier.verify(TO, wrong(world.code()), purpose=purpose).reason)
    assert [Reason.WRONG] * 5 + [Reason.TOO_MANY_GUESSES] == reasons


def test_the_right_code_sets_the_guesses_back(world: World) -> None:
    """Who has it is the one who may."""
    verifier = world.verifier(text=TEXT)
    for _ in range(3):
        verifier.issue(TO, purpose="login")
        code = world.code()
        for _ in range(4):
            assert Reason.WRONG == verifier.verify(TO, wrong(code), purpose="login").reason
        assert verifier.verify(TO, code, purpose="login")


def test_a_guess_that_surely_was_not_compared_is_given_back(world: World) -> None:
    """As the provider says."""
    verifier = world.verifier()
    verifier.issue(TO, purpose="login")
    for _ in range(6):
        world.emulator.fail_next(REFUSAL)
        with pytest.raises(errors.InsufficientCredit):
            verifier.verify(TO, world.code(), purpose="login")
    assert verifier.verify(TO, world.code(), purpose="login")


def test_a_guess_whose_answer_was_lost_counts(world: World) -> None:
    """It may have been compared."""
    verifier = world.verifier(rules=ruled(guesses=Cap(1, 900)))
    verifier.issue(TO, purpose="login")
    world.emulator.fail_next(Response(status=200, body=b"cut"))
    with pytest.raises(errors.ProtocolError):
        verifier.verify(TO, world.code(), purpose="login")
    assert Reason.TOO_MANY_GUESSES == verifier.verify(TO, world.code(), purpose="login").reason


def store(world: World, rules: Rules = FREE, **given: Any) -> Store:
    """What is below a verifier."""
    kept = Database("verifier", world.url, durable=False)
    world.stack.callback(kept.close)
    return Store(kept, rules, **given)


def draft(name: str = "i", **changes: Any) -> Draft:
    """A code that is about to be sent, to a recipient whose digest is ``r``."""
    made = {"recipient": "r", "purpose": "login", "prefix": "+98", "caller": None, "digest": name}
    return Draft(id=name, **{**made, **changes})


def guess(token: str, digest: str) -> Guess:
    """A guess at it."""
    return Guess(token=token, recipient="r", purpose="login", digest_of=lambda _: digest)


def test_of_ten_thousand_parallel_guesses_no_more_than_allowed_are_compared(kept: World) -> None:
    """Whoever is how fast; counted where they are compared."""
    compared: list[str] = []

    def same(kept_one: str, given_one: str) -> bool:
        compared.append(given_one)
        return kept_one == given_one

    codes = store(kept, same=same)
    codes.admit(draft(), [False], 0, kept.clock.now())
    with ThreadPoolExecutor(32) as pool:
        made = pool.map(
            lambda n: codes.check(guess(f"t{n}", f"wrong {n}"), kept.clock.now()), range(10_000)
        )
        reasons = Counter(made)
    assert {Reason.WRONG: 5, Reason.TOO_MANY_GUESSES: 9_995} == reasons
    assert 5 == len(compared)


def test_of_parallel_right_guesses_one_is_accepted(kept: World) -> None:
    """A code is good once, also at the same moment."""
    codes = store(kept)
    codes.admit(draft(digest="right"), [False], 0, kept.clock.now())
    with ThreadPoolExecutor(16) as pool:
        made = pool.map(lambda n: codes.check(guess(f"t{n}", "right"), kept.clock.now()), range(64))
        assert {Right(): 1, Reason.NO_CODE: 63} == Counter(made)


def test_a_held_code_is_spent_once_though_the_provider_accepts_it_again(kept: World) -> None:
    """Two answers at one moment are one yes."""
    codes = store(kept)
    codes.admit(draft(), [True], 0, kept.clock.now())
    guesses = [guess(f"t{n}", "") for n in range(2)]
    found = [codes.check(it, kept.clock.now()) for it in guesses]
    assert [Held("i", None, 0)] * 2 == found
    assert [True, False] == [codes.spend("i", it, kept.clock.now()) for it in guesses]


def test_what_is_done_twice_is_done_once(kept: World) -> None:
    """The first answer of a database that was restarted may have been lost."""
    codes, now = store(kept, ruled(cooldown=60)), kept.clock.now()
    assert [0, 0] == [codes.admit(draft(digest="d"), [False], 0, now) for _ in range(2)]
    assert [Right(), Right()] == [codes.check(guess("t", "d"), now) for _ in range(2)]
    held = draft("j", recipient="q")
    codes.admit(held, [True], 0, now)
    mine = attrs.evolve(guess("u", ""), recipient="q")
    assert [True, True] == [codes.spend("j", mine, now) for _ in range(2)]


def test_parallel_issues_keep_to_a_cap(kept: World) -> None:
    """However many ask at once."""
    codes = store(kept, ruled(in_all=Cap(7, 60)))
    drafts = [draft(f"{n}", recipient=f"r{n}") for n in range(40)]
    with ThreadPoolExecutor(16) as pool:
        made = [*pool.map(lambda it: codes.admit(it, [False], 0, kept.clock.now()), drafts)]
    assert (7, 33) == (made.count(0), len([it for it in made if it != 0]))


# Limits.


def limit(act: Callable[[], object]) -> tuple[str, float]:
    """Which one says no, and for how long."""
    with pytest.raises(OtpLimitExceeded) as caught:
        act()
    seconds = caught.value.retry_after.total_seconds()
    assert re.search(
        rf"^{caught.value.limit}: .*; nothing was sent, .* in \d+ s$", f"{caught.value}"
    )
    return caught.value.limit, seconds


def test_a_recipient_is_left_alone_for_the_cooldown(world: World) -> None:
    """For every purpose, and to the second; nothing is sent meanwhile."""
    verifier = world.verifier(text=TEXT, rules=ruled(cooldown=60))
    issued = verifier.issue(TO, purpose="login")
    world.pass_(20)
    assert ("cooldown", 40) == limit(lambda: verifier.issue(TO, purpose="payment"))
    assert 1 == len(world.emulator.outbox())
    world.pass_(40)
    assert issued.resend_at == world.clock.now()
    verifier.issue(TO, purpose="login")


def test_a_clock_that_goes_back_makes_no_cooldown_of_years(world: World) -> None:
    """What was sent in the future is no measure of it."""
    verifier = world.verifier(text=TEXT, rules=ruled(cooldown=60))
    for back in (90_000, 0):
        verifier.issue(TO, purpose="login")
        world.put_back(back)
    assert ("cooldown", 60) == limit(lambda: verifier.issue(TO, purpose="login"))


def numbers(count: int, start: str = "+98912200") -> list[str]:
    """So many Iranian mobiles."""
    return [f"{start}{n:04}" for n in range(1_000, 1_000 + count)]


CAPPED: Final[dict[str, list[tuple[str, str | None]]]] = {
    "per_recipient": [(TO, None)] * 3,
    "per_caller": [(to, "203.0.113.7") for to in numbers(3)],
    "per_prefix": [(to, None) for to in numbers(3)],
    "in_all": [("+966501234567", None), *((to, None) for to in numbers(2))],
}


@pytest.mark.parametrize("name", CAPPED)
def test_a_cap_holds_until_the_oldest_code_is_old_enough(world: World, name: str) -> None:
    """Not longer; and others are not held by it."""
    verifier = world.verifier(text=TEXT, rules=ruled(**{name: Cap(2, 3_600)}))
    *first, (to, caller) = CAPPED[name]
    for number, who in first:
        verifier.issue(number, purpose="login", caller=who)
        world.pass_(100)
    assert (name, 3_400) == limit(lambda: verifier.issue(to, purpose="login", caller=caller))
    world.pass_(3_400)
    verifier.issue(to, purpose="login", caller=caller)


def test_one_is_not_held_by_the_caps_of_others(world: World) -> None:
    """Another recipient, caller and prefix are free."""
    caps: Any = {name: Cap(1, 3_600) for name in ("per_recipient", "per_caller", "per_prefix")}
    verifier = world.verifier(text=TEXT, rules=ruled(**caps))
    verifier.issue(TO, purpose="login", caller="203.0.113.7")
    verifier.issue("+966501234567", purpose="login", caller="203.0.113.8")
    assert 2 == len(world.emulator.outbox())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::7", "2001:DB8:1:2:ffff::8", True),  # one line has all of a /64
        ("2001:db8:1:2::7", "2001:db8:1:3::7", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:203.0.113.7", "203.0.113.7", True),  # as a socket for both shows it
        ("203.0.113.7", "203.0.113.8", False),
        ("tenant 7", "tenant 8", False),
    ],
)
def test_an_address_counts_for_its_network(world: World, one: str, other: str, same: bool) -> None:
    """Of an IPv6 address that is the /64: nobody gets more by the others that they have."""
    verifier = world.verifier(text=TEXT, rules=ruled(per_caller=Cap(1, 3_600)))
    verifier.issue(TO, purpose="login", caller=one)
    again = functools.partial(verifier.issue, "+966501234567", purpose="login", caller=other)
    if same:
        assert ("per_caller", 3_600) == limit(again)
    else:
        again()


def test_of_several_caps_each_holds(world: World) -> None:
    """The short one first, then the long one."""
    caps = (Cap(1, 60), Cap(2, 3_600))
    verifier = world.verifier(text=TEXT, rules=ruled(per_recipient=caps))
    verifier.issue(TO, purpose="login")
    assert ("per_recipient", 60) == limit(lambda: verifier.issue(TO, purpose="login"))
    world.pass_(60)
    verifier.issue(TO, purpose="login")
    world.pass_(60)
    assert ("per_recipient", 3_480) == limit(lambda: verifier.issue(TO, purpose="login"))


def test_no_code_goes_to_a_country_that_is_not_named(world: World) -> None:
    """Neither the number is shown, nor anything sent."""
    verifier = world.verifier(text=TEXT, rules=ruled(countries=["ir"]))
    verifier.issue(TO, purpose="login")
    with pytest.raises(
        InvalidRecipient, match="a number of SA, to which no codes are sent"
    ) as error:
        verifier.issue("+966501234567", purpose="login")
    assert "966" not in str(error.value)
    with pytest.raises(InvalidRecipient, match="a number of no country"):
        verifier.issue("+881612345678", purpose="login")
    assert 1 == len(world.emulator.outbox())


def test_the_defaults_are_limits(world: World) -> None:
    """Who sets nothing is not without protection."""
    verifier = world.verifier(text=TEXT, rules=None)
    assert Rules() == (verifier.account if world.is_async else verifier).rules
    for _ in range(5):
        verifier.issue(TO, purpose="login")
        world.pass_(60)
    assert ("per_recipient", 3_300) == limit(lambda: verifier.issue(TO, purpose="login"))


def test_what_no_rule_asks_for_any_more_is_forgotten(world: World) -> None:
    """Codes, counters and pauses; what is still counted is not."""
    rules = ruled(in_all=(), per_prefix=Cap(100, 3_600))
    verifier = world.verifier(text=TEXT, rules=rules)
    verifier.issue(TO, purpose="login")
    world.pass_(3_599)
    verifier.issue(OTHER, purpose="login")
    assert 2 == len(world.rows(schema.otp_code)) == len(world.rows(schema.otp_guesses))
    world.pass_(2)
    verifier.issue(OTHER, purpose="login")
    assert 2 == len(world.rows(schema.otp_code))
    assert 1 == len(world.rows(schema.otp_guesses))


def test_a_counter_lives_as_long_as_the_code_that_needs_it(world: World) -> None:
    """One from long ago begins anew with the next code."""
    rules = Rules(cooldown=0, per_caller=(), per_prefix=(), in_all=(), conversion=None)
    rules = attrs.evolve(rules, per_recipient=(), lifetime=3_600)
    verifier = world.verifier(text=TEXT, rules=rules)
    verifier.issue(TO, purpose="login")
    world.pass_(4_000)
    verifier.issue(TO, purpose="login")
    world.pass_(3_000)
    verifier.issue(OTHER, purpose="login")  # forgets what is old
    assert verifier.verify(TO, world.code(), purpose="login")


# Pumping.


def pumped(world: World, verifier: Any, count: int, *, good: int = 0, every: float = 1.0) -> int:
    """So many strangers ask, `good` of each ten enter their code; gives how many were sent one."""
    sent = 0
    start = f"+989{int(world.clock.seconds) % 100_000:05}"
    for n, to in enumerate(numbers(count, start)):
        world.pass_(every)
        with contextlib.suppress(OtpLimitExceeded):
            verifier.issue(to, purpose="login")
            sent += 1
            if n % 10 < good:
                verifier.verify(to, world.code(to), purpose="login")
    return sent


GUARDED: Final = ruled(per_prefix=(), in_all=(), conversion=Conversion())


def test_a_prefix_to_which_nobody_enters_codes_is_paused(world: World) -> None:
    """Six hundred requests of a pump, one a second, are worth 100 texts; and listeners know."""
    world.emulator.fund(qasid.Money("1000", "USD"))
    ear = Ear()
    verifier = world.verifier(text=TEXT, rules=GUARDED, listeners=[ear])
    assert 100 == pumped(world, verifier, 600)
    event = ear.only("on_prefix_paused")
    assert ("+98", 0, timedelta(hours=1)) == (event.prefix, event.verified, event.paused_for)
    assert event.recipients >= 20
    name, wait = limit(lambda: verifier.issue(TO, purpose="login"))
    assert ("conversion", True) == (name, 3_000 < wait < 3_600)


def test_other_prefixes_go_on(world: World) -> None:
    """A pump of Iranian numbers keeps nobody in Saudi Arabia out."""
    world.emulator.fund(qasid.Money("1000", "USD"))
    verifier = world.verifier(text=TEXT, rules=GUARDED)
    pumped(world, verifier, 200)
    verifier.issue("+966501234567", purpose="login")


def test_after_a_pause_a_new_sample_decides_and_the_next_pause_is_longer(world: World) -> None:
    """20 texts an hour, then 20 in two, and so on: a pump gets less and less."""
    world.emulator.fund(qasid.Money("1000", "USD"))
    verifier = world.verifier(text=TEXT, rules=GUARDED)
    assert 100 == pumped(world, verifier, 200)
    told = []
    for _ in range(6):
        pause = world.rows(schema.otp_pause)[0]
        told.append((pause["times"], pause["ends_at"] - pause["began_at"]))
        world.clock.seconds += (pause["ends_at"] - world.clock.now()).total_seconds()
        assert 20 == pumped(world, verifier, 150)
    hours = [length / timedelta(hours=1) for _, length in told]
    assert [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 24)] == [
        (times, hour) for (times, _), hour in zip(told, hours, strict=True)
    ]


def test_a_pause_long_ago_counts_for_nothing(world: World) -> None:
    """The first one again is of an hour."""
    world.emulator.fund(qasid.Money("1000", "USD"))
    verifier = world.verifier(text=TEXT, rules=GUARDED)
    pumped(world, verifier, 200)
    world.pass_(30 * 3_600)
    pumped(world, verifier, 200)
    (pause,) = world.rows(schema.otp_pause)
    assert 1 == pause["times"]


def test_people_are_not_taken_for_a_pump(world: World) -> None:
    """Three of ten who are slow, or never enter it, are nothing unusual."""
    world.emulator.fund(qasid.Money("1000", "USD"))
    verifier = world.verifier(text=TEXT, rules=GUARDED)
    assert 300 == pumped(world, verifier, 300, good=7)


def test_a_pump_among_people_is_found_by_its_share(world: World) -> None:
    """Where one of ten enters the code, and two are asked for."""
    world.emulator.fund(qasid.Money("1000", "USD"))
    rules = attrs.evolve(GUARDED, conversion=Conversion(least=0.2))
    verifier = world.verifier(text=TEXT, rules=rules)
    assert 150 > pumped(world, verifier, 400, good=1)


def test_nobody_is_faster_than_their_patience(world: World) -> None:
    """In the first two minutes no more than `burst` are sent a code that nobody enters."""
    world.emulator.fund(qasid.Money("1000", "USD"))
    verifier = world.verifier(text=TEXT, rules=GUARDED)
    assert 100 == pumped(world, verifier, 300, every=0.01)
    assert [] == world.rows(schema.otp_pause)
    name, wait = limit(lambda: verifier.issue(TO, purpose="login"))
    assert ("conversion", 120) == (name, wait)


def test_with_no_least_share_nothing_is_paused(world: World) -> None:
    """Zero of all is enough."""
    world.emulator.fund(qasid.Money("1000", "USD"))
    rules = attrs.evolve(GUARDED, conversion=Conversion(least=0))
    assert 200 == pumped(world, world.verifier(text=TEXT, rules=rules), 200)


# How it is sent.


def test_a_text_has_its_code_and_its_minutes(world: World) -> None:
    """From its sender, and its segments are told."""
    text = CodeText("Acme: {code} ({minutes} min, {{x}})", sender="Acme")
    issued = world.verifier(text=text).issue(TO, purpose="login")
    (item,) = world.emulator.outbox()
    assert re.fullmatch(r"Acme: \d{6} \(5 min, \{x\}\)", item.text)
    assert ("Acme", 1, "msg") == (item.sender, issued.segments.count, issued.receipt.id[:3])


def test_the_last_line_binds_the_code_to_the_site(world: World) -> None:
    """As browsers read it."""
    text = CodeText("Your code is {code}.", domain="login.example.com")
    world.verifier(text=text).issue(TO, purpose="login")
    lines = world.emulator.outbox()[0].text.splitlines()
    assert f"@login.example.com #{world.code()}" == lines[-1]
    assert f"Your code is {world.code()}." == lines[0]


def test_a_template_of_the_provider_takes_the_code(world: World) -> None:
    """Beside its other values."""
    text = CodeTemplate("login", code="otp", values={"shop": "Acme"})
    verifier = world.verifier(text=text, rules=ruled(length=8))
    issued = verifier.issue(TO, purpose="login")
    (item,) = world.emulator.outbox()
    found = re.fullmatch(r"\[login\] shop=Acme otp=(\d{8})", item.text)
    assert found
    assert issued.segments is None
    assert verifier.verify(TO, found[1], purpose="login")


def test_a_code_that_is_held_goes_by_its_channel(world: World) -> None:
    """And what to dial is told."""
    issued = world.verifier(channel="ussd").issue(TO, purpose="login")
    assert re.fullmatch(r"\*999\*[0-9]{4}#", issued.dial)
    assert issued.receipt is issued.segments is None


def test_who_asks_again_gets_it_by_the_next_step(world: World) -> None:
    """The last one stays; after a code that was used or is over it begins anew."""
    steps = [Step(channel="voice"), Step(channel="ussd")]
    verifier = world.verifier(text=TEXT, then=steps)
    issued = [verifier.issue(TO, purpose="login") for _ in range(4)]
    assert [0, 1, 2, 2] == [it.step for it in issued]
    assert issued[-1].dial
    assert verifier.verify(TO, world.code(), purpose="login")
    assert 0 == verifier.issue(TO, purpose="login").step
    world.pass_(301)
    assert 0 == verifier.issue(TO, purpose="login").step


def test_a_step_that_surely_did_not_send_it_is_followed_by_the_next(world: World) -> None:
    """At once; and listeners are told, though it worked."""
    ear = Ear()
    verifier = world.verifier(text=TEXT, then=[Step(channel="voice")], listeners=[ear])
    world.emulator.fail_next(REFUSAL)
    issued = verifier.issue(TO, purpose="login")
    assert (1, True) == (issued.step, verifier.verify(TO, world.code(), purpose="login").accepted)
    event = ear.only("on_fallback")
    assert ("verifier", "otp", "sandbox") == (event.route, event.operation, event.account)
    assert [("sandbox", "InsufficientCredit")] == [
        (p.account, p.because) for p in event.passed_over
    ]


def test_a_fallback_to_a_text_is_told_as_a_send(world: World) -> None:
    """From a provider that holds codes to one that only sends."""
    ear, other = Ear(), SandboxEmulator(clock=world.clock.now)
    other.fail_next(REFUSAL)
    verifier = world.verifier(
        world.account(other.handle),
        then=[Step(text=TEXT, account=world.account())],
        listeners=[ear],
    )
    assert 1 == verifier.issue(TO, purpose="login").step
    assert "send" == ear.only("on_fallback").operation
    assert verifier.verify(TO, world.code(), purpose="login")


def test_what_is_the_recipients_is_not_tried_again(world: World) -> None:
    """By any other step."""
    verifier = world.verifier(text=TEXT, then=[Step(channel="voice")])
    with pytest.raises(errors.RecipientOptedOut):
        verifier.issue("+989120000002", purpose="login")
    assert [] == world.emulator.outbox()


def test_a_code_that_was_surely_not_sent_counts_for_nothing(world: World) -> None:
    """And the one before it is good."""
    rules = ruled(per_recipient=Cap(2, 3_600))
    verifier = world.verifier(text=TEXT, rules=rules)
    verifier.issue(TO, purpose="login")
    for _ in range(3):
        world.emulator.fail_next(REFUSAL)
        with pytest.raises(errors.InsufficientCredit):
            verifier.issue(TO, purpose="login")
    assert verifier.verify(TO, world.code(), purpose="login")
    verifier.issue(TO, purpose="login")


def test_after_an_unknown_outcome_the_code_is_good_if_it_arrives(world: World) -> None:
    """It is not sent again by itself, and counts."""
    rules = ruled(cooldown=60)
    verifier = world.verifier(text=TEXT, then=[Step(channel="voice")], rules=rules)
    verifier.issue(OTHER, purpose="login")
    world.emulator.fail_next(Response(status=200, body=b"nothing"), performed=True)
    with pytest.raises(errors.ProviderError) as caught:
        verifier.issue(TO, purpose="login")
    assert errors.Outcome.UNKNOWN is caught.value.outcome
    assert 2 == len(world.emulator.outbox())
    assert ("cooldown", 60) == limit(lambda: verifier.issue(TO, purpose="login"))
    assert verifier.verify(TO, world.code(), purpose="login")


def test_a_verifier_is_a_context_manager(tmp_path: Path) -> None:
    """Its account stays open."""
    url = f"sqlite:///{tmp_path}/journal.sqlite3"

    async def awaited() -> qasid.OtpVerdict:
        async with (
            qasid.connect_async("sandbox", base_url="emulator://sandbox") as account,
            otp.AsyncVerifier(account, key=KEY, database=url) as verifier,
        ):
            return await verifier.verify(TO, "1234", purpose="login")

    assert not asyncio.run(awaited())
    with qasid.connect("sandbox", base_url="emulator://sandbox") as account:
        with otp.Verifier(account, key=KEY, database=url) as verifier:
            assert not verifier.verify(TO, "1234", purpose="login")
        assert account.balance()


def test_its_time_is_counted_from_when_it_was_let_out(world: World) -> None:
    """However long the provider takes: what is told is what is kept."""

    def slow(request: Request) -> Response:
        world.pass_(20)
        return world.emulator.handle(request)

    rules = ruled(lifetime=60, cooldown=60)
    issued = world.verifier(world.account(slow), text=TEXT, rules=rules).issue(TO, purpose="login")
    (row,) = world.rows(schema.otp_code)
    assert row["expires_at"] == issued.expires_at == issued.resend_at
    assert issued.expires_at < world.clock.now() + 60 * SECOND


# Over routes.


def test_over_a_route_the_code_goes_by_who_sends_it(world: World) -> None:
    """Made here, so that it is right whoever did."""
    down = SandboxEmulator(clock=world.clock.now)
    route = world.route(world.account(down.handle), world.account())
    verifier = world.verifier(route, text=TEXT)
    down.fail_next(REFUSAL)
    issued = verifier.issue(TO, purpose="login")
    assert "b" == issued.account
    assert verifier.verify(TO, world.code(), purpose="login")


def test_over_a_route_a_held_code_is_verified_where_it_is_held(world: World) -> None:
    """Also by another process, which did not send it."""
    down = SandboxEmulator(clock=world.clock.now)
    issuing = world.verifier(world.route(world.account(down.handle), world.account(seed=7)))
    down.fail_next(REFUSAL)
    assert "b" == issuing.issue(TO, purpose="login").account
    verifying = world.verifier(world.route(world.account(down.handle), world.account(seed=7)))
    assert verifying.verify(TO, world.code(), purpose="login")


# What cannot be.


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"key": "short"}, "field 'key': is shorter than 16 bytes; make one with"),
        ({"text": TEXT, "channel": "sms"}, "field 'channel': is only for codes that the provider"),
        ({"database": "mysql://x"}, "field 'journal_url'"),
    ],
)
def test_what_a_verifier_cannot_be_made_of_is_refused(
    world: World, given: dict[str, Any], told: str
) -> None:
    """With the field and the remedy."""
    with pytest.raises(SettingsError, match=re.escape(told)) as caught:
        world.verifier(**given)
    assert "short;" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("purpose", {"purpose": ""}),
        ("purpose", {"purpose": "x" * 65}),
        ("purpose", {"purpose": "a\nb"}),
        ("caller", {"purpose": "login", "caller": ""}),
        ("caller", {"purpose": "login", "caller": "x" * 201}),
    ],
)
def test_a_name_that_is_none_is_refused(world: World, field: str, given: dict[str, Any]) -> None:
    """Before anything is written or sent."""
    with pytest.raises(errors.InvalidRequest, match=f"^{field} must be a text of 1 to"):
        world.verifier(text=TEXT).issue(TO, **given)
    assert [] == world.emulator.outbox()


def test_an_account_that_lacks_what_a_step_needs_is_refused(world: World) -> None:
    """With what would do."""
    account = world.account()
    line = account._operations.line
    line._implemented = line._implemented - {"verify_otp"}
    with pytest.raises(SettingsError, match=r"'sandbox' has no verify_otp; give a text"):
        world.verifier(account)
    line._implemented = line._implemented - {"send"}
    with pytest.raises(SettingsError, match=r"'sandbox' has no verify_otp; use an account"):
        world.verifier(account)
    with pytest.raises(SettingsError, match=r"field 'step 1': 'sandbox' has no send"):
        world.verifier(world.account(), then=[Step(text=TEXT, account=account)])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no place", "text has no {code}"),
        ("{code} {name}", "no other braces"),
        ("{code.x}", "no other braces"),
        ("{code:>9}", "no other braces"),
        ("{code!r}", "no other braces"),
        ("{minutes}", "text has no {code}"),
        ("{code", "expected '}'"),
    ],
)
def test_a_text_that_cannot_be_filled_is_refused(text: str, told: str) -> None:
    """When it is made, and not when somebody waits for it."""
    with pytest.raises(ValueError, match=re.escape(told)):
        CodeText(text)


@pytest.mark.parametrize("domain", ["", "example", "Example.com", "https://example.com", "a b.com"])
def test_what_is_no_domain_is_refused(domain: str) -> None:
    """No browser would know it."""
    with pytest.raises(ValueError, match="domain must be a name such as"):
        CodeText("{code}", domain=domain)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("length", {"length": 3}),
        ("length", {"length": 11}),
        ("lifetime", {"lifetime": 0}),
        ("countries", {"countries": []}),
        ("countries", {"countries": ["Iran"]}),
        ("countries", {"countries": "1R"}),
    ],
)
def test_a_rule_that_is_none_is_refused(field: str, given: dict[str, Any]) -> None:
    """By its name."""
    with pytest.raises(ValueError, match=field):
        Rules(**given)


@pytest.mark.parametrize("given", [(0, 60), (1, 0), (1.5, 60)])
def test_a_cap_of_nothing_is_refused(given: tuple[Any, Any]) -> None:
    """Whether the number or the time is none."""
    with pytest.raises((ValueError, TypeError)):
        Cap(*given)


def test_one_country_and_one_cap_need_no_brackets() -> None:
    """They are as several of one."""
    rules = Rules(countries="ir", per_prefix=Cap(1, 60))
    assert (frozenset({"IR"}), (Cap(1, 60),)) == (rules.countries, rules.per_prefix)


@given(length=st.integers(4, 10))
@settings(max_examples=30)
def test_a_code_has_as_many_digits_as_are_asked_for(length: int) -> None:
    """Also where it begins with zeros."""
    assert re.fullmatch(rf"[0-9]{{{length}}}", otp.digests.new_code(length))


@pytest.mark.parametrize(
    ("number", "known"),
    [
        (TO, ("+98", "IR")),
        ("+982188776655", ("+98", "IR")),
        ("+966501234567", ("+966", "SA")),
        ("+12025550123", ("+1", "US")),
        ("+881612345678", ("+881", None)),
    ],
)
def test_a_number_has_a_prefix_and_a_region(number: str, known: tuple[str, str | None]) -> None:
    """Some prefixes are of no region, and some of several."""
    found = country(number)
    assert known == found


# The key of this user.


def test_this_users_key_is_made_once_and_for_them_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many processes ask first."""
    monkeypatch.setenv("QASID_STATE_DIR", str(tmp_path / "state"))
    with ThreadPoolExecutor(16) as pool:
        keys = {*pool.map(lambda _: otp.own_key(), range(64))}
    assert (1, 64) == (len(keys), len(keys.pop()))
    (file,) = (tmp_path / "state").iterdir()
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)


def test_a_key_that_leads_nowhere_is_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not made anew, as codes were sent with the one that was there; nothing is left over."""
    monkeypatch.setenv("QASID_STATE_DIR", str(tmp_path))
    (tmp_path / "otp.key").symlink_to(tmp_path / "gone")
    with pytest.raises(SettingsError, match=r"otp\.key cannot be used \(FileNotFoundError\)"):
        otp.own_key()
    assert ["otp.key"] == [path.name for path in tmp_path.iterdir()]


def test_a_key_that_cannot_be_made_is_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the remedy."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QASID_STATE_DIR", str(tmp_path / "file"))
    with pytest.raises(SettingsError, match=r"otp\.key cannot be used \(\w+\); let it be written"):
        otp.own_key()


# Faults of the database.


def test_a_database_that_cannot_be_used_sends_nothing(world: World, tmp_path: Path) -> None:
    """A limit that cannot be counted is not obeyed."""
    verifier = world.verifier(text=TEXT, database=f"sqlite:///{tmp_path}")
    with pytest.raises(errors.JournalUnavailable):
        verifier.issue(TO, purpose="login")
    with pytest.raises(errors.JournalUnavailable):
        verifier.verify(TO, "123456", purpose="login")
    assert [] == world.emulator.outbox()


@pytest.mark.parametrize("answer", [None, REFUSAL], ids=["sent", "not sent"])
def test_what_happened_is_told_though_it_cannot_be_noted(
    world: World, caplog: pytest.LogCaptureFixture, answer: Response | None
) -> None:
    """The code was written down before; that it went, or not, is in the log."""

    def handle(request: Request) -> Response:
        if not request.path.endswith("/messages"):
            return world.emulator.handle(request)
        with contextlib.closing(sqlite3.connect(world.url.removeprefix("sqlite:///"))) as run:
            run.execute("ALTER TABLE otp_code RENAME TO otp_lost")
        return answer or world.emulator.handle(request)

    verifier = world.verifier(world.account(handle), text=TEXT)
    if answer is None:
        assert verifier.issue(TO, purpose="login")
    else:
        with pytest.raises(errors.InsufficientCredit):
            verifier.issue(TO, purpose="login")
    assert "what became of a code was not written down: the journal" in caplog.text
