"""The book of rules: what it refuses to take in, and what is true of every rule in it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from qasid._version import CONTRACT_VERSION
from qasid.hookspecs import HOOKS
from qasid_contract import rulebook
from qasid_contract.case import Case
from qasid_contract.examples import Effort
from qasid_contract.rulebook import FAMILIES, Level, Path, Rule, all_rules, rule


@pytest.fixture(autouse=True)
def _the_book_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rulebook, "_rules", {r.id: r for r in all_rules()})


def told(case: Case) -> None:
    """A promise that is kept.

    Troubleshooting: keep it.
    """


def without_words(case: Case) -> None: ...


def without_help(case: Case) -> None:
    """A promise that is kept."""


@pytest.mark.parametrize(
    ("rule_id", "check", "words"),
    [
        ("NUM-1", told, "the rule NUM-1 is in the book already"),
        ("PIGEON-1", told, "PIGEON-1 is no family and a number: DEC, AUTH, NUM"),
        ("NUM", told, "NUM is no family and a number"),
        ("NUM-one", told, "NUM-one is no family and a number"),
        ("NUM-999", without_words, "NUM-999 needs a promise and a paragraph 'Troubleshooting: …'"),
        ("NUM-999", without_help, "NUM-999 needs a promise and a paragraph 'Troubleshooting: …'"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(
    rule_id: str, check: Callable[[Case], None], words: str
) -> None:
    """An id is used once, begins with a family, and its rule has a promise and some help."""
    with pytest.raises(ValueError, match=re.escape(words)):
        rule(rule_id)(check)


def test_a_second_rule_of_the_same_module_does_not_replace_the_first() -> None:
    """A copied decorator is found, wherever the copy stands."""
    rule("NUM-999")(told)
    with pytest.raises(ValueError, match="NUM-999 is in the book already"):
        rule("NUM-999")(without_help)


def test_a_module_that_is_imported_again_enters_the_same_rules() -> None:
    """An import that failed half way can be repeated."""
    assert told is rule("NUM-999")(rule("NUM-999")(told))


def test_the_function_stays_what_it_is() -> None:
    """Entering a rule does not wrap it, and keeps what it needs."""
    assert told is rule("NUM-999", needs=["send"], level=Level.ADVISORY, since="1.1")(told)
    entered = rulebook._rules["NUM-999"]
    assert ("NUM", "A promise that is kept.", "keep it.") == (
        entered.family,
        entered.promise,
        entered.troubleshooting,
    )
    assert (frozenset({"send"}), Level.ADVISORY, "1.1") == (
        entered.needs,
        entered.level,
        entered.since,
    )


@pytest.mark.parametrize(
    ("needs", "implemented", "words"),
    [
        ({}, set(), ""),
        ({"needs": {"send"}}, {"send", "otp"}, ""),
        ({"needs": {"send", "otp"}}, set(), "needs otp, send"),
        ({"needs": {"send", "otp"}}, {"send"}, "needs otp"),
        ({"any_of": {"send", "otp"}}, {"send"}, ""),
        ({"any_of": {"send", "otp"}}, {"balance"}, "needs one of otp, send"),
        ({"needs": {"send"}, "any_of": {"otp"}}, {"otp"}, "needs send"),
    ],
)
def test_what_is_lacking_is_said(needs: dict[str, Any], implemented: set[str], words: str) -> None:
    """A rule that does not apply names the hooks that it needs."""
    rule("NUM-999", **needs)(told)
    assert words == rulebook._rules["NUM-999"].missing(implemented)


# What is in it.


each_rule = pytest.mark.parametrize("entry", all_rules(), ids=[entry.id for entry in all_rules()])


def test_every_family_has_rules_and_they_are_in_order() -> None:
    """Family by family, and by number within each; no id is there twice."""
    ids = [entry.id for entry in all_rules()]
    assert [*FAMILIES] == [family for family, _ in itertools.groupby(ids, _family)]
    for family, members in itertools.groupby(ids, _family):
        numbers = [int(rule_id.removeprefix(f"{family}-")) for rule_id in members]
        assert sorted({*numbers}) == numbers


def _family(rule_id: str) -> str:
    return rule_id.partition("-")[0]


@each_rule
def test_a_rule_has_words_for_a_stranger(entry: Rule) -> None:
    """The promise is one sentence, and the help is a whole one too."""
    assert entry.promise.endswith(".")
    assert entry.promise[0].isupper() or entry.promise.startswith("`")
    assert ". " not in entry.promise.replace("e.g. ", "")
    assert entry.troubleshooting.endswith((".", ")"))
    assert len(entry.troubleshooting) > 40


@each_rule
def test_a_rule_needs_what_there_is(entry: Rule) -> None:
    """A hook that is misspelt there would make a rule that never applies, and is never red."""
    assert entry.needs | entry.any_of <= {*HOOKS}
    assert entry.paths[0] is Path.PLUGGED
    assert len({*entry.paths}) == len(entry.paths)


@each_rule
def test_a_new_rule_is_advisory_for_one_minor_version(entry: Rule) -> None:
    """No rule is of a version to come; an advisory one is of this version."""
    since = tuple(map(int, entry.since.split(".")))
    assert since <= CONTRACT_VERSION
    assert entry.level is Level.CORE or since == CONTRACT_VERSION


def test_gates_need_nothing() -> None:
    """What opens the way for all other rules is about the class alone, and always applies."""
    gates = [entry for entry in all_rules() if entry.gate]
    assert ["DEC-2", "DEC-3", "DEC-4"] == [entry.id for entry in gates]
    assert {frozenset()} == {entry.needs | entry.any_of for entry in gates}


@each_rule
def test_rules_with_examples_say_so(entry: Rule) -> None:
    """Those that have examples are marked: no deviation from them can be declared."""
    asks = {"for_all", "for_machine"} & {*entry.check.__code__.co_names}
    assert bool(asks) is entry.examples


# Many examples.


def test_examples_are_the_same_each_time() -> None:
    """A verdict can be repeated: there is no chance in it."""
    assert drawn(Effort(50)) == drawn(Effort(50))


def drawn(effort: Effort) -> list[str]:
    """The examples of a text."""
    found: list[str] = []
    effort.for_all(found.append, st.text())
    assert effort.tried == len(found)
    return found


def test_a_random_run_has_new_ones() -> None:
    """At night other examples are tried than by day."""
    assert drawn(Effort(200)) != drawn(Effort(200, random=True))


def test_the_smallest_example_that_fails_is_told() -> None:
    """What is red says for which value, in its notes."""

    def short(text: str) -> None:
        assert len(text) < 3

    with pytest.raises(AssertionError) as failure:
        Effort().for_all(short, st.text())
    assert "[('000',)]" in "".join(failure.value.__notes__)


def test_about_as_many_are_tried_as_are_asked_for() -> None:
    """The number of examples is what it says, within a factor of two."""
    for asked in (20, 500, 5000):
        assert asked / 2 <= len(drawn(Effort(asked))) <= asked * 2
