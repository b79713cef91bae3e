"""A route sees how its accounts do, forgets it in time, and may go by it without restlessness."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs
import pytest

from qasid.errors import ConnectFailed, SettingsError
from qasid.routing import Choice, Health, Healthiest
from qasid.routing.health import Record
from qasid.routing.policies import Subject
from qasid.values import DeliveryReport, DeliveryState, InboundMessage, Receipt, TextMessage

from .acme import TO, Server, reply
from .routes import FACES, servers

both_faces = pytest.mark.parametrize("opened", FACES)

HELLO: Final = TextMessage(to=TO, text="hello")
START: Final = datetime(2024, 8, 1, 12, 0, tzinfo=UTC)
ARRIVED, FAILED = DeliveryState.DELIVERED, DeliveryState.FAILED


def report(identity: str, state: DeliveryState = ARRIVED, at: float | None = None) -> Any:
    """What became of one message, at that second."""
    moment = None if at is None else START + timedelta(seconds=at)
    return DeliveryReport(receipt_id=identity, state=state, at=moment)


# A record.


def test_of_an_account_that_did_nothing_nothing_is_known() -> None:
    """Neither good nor bad, and there are no words for it."""
    assert Health() == Record().health(0)
    assert "" == str(Health())


def test_shares_and_medians_are_of_what_counts() -> None:
    """Of the acts, and of the reports that say whether a message arrived."""
    record = Record()
    for seconds in (0.1, 0.5, 3.0):
        record.act(0, performed=True, seconds=seconds)
    record.act(0, performed=False, seconds=None)
    record.accepted(["m1", "m2"], START)
    states = [report("m1", at=4), report("m2", at=-1), report("m3", at=9), report("m4", FAILED)]
    pending = [report("m5", DeliveryState.PENDING), report("m6", DeliveryState.UNKNOWN)]
    record.reported(0, [*states, *pending])
    found = record.health(0)
    assert found == Health(
        acts=4,
        performed=0.75,
        latency=timedelta(seconds=0.5),
        reports=4,
        delivered=0.75,
        delivery=timedelta(seconds=2),  # of 4 s, and of none by a clock that is behind
    )
    assert "75% of 4 delivered, 75% of 4 performed, 0.5 s" == str(found)


def test_a_report_that_says_the_same_again_is_none() -> None:
    """However often it is asked for; one that says something else takes its place."""
    record = Record()
    record.reported(0, [report("m1", FAILED)] * 3)
    record.reported(3599, [report("m1", FAILED)])
    assert (1, 0.0) == (record.health(3599).reports, record.health(3599).delivered)
    assert Health() == record.health(3600)
    record.reported(3599, [report("m1")])
    assert (1, 1.0) == (record.health(3600).reports, record.health(3600).delivered)


def test_what_is_an_hour_old_is_forgotten() -> None:
    """So that nobody is left alone for ever for what was."""
    record = Record()
    record.act(0, performed=False, seconds=None)
    record.reported(0, [report("m1", FAILED)])
    assert (1, 1) == (record.health(3599.9).acts, record.health(3599.9).reports)
    assert Health() == record.health(3600)


def test_the_last_hundred_count_and_no_more_is_kept() -> None:
    """Of acts and of reports; of acceptances it is the last thousand."""
    record = Record()
    for number in range(5_000):
        record.act(0, performed=number >= 4_900, seconds=1)
        record.accepted([f"m{number}"], START)
    record.reported(0, [report(f"m{number}", at=9) for number in range(3_900, 5_000)])
    found = record.health(0)
    assert (100, 1.0, 100) == (found.acts, found.performed, found.reports)
    record.reported(0, [report(f"m{number}", at=9) for number in range(3_900, 4_000)])
    assert (100, None) == (record.health(0).reports, record.health(0).delivery)


def test_threads_may_share_a_record() -> None:
    """Each act is counted, and none breaks another."""
    record = Record()

    def work() -> None:
        for number in range(200):
            record.act(0, performed=True, seconds=0.1)
            record.reported(0, [report(f"m{number}")])
            record.health(0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (100, 100, 1.0) == (
        record.health(0).acts,
        record.health(0).reports,
        record.health(0).delivered,
    )


# A route.


def slow(server: Server, seconds: float) -> Any:
    """It answers after some seconds."""

    def handle(request: Any) -> Any:
        server.clock.sleep(seconds)
        return server.answer(request)

    return handle


@both_faces
def test_a_route_tells_how_its_accounts_do(opened: Any) -> None:
    """By itself, and where it explains what it would do."""
    found = servers("a", "b")
    found["a"].faults.extend([slow(found["a"], 2.0), slow(found["a"], 3.0), reply(500)])
    with opened(found) as route:
        receipts = [route.send(HELLO), *route.send_many([HELLO])]
        with pytest.raises(Exception, match="500"):
            route.send(HELLO)
        route.delivery_status(receipts)
        health = route.health()
        told = str(route.explain(HELLO))
    shares = {"performed": 2 / 3, "delivered": 1.0, "delivery": None}
    latency = timedelta(seconds=2.5)
    assert Health(acts=3, latency=latency, reports=2, **shares) == health["a"]  # type: ignore[arg-type]
    assert Health() == health["b"]
    assert told == (
        "asked a: number 1 in order; 100% of 2 delivered, 67% of 3 performed, 2.5 s\n"
        "asked b: number 2 in order"
    )


@both_faces
def test_the_recipients_fault_is_not_the_accounts(opened: Any) -> None:
    """Nor is what never came to be asked."""
    found = servers("a", "b")
    found["a"].faults.extend([reply(422), ConnectFailed("down"), reply(402)])
    with opened(found) as route:
        with pytest.raises(Exception, match="422"):
            route.send(HELLO)
        route.send(HELLO)
        route.send(HELLO)
        assert (2, 0.0, None) == attrs.astuple(route.health()["a"])[:3]
        assert 2 == route.health()["b"].acts


@both_faces
def test_reports_of_a_webhook_are_noted_for_their_account(opened: Any) -> None:
    """Those that are messages are left out; the route knows when it was accepted."""
    with opened(servers("a", "b")) as route:
        identity = route.send(HELLO).id
        given = [InboundMessage(text="hi"), report(identity, at=7)]
        route.note_reports(given, account="a")
        found = route.health()
        with pytest.raises(SettingsError, match="'c' is none of this route's; name one of: a, b"):
            route.note_reports(given, account="c")
    assert 1 == found["a"].reports
    assert found["a"].delivery is not None
    assert Health() == found["b"]


# The healthiest first.


def health(delivered: float | None = None, latency: float | None = None, **more: Any) -> Health:
    """What is known of an account, from enough of both."""
    return Health(
        **{
            "reports": 0 if delivered is None else 100,
            "delivered": delivered,
            "acts": 0 if latency is None else 100,
            "performed": None if latency is None else 1.0,
            "latency": None if latency is None else timedelta(seconds=latency),
            **more,
        }
    )


@pytest.mark.parametrize(
    ("kept", "order"),
    [
        ({"a": health(), "b": health(), "c": health()}, "abc"),
        ({"a": health(0.80), "b": health(0.90), "c": health(0.99)}, "cba"),
        ({"a": health(0.95), "b": health(0.96), "c": health(0.99)}, "abc"),
        ({"a": health(0.90), "b": health(0.93), "c": health(0.96)}, "cab"),
        ({"a": health(0.80), "b": health(), "c": health(0.98)}, "cba"),
        ({"a": health(), "b": health(), "c": health(0.2)}, "abc"),
        ({"a": health(0.9), "b": health(1.0, reports=19), "c": health(0.9)}, "abc"),
        ({"a": health(0.9, 1.5), "b": health(0.9, 0.2), "c": health(0.9, 2.0)}, "bac"),
        ({"a": health(0.9, 30), "b": health(0.9, 2), "c": health(0.7, 0.1)}, "abc"),
        ({"a": health(0.9, 1, performed=0.5), "b": health(0.8, 1), "c": health(0.3, 1)}, "bac"),
    ],
    ids=[
        "nothing known",
        "clearly better",
        "about equal",
        "only over what it beats",
        "unknown is average",
        "unknown beside one",
        "too few reports",
        "faster",
        "slow is not worse than late",
        "fails often",
    ],
)
def test_the_clearly_better_goes_first(kept: dict[str, Health], order: str) -> None:
    """By what arrives, then by how long it takes; else the order stays."""
    found = Healthiest().standing(tuple("abc"), kept)
    assert (*order,) == found
    assert found == Healthiest().standing(found, kept)


def test_two_accounts_that_are_alike_do_not_change_places_all_the_time() -> None:
    """Of 20,000 messages of two accounts that deliver 95 %: a margin of five holds them still."""
    chance = random.Random(3)
    policy, naive = Healthiest(), _sorted({"a": health(1), "b": health(1)})
    order = naive
    windows: dict[str, list[bool]] = {"a": [True] * 100, "b": [True] * 100}
    moves, restless = 0, 0
    for _ in range(20_000):
        name = chance.choice("ab")
        windows[name] = [*windows[name][1:], chance.random() < 0.95]
        kept = {key: health(sum(ends) / 100) for key, ends in windows.items()}
        last, order = order, policy.standing(order, kept)
        moves += last != order
        last, naive = naive, _sorted(kept)
        restless += last != naive
    assert moves < restless / 10
    assert moves < 60


def _sorted(kept: dict[str, Health]) -> tuple[str, ...]:
    return tuple(sorted(kept, key=lambda name: -(kept[name].delivered or 0)))


def firsts(policy: Healthiest, accounts: Sequence[str], calls: int) -> Counter[str]:
    """How often each account comes first."""
    subject = Subject(operation="send", to=TO)
    return Counter(policy.rank(accounts, subject)[0].account for _ in range(calls))


def test_the_others_have_a_small_share_of_the_calls() -> None:
    """Five of a hundred, divided alike, drawn from the chances that are given."""
    found = firsts(Healthiest(random=random.Random(1).random), "abc", 10_000)
    assert 9_400 < found["a"] < 9_600
    assert 200 < found["b"] < 300
    assert 200 < found["c"] < 300
    assert found == firsts(Healthiest(random=random.Random(1).random), "abc", 10_000)
    assert Counter(a=100) == firsts(Healthiest(share=0), "abc", 100)
    assert Counter(a=100) == firsts(Healthiest(share=0.9), "a", 100)


def test_what_is_drawn_is_told() -> None:
    """And what would be likeliest, where nothing is drawn."""
    policy = Healthiest(random=lambda: 0.04)
    drawn = policy.rank("abc", Subject(operation="send"))
    assert [
        Choice("c", True, "its turn to show how it does"),
        Choice("a", True, "number 2 by health"),
        Choice("b", True, "number 3 by health"),
    ] == drawn
    told = policy.rank("abc", Subject(operation="send", drawing=False))
    assert Choice("a", True, "the healthiest") == told[0]


@pytest.mark.parametrize("share", [-0.1, 1, 1.5, True, "0.1", float("nan")])
def test_a_share_that_is_none_is_refused(share: Any) -> None:
    """When the policy is made."""
    with pytest.raises(ValueError, match="share is a number"):
        Healthiest(share=share)


@both_faces
@pytest.mark.parametrize("bulk", [False, True], ids=["one", "many"])
def test_a_route_leaves_an_account_that_delivers_less_and_comes_back_to_it(
    opened: Any, bulk: bool
) -> None:
    """After an hour without news nothing is known of it any more."""
    found = servers("a", "b")
    with opened(found, Healthiest(share=0)) as route:

        def sent() -> str | None:
            receipt: Receipt = route.send_many([HELLO])[0] if bulk else route.send(HELLO)
            return receipt.account

        assert "a" == sent()
        for name, states in (("a", [ARRIVED, FAILED]), ("b", [ARRIVED, ARRIVED])):
            pairs = zip(range(40), itertools.cycle(states))
            reports = [report(f"{name}{at}", state) for at, state in pairs]
            route.note_reports(reports, account=name)
        explained = route.explain(HELLO)
        assert ["b", "a"] == [choice.account for choice in explained.choices]
        assert "50% of 40 delivered" in explained.choices[1].words
        assert "b" == sent()
        found["a"].clock.sleep(3600)
        assert "b" == sent()  # about equal: the order stays
        route.note_reports([report(f"x{at}", FAILED) for at in range(20)], account="b")
        route.note_reports([report(f"y{at}") for at in range(20)], account="a")
        assert "a" == sent()


def test_a_number_is_rented_by_the_healthiest_too() -> None:
    """What an account seldom has, another is asked for first."""
    found = servers("a", "b")
    found["a"].faults.extend([reply(503)] * 20)
    room = {"max_open": 99, "max_per_day": 99}
    with FACES[0](found, Healthiest(share=0), settings=room) as route:
        for _ in range(20):
            assert "b" == route.acquire_number("shop", "SA").account
        before = len(found["a"].requests)
        route.acquire_number("shop", "SA")
    assert 20 == before == len(found["a"].requests)
