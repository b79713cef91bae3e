"""A policy puts accounts in order, the same way for the same chances."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, Final

import pytest

from qasid.routing import ByPrefix, Cheapest, Choice, Failover, Pinned, Weighted
from qasid.routing.policies import Policy, Subject
from qasid.values import Money

ABC: Final = ("a", "b", "c")
SEND: Final = Subject(operation="send", to="+989121112233")


def taken(policy: Policy, subject: Subject = SEND) -> list[str]:
    """The accounts that are asked, in order."""
    return [choice.account for choice in policy.rank(ABC, subject) if choice.takes]


def test_failover_keeps_the_order_of_the_route() -> None:
    """And says which number each account is."""
    assert Choice("b", True, "number 2 in order") == Failover().rank(ABC, SEND)[1]


def test_weights_are_shares_of_the_calls() -> None:
    """Of 4,000 calls three in four go to the one of weight 3, and each asks the others next."""
    policy = Weighted({"a": 3, "b": 1}, random=random.Random(7).random)
    firsts = Counter(taken(policy)[0] for _ in range(4000))
    assert {"a", "b"} == firsts.keys()
    assert 2900 < firsts["a"] < 3100


def test_weights_draw_the_same_order_from_the_same_chances() -> None:
    """So that a test may know it."""
    orders = [
        [taken(Weighted({"a": 1, "b": 1, "c": 1}, random=random.Random(1).random)) for _ in "12"]
        for _ in "12"
    ]
    assert orders[0] == orders[1]


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999999])
def test_an_account_without_weight_is_the_last_resort(chance: float) -> None:
    """With a weight of 0, or with none."""
    assert ["b", "a", "c"] == taken(Weighted({"a": 0, "b": 2}, random=lambda: chance))


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"a": 0},
        {"a": 0, "b": 0.0},
        {"a": -1, "b": 2},
        {"a": True},
        {"a": "1"},
        {"a": float("inf")},
        {"a": float("nan")},
    ],
    ids=["none", "zero", "zeros", "negative", "a truth", "a text", "infinite", "no number"],
)
def test_weights_that_say_nothing_are_refused(weights: Any) -> None:
    """When the policy is made."""
    with pytest.raises(ValueError, match="weights"):
        Weighted(weights)


@pytest.mark.parametrize(
    ("to", "names"),
    [
        ("+989121112233", ["b"]),
        ("+989351112233", ["c", "a"]),
        ("+966501234567", ["a", "b", "c"]),
        (None, ["a", "b", "c"]),
    ],
)
def test_the_longest_prefix_decides(to: str | None, names: list[str]) -> None:
    """And where none fits, all accounts are asked."""
    policy = ByPrefix({"+98912": "b", "+98": ["c", "a"]})
    assert names == taken(policy, Subject(operation="send", to=to))


def test_a_prefix_says_whom_it_leaves_out() -> None:
    """With the reason, as for those that it chooses."""
    policy = ByPrefix({"+98": "b"}, otherwise="a")
    assert [
        Choice("b", True, "for +98"),
        Choice("a", False, "not for +98"),
        Choice("c", False, "not for +98"),
    ] == policy.rank(ABC, SEND)
    foreign = policy.rank(ABC, Subject(operation="send", to="+966501234567"))
    assert Choice("a", True, "for all other numbers") == foreign[0]
    assert {"a", "b"} == policy.names


@pytest.mark.parametrize("prefix", ["98", "+", "+0", "+98x", "", "+98 912", "+" + "9" * 16])
def test_what_is_no_prefix_is_refused(prefix: str) -> None:
    """It would never fit."""
    with pytest.raises(ValueError, match="a prefix is"):
        ByPrefix({prefix: "a"})


def test_a_prefix_without_accounts_is_refused() -> None:
    """It would send nothing to anybody."""
    with pytest.raises(ValueError, match="names no account"):
        ByPrefix({"+98": []})


def test_the_cheapest_comes_first_and_other_money_after_it() -> None:
    """Equal prices keep the order; what has no price comes last."""
    prices = {"a": None, "b": Money("2", "USD"), "c": Money("1", "USD"), "d": Money("0.1", "SAR")}
    subject = Subject(operation="acquire_number", prices={**prices, "e": Money("1", "USD")})
    ranked = Cheapest().rank(("a", "b", "c", "d", "e"), subject)
    assert ["c", "e", "b", "d", "a"] == [choice.account for choice in ranked]
    assert ("costs 1 USD", "price not known") == (ranked[0].because, ranked[-1].because)


def test_pinned_leaves_all_others_out() -> None:
    """And says to whom it is pinned."""
    assert [
        Choice("b", True, "pinned"),
        Choice("a", False, "pinned to b"),
        Choice("c", False, "pinned to b"),
    ] == Pinned("b").rank(ABC, SEND)
