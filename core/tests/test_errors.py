"""The error tree is as it is drawn, and each error says what was done."""

from __future__ import annotations

import inspect
import pickle
from datetime import timedelta
from typing import Final

import pytest

from qasid import errors
from qasid.effects import Response
from qasid.errors import Outcome, ProviderError, QasidError

CLASSES: Final[dict[str, type[Exception]]] = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, Exception)
}
PROVIDER_ERRORS: Final = [kind for kind in CLASSES.values() if issubclass(kind, ProviderError)]

#: All others were refused, and so not performed.
UNDECIDED: Final[dict[str, Outcome | None]] = {
    "NoAnswer": Outcome.UNKNOWN,
    "ProviderUnavailable": None,
    "ProtocolError": None,
}


def _drawn() -> dict[str, tuple[str, ...]]:
    """Each class of the drawing with its parents, the one above it first."""
    lines = [line for line in str(errors.__doc__).splitlines() if line.startswith("    ")]
    above: list[str] = []
    tree: dict[str, tuple[str, ...]] = {}
    for line in lines:
        name, _, more = line.strip(" │├└─").partition(" ")
        depth = (line.index(name) - 4) // 4
        second = (more[1 : more.index(")")],) if more.startswith("(") else ()
        above[depth:] = [name]
        tree[name] = (*above[-2:-1], *second)
    return tree


def test_the_tree_is_as_drawn() -> None:
    """Every class is drawn below its parent, with a second parent in brackets."""
    real = {
        name: tuple(parent.__name__ for parent in kind.__bases__) for name, kind in CLASSES.items()
    }
    assert real == _drawn() | {"QasidError": ("Exception",)}


def test_all_names_every_class_of_the_module() -> None:
    """Errors and the outcome, in order."""
    assert sorted([*CLASSES, "Outcome"]) == errors.__all__


@pytest.mark.parametrize("kind", CLASSES.values())
def test_one_root_catches_all(kind: type[Exception]) -> None:
    """What Qasid raises on purpose is a `QasidError`."""
    assert issubclass(kind, QasidError)


@pytest.mark.parametrize("kind", PROVIDER_ERRORS)
def test_a_refusal_was_not_performed_unless_its_class_says_otherwise(
    kind: type[ProviderError],
) -> None:
    """The default outcome of each class."""
    expected = UNDECIDED.get(kind.__name__, Outcome.NOT_PERFORMED)
    assert expected is kind("said no").outcome


@pytest.mark.parametrize("kind", PROVIDER_ERRORS)
@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_that_is_given_wins(kind: type[ProviderError], outcome: Outcome) -> None:
    """Over the default of the class."""
    assert outcome is kind("said no", outcome=outcome).outcome


def test_a_provider_error_keeps_what_it_is_told() -> None:
    """Its code, the wish to wait and the reply."""
    reply = Response(status=429)
    wait = timedelta(seconds=2)
    error = errors.RateLimited("slower", code="E7", retry_after=wait, response=reply)
    kept = (str(error), error.code, error.retry_after, error.response)
    assert ("slower", "E7", wait, reply) == kept


def test_a_settings_error_names_account_field_and_remedy() -> None:
    """In its text and as attributes."""
    error = errors.SettingsError("is missing", account="work", field="api_key", remedy="set it")
    assert "account 'work', field 'api_key': is missing; set it" == str(error)
    assert ("work", "api_key", "set it") == (error.account, error.field, error.remedy)


def test_a_budget_error_names_its_cap() -> None:
    """The option that holds it."""
    assert "max_open" == errors.BudgetExceeded("too many", cap="max_open").cap


@pytest.mark.parametrize(
    "error",
    [
        errors.SettingsError("is bad", account="work", field="key", remedy="mend it"),
        errors.BudgetExceeded("too many", cap="max_open"),
        errors.OtpLimitExceeded("too soon", limit="cooldown", retry_after=timedelta(seconds=5)),
        errors.RateLimited("slow", code="429", retry_after=timedelta(seconds=5)),
    ],
)
def test_errors_survive_a_process_border(error: errors.QasidError) -> None:
    """Pools of processes pickle what was raised."""
    copy = pickle.loads(pickle.dumps(error))
    assert (type(error), str(error), vars(error)) == (type(copy), str(copy), vars(copy))
