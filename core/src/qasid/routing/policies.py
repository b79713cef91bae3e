"""In which order the accounts of a route are asked. Each policy is a frozen value and pure.

Account names are those in the route. Prefixes are of E.164, such as ``+98912``; those of operators
are yours to give, as numbers are ported and tables grow old.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Final, Protocol, TypeAlias

import attrs

from qasid.routing.health import Health
from qasid.values import Money

__all__ = [
    "ByPrefix",
    "Cheapest",
    "Choice",
    "Failover",
    "Healthiest",
    "Pinned",
    "Policy",
    "Subject",
    "Weighted",
]

Names: TypeAlias = "str | Iterable[str]"
_PREFIX: Final = re.compile(r"\+[1-9][0-9]{0,14}")


@attrs.frozen
class Choice:
    """Whether an account is asked, in the order of the choices, and why or why not.

    `health` is how it has been doing, where a route explains itself.
    """

    account: str
    takes: bool
    because: str
    health: Health = attrs.field(default=Health(), eq=False, repr=False)

    @property
    def words(self) -> str:
        """The reason, and how the account has been doing where that is known."""
        return "; ".join(filter(None, [self.because, str(self.health)]))


@attrs.frozen(kw_only=True)
class Subject:
    """What a route is asked to do: for a recipient in E.164, or at the prices of each account.

    `health` is told to `Healthiest` alone. With `drawing`, what is left to chance is drawn;
    without, the likeliest comes first.
    """

    operation: str
    to: str | None = None
    prices: Mapping[str, Money | None] = attrs.field(factory=dict)
    health: Mapping[str, Health] = attrs.field(factory=dict)
    drawing: bool = True


class Policy(Protocol):
    """Puts the accounts of a route in order."""

    @property
    def field(self) -> str:
        """The setting that names accounts."""

    @property
    def names(self) -> frozenset[str]:
        """The accounts that it names."""

    def rank(self, accounts: Sequence[str], subject: Subject) -> list[Choice]:
        """A choice for each account, those to be asked first."""


@attrs.frozen
class Failover:
    """The first account, and the next ones only where those before failed."""

    field: ClassVar[str] = "accounts"
    names: ClassVar[frozenset[str]] = frozenset()

    def rank(self, accounts: Sequence[str], subject: Subject) -> list[Choice]:
        """In the order of the route."""
        return [Choice(name, True, f"number {at} in order") for at, name in enumerate(accounts, 1)]


def _weights(given: Mapping[str, float]) -> dict[str, float]:
    return dict(given)


@attrs.frozen(eq=False)
class Weighted:
    """A share of the calls for each account, by weight; the others follow where it fails.

    An account of weight 0, or without one, is asked only where all others failed. `random` gives
    numbers from 0 up to 1. Raises ValueError for a weight that is negative or no number, and where
    all are zero.
    """

    weights: Mapping[str, float] = attrs.field(converter=_weights)
    random: Callable[[], float] = random.random
    field: ClassVar[str] = "weights"

    @weights.validator
    def _positive(self, attribute: object, value: Mapping[str, float]) -> None:
        if not all(type(w) in {int, float} and 0 <= w < math.inf for w in value.values()):
            raise ValueError("weights are numbers, zero or more")
        if not any(value.values()):
            raise ValueError("all weights are zero; give at least one account a positive one")

    @property
    def names(self) -> frozenset[str]:
        """Those that have a weight."""
        return frozenset(self.weights)

    def rank(self, accounts: Sequence[str], subject: Subject) -> list[Choice]:
        """Drawn one after the other, each by its weight among those that are left."""
        weights = {name: self.weights.get(name, 0) for name in accounts}
        total, left = sum(weights.values()), dict(weights)
        order: list[str] = []
        while left:
            order.append(self._drawn(left) if subject.drawing else max(left, key=left.__getitem__))
            del left[order[-1]]
        return [Choice(name, True, f"weight {weights[name]:g} of {total:g}") for name in order]

    def _drawn(self, left: Mapping[str, float]) -> str:
        point = self.random() * sum(left.values())
        for name, weight in left.items():
            point -= weight
            if point < 0:
                return name
        return next(iter(left))  # none but those of weight 0


def _prefixes(given: Mapping[str, Names]) -> dict[str, tuple[str, ...]]:
    return {prefix: _several(names) for prefix, names in given.items()}


def _several(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


@attrs.frozen
class ByPrefix:
    """The accounts of the longest prefix that the recipient's number begins with, in order.

    For all other recipients, and for what has none, those of `otherwise`; without it, all accounts
    of the route. Raises ValueError for what is no prefix of E.164.
    """

    prefixes: Mapping[str, tuple[str, ...]] = attrs.field(converter=_prefixes)
    otherwise: tuple[str, ...] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_several)
    )
    field: ClassVar[str] = "prefixes"

    @prefixes.validator
    def _written(self, attribute: object, value: Mapping[str, tuple[str, ...]]) -> None:
        for prefix, names in value.items():
            if not _PREFIX.fullmatch(prefix):
                raise ValueError("a prefix is + and digits of E.164, such as '+98' or '+98912'")
            if not names:
                raise ValueError(f"{prefix} names no account")

    @property
    def names(self) -> frozenset[str]:
        """Those of every prefix, and the others."""
        return frozenset(self.otherwise or ()).union(*self.prefixes.values())

    def rank(self, accounts: Sequence[str], subject: Subject) -> list[Choice]:
        """Those of the longest match first; the rest does not take it."""
        prefix = self._longest(subject.to or "")
        chosen = self._otherwise(accounts) if prefix is None else self.prefixes[prefix]
        because = "for all other numbers" if prefix is None else f"for {prefix}"
        taken = [Choice(name, True, because) for name in dict.fromkeys(chosen)]
        return taken + [Choice(n, False, f"not {because}") for n in accounts if n not in chosen]

    def _longest(self, to: str) -> str | None:
        return max(
            (prefix for prefix in self.prefixes if to.startswith(prefix)), key=len, default=None
        )

    def _otherwise(self, accounts: Sequence[str]) -> Sequence[str]:
        return accounts if self.otherwise is None else self.otherwise


@attrs.frozen
class Cheapest:
    """For renting: the cheapest account by its `offers` first; for all else the route's order.

    Prices of several currencies do not compare: those in another one than the first that is known
    come after it, and then those whose price is not known.
    """

    field: ClassVar[str] = "accounts"
    names: ClassVar[frozenset[str]] = frozenset()

    def rank(self, accounts: Sequence[str], subject: Subject) -> list[Choice]:
        """By price where prices are known."""
        prices = {name: subject.prices.get(name) for name in accounts}
        currency = next((p.currency for p in prices.values() if p is not None), None)

        def key(name: str) -> tuple[int, object]:
            price = prices[name]
            if price is None:
                return 2, 0
            return (0, price.amount) if price.currency == currency else (1, 0)

        return [Choice(name, True, _priced(prices[name])) for name in sorted(accounts, key=key)]


def _priced(price: Money | None) -> str:
    return "price not known" if price is None else f"costs {price}"


#: How many acts, or reports, it takes to judge an account.
_ENOUGH: Final = 20
#: How much better an account must be to go before another: five of a hundred messages.
_MARGIN: Final = 0.05
#: What a second weighs beside them, and after how many more do not matter.
_SECOND: Final = 0.05
_SLOWEST: Final = 2.0


@attrs.frozen(eq=False)
class Healthiest:
    """The account first whose messages arrive, as far as this route has seen.

    An account is put before another where it is clearly better: where five of a hundred more of
    what it is asked for is performed and delivered, a second of latency weighing as much as five of
    a hundred, and more than two seconds as two. Those that are about equal stay in the order they
    were in, at first that of the route. Of which too little is known, that is fewer than 20 acts or
    reports, is taken to be as the others are on average.

    A `share` of the calls goes first to one of those that do not come first, all alike, so that
    they can show that they have recovered. `random` gives numbers from 0 up to 1, one for each
    call. Raises ValueError for a share that is not between 0 and 1.
    """

    share: float = attrs.field(default=0.05)
    random: Callable[[], float] = random.random
    field: ClassVar[str] = "accounts"
    names: ClassVar[frozenset[str]] = frozenset()

    @share.validator
    def _is_share(self, attribute: object, value: float) -> None:
        if type(value) not in {int, float} or not 0 <= value < 1:
            raise ValueError("share is a number from 0 up to 1, such as 0.05")

    def standing(self, before: Sequence[str], health: Mapping[str, Health]) -> tuple[str, ...]:
        """The accounts in order, given the order that they were in before."""
        scores = _scores(before, health)
        order: list[str] = []
        for name in before:
            worse = (i for i, o in enumerate(order) if scores[name] >= scores[o] + _MARGIN)
            order.insert(next(worse, len(order)), name)
        return tuple(order)

    def rank(self, accounts: Sequence[str], subject: Subject) -> list[Choice]:
        """In the order given; where it is drawn, one of the others is put first."""
        order = [*accounts]
        drawn = self._drawn(len(order)) if subject.drawing else 0
        because = "its turn to show how it does" if drawn else "the healthiest"
        order.insert(0, order.pop(drawn))
        rest = [Choice(name, True, f"number {at} by health") for at, name in enumerate(order, 1)]
        return [attrs.evolve(rest[0], because=because), *rest[1:]]

    def _drawn(self, count: int) -> int:
        point = self.random()
        return 1 + int(point / self.share * (count - 1)) if point < self.share and count > 1 else 0


def _scores(names: Sequence[str], health: Mapping[str, Health]) -> dict[str, float]:
    """How good each is; a difference of one is all of its messages."""
    kept = [health[name] for name in names]
    performed = _filled([one.performed if one.acts >= _ENOUGH else None for one in kept])
    delivered = _filled([one.delivered if one.reports >= _ENOUGH else None for one in kept])
    waits = _filled([_wait(one) if one.acts >= _ENOUGH else None for one in kept])
    found = zip(names, performed, delivered, waits, strict=True)
    return {name: done * arrived - _SECOND * wait for name, done, arrived, wait in found}


def _filled(given: Sequence[float | None]) -> list[float]:
    """The numbers, with their mean where there is none; which one does not matter without any."""
    known = [number for number in given if number is not None]
    mean = sum(known) / len(known) if known else 1.0
    return [mean if number is None else number for number in given]


def _wait(health: Health) -> float | None:
    return None if health.latency is None else min(health.latency.total_seconds(), _SLOWEST)


@attrs.frozen
class Pinned:
    """This account alone, whatever happens."""

    account: str
    field: ClassVar[str] = "account"

    @property
    def names(self) -> frozenset[str]:
        """That account."""
        return frozenset({self.account})

    def rank(self, accounts: Sequence[str], subject: Subject) -> list[Choice]:
        """All others do not take it."""
        others = [name for name in accounts if name != self.account]
        pinned = Choice(self.account, True, "pinned")
        return [pinned, *(Choice(n, False, f"pinned to {self.account}") for n in others)]
