"""Routes are written in qasid.toml; what is wrong there is one error, before anything is opened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import qasid
from qasid.drivers.virtual import VirtualClock, virtual_driver
from qasid.errors import ProviderNotFound, SettingsError
from qasid.routing import ByPrefix, Failover, Pinned, Route, Tolerance, Weighted
from qasid.routing.tables import FIELDS, table_of

from .acme import TO
from .commandline import settle
from .routes import Ear, blocking, servers

ACCOUNTS: Final = """
[accounts.work]
provider = "sandbox"
delay = 0
[accounts.spare]
provider = "sandbox"
delay = 0
"""
HELLO: Final = qasid.TextMessage(to=TO, text="hello")


@pytest.fixture
def write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Write the table of the route `alerts`, beside two accounts."""
    settle(monkeypatch, tmp_path)

    def written(table: str) -> None:
        Path("qasid.toml").write_text(f"{ACCOUNTS}\n[routes.alerts]\n{table}\n")

    return written


BOTH: Final = 'accounts = ["work", "spare"]\n'


def test_a_route_is_opened_by_its_name(write: Callable[[str], None]) -> None:
    """By `connect_route`, and by `connect` where no account has the name."""
    write(BOTH)
    for opening in (qasid.connect_route, qasid.connect):
        with opening("alerts") as route:
            assert isinstance(route, Route)
            assert ("alerts", ["work", "spare"]) == (route.name, list(route.accounts))
            assert route.send(HELLO).account == "work"


def test_a_route_is_opened_for_an_event_loop(write: Callable[[str], None]) -> None:
    """By `connect_route_async`, and by `connect_async`."""
    write(BOTH)

    async def sent(opening: Callable[[str], Any]) -> Any:
        async with opening("alerts") as route:
            return (await route.send(HELLO)).account

    assert "work" == asyncio.run(sent(qasid.connect_route_async))
    assert "work" == asyncio.run(sent(qasid.connect_async))


def test_what_a_route_is_opened_with_goes_to_each_account(write: Callable[[str], None]) -> None:
    """A driver, options, and listeners, of an iterator too."""
    write(BOTH)
    ear, clock, asked = Ear(), VirtualClock(), 0

    def handle(request: Any) -> Any:
        nonlocal asked
        asked += 1
        raise qasid.ConnectFailed("down")

    driver = virtual_driver(handle, clock)
    given: dict[str, Any] = {"driver": driver, "listeners": iter([ear]), "max_wait": 0}
    down = pytest.raises(qasid.RouteExhausted)
    with qasid.connect_route("alerts", **given) as route, down:
        route.send(HELLO)
    assert (2, 0) == (asked, clock.seconds)
    assert ["work", "spare"] == [event.account for _, event in ear.heard]


def test_an_account_goes_before_a_route_of_the_same_name(write: Callable[[str], None]) -> None:
    """So that a route may be put before an account, and the account still be had."""
    write(BOTH)
    with Path("qasid.toml").open("a") as file:
        file.write('[routes.work]\naccounts = ["work", "spare"]\n')
    with qasid.connect("work") as account, qasid.connect_route("work") as route:
        assert (qasid.Account, qasid.Route) == (type(account), type(route))


@pytest.mark.parametrize(
    ("table", "policy"),
    [
        (BOTH, Failover()),
        (BOTH + 'policy = "prefix"\nprefixes = { "+98" = "work" }', ByPrefix({"+98": "work"})),
        (
            BOTH + 'policy = "prefix"\nprefixes = { "+98" = ["work"] }\notherwise = "spare"',
            ByPrefix({"+98": ["work"]}, otherwise=["spare"]),
        ),
        (BOTH + 'policy = "pinned"\naccount = "spare"', Pinned("spare")),
    ],
)
def test_a_policy_is_written(write: Callable[[str], None], table: str, policy: Any) -> None:
    """With what belongs to it."""
    write(table)
    assert policy == table_of("alerts").policy


def test_weights_and_times_are_written(write: Callable[[str], None]) -> None:
    """Times in seconds."""
    write(
        BOTH
        + 'policy = "weighted"\nweights = { work = 3, spare = 0.5 }\n'
        + "failures = 2\nopen_for = 1.5\nopen_at_most = 60"
    )
    found = table_of("alerts")
    assert isinstance(found.policy, Weighted)
    assert {"work": 3, "spare": 0.5} == found.policy.weights
    assert Tolerance(failures=2, open_for=1.5, open_at_most=60) == found.tolerance


@pytest.mark.parametrize(
    ("table", "field", "words"),
    [
        ("", "accounts", "is empty; name at least one account"),
        ("accounts = []", "accounts", "is empty"),
        ('accounts = "work"', "accounts", "is not a list of names"),
        ("accounts = [1]", "accounts", "is not a list of names"),
        ('accounts = ["wrok"]', "accounts", "no provider 'wrok' is installed.*spare"),
        ('accounts = ["work", "work"]', "accounts", "has 'work' twice"),
        ('accounts = ["alerts"]', "accounts", "leads to itself"),
        ('accounts = ["other"]', "accounts", "leads to the route 'other'"),
        (BOTH + "acounts = []", "acounts", "did you mean 'accounts'"),
        (BOTH + "xyzzy = 1", "xyzzy", "known: account, accounts"),
        (BOTH + 'policy = "random"', "policy", "choose one of: failover, weighted"),
        (BOTH + "policy = 5", "policy", "is none of its choices"),
        (BOTH + "weights = { work = 1 }", "weights", "is not for the policy 'failover'"),
        (BOTH + 'policy = "weighted"', "weights", "is missing; write weights = "),
        (BOTH + 'policy = "weighted"\nweights = 3', "weights", "is of the wrong kind"),
        (
            BOTH + 'policy = "weighted"\nweights = { work = 0 }',
            "weights",
            "all weights are zero",
        ),
        (
            BOTH + 'policy = "weighted"\nweights = { wrok = 1 }',
            "weights",
            "names 'wrok', which is no account of this route; there are: work, spare",
        ),
        (BOTH + 'policy = "prefix"\nprefixes = { "98" = "work" }', "prefixes", "a prefix is"),
        (BOTH + 'policy = "prefix"\nprefixes = { "+98" = 1 }', "prefixes", "wrong kind"),
        (BOTH + 'policy = "pinned"\naccount = "wrok"', "account", "names 'wrok'"),
        (BOTH + "failures = 0", "failures", "is not a number over zero"),
        (BOTH + "failures = 1.5", "failures", "is not a number over zero"),
        (BOTH + "open_for = true", "open_for", "is not a number over zero"),
        (BOTH + "open_for = 700", "open_at_most", "must not be less than open_for"),
        (BOTH + "open_at_most = inf", "open_at_most", "give a value that fits"),
    ],
)
def test_what_is_wrong_is_named_with_the_remedy(
    write: Callable[[str], None], table: str, field: str, words: str
) -> None:
    """The route, the field, and what to do; nothing is opened."""
    write(table + '\n[routes.other]\naccounts = ["alerts"]')
    with pytest.raises(SettingsError, match=words) as caught:
        qasid.connect_route("alerts")
    assert ("routes.alerts", field) == (caught.value.account, caught.value.field)


def test_a_route_that_is_not_there_is_not_found(write: Callable[[str], None]) -> None:
    """The error names those that are."""
    write(BOTH)
    with pytest.raises(ProviderNotFound, match=r"no route 'alarms'.*there are: alerts"):
        qasid.connect_route("alarms")
    Path("qasid.toml").unlink()
    with pytest.raises(ProviderNotFound, match="there are: none"):
        qasid.connect_route("alerts")


def test_a_route_in_code_leads_to_accounts_alone(write: Callable[[str], None]) -> None:
    """A route in a route is refused, and so is none."""
    refused = pytest.raises(SettingsError, match="'alerts' is a route")
    with blocking(servers("a")) as route, refused:
        Route("outer", [route])
    with pytest.raises(SettingsError, match="is empty"):
        Route("outer", [])


def test_every_field_has_words() -> None:
    """The page has them from here."""
    assert all(kind and words for kind, words in FIELDS.values())
