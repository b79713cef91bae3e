"""The documented exchanges: where they are found, and what the wire's rules make of them."""

from __future__ import annotations

import importlib.resources
import json
from pathlib import Path as FilePath
from typing import Any

import attrs
import mutation  # whole: a contract by name would be collected here too
import pytest
from mutation import EXAMPLES, contract

from qasid_contract.case import Case
from qasid_contract.contract import ProviderContract
from qasid_contract.exchanges import Example, Replay, examples_of
from qasid_contract.importing import imported
from qasid_contract.rulebook import Path, all_rules
from qasid_contract.running import Result, Status, run

BALANCE = {
    "name": "balance",
    "hook": "balance",
    "documented": True,
    "source": "a test",
    "request": {
        "method": "GET",
        "path": "/balance",
        "headers": {"Authorization": "Bearer ${token.token}"},
    },
    "response": {"status": 200, "body": {"amount": 1, "currency": "EUR"}},
    "outcome": "ok",
    "given": [["exchange", {"name": "token"}]],
    "call": {},
}
TOKEN = {
    "name": "token",
    "hook": "authenticate",
    "documented": True,
    "source": "a test",
    "request": {"method": "POST", "path": "/token", "form": {"api_key": "reference-key-4711"}},
    "response": {"status": 200, "body": {"token": "t", "expires_at": "2024-08-01T12:30:00Z"}},
    "outcome": "ok",
}


def rule_run(rule_id: str, tested: type[ProviderContract]) -> Result:
    (rule,) = [rule for rule in all_rules() if rule.id == rule_id]
    return run(tested, rule, Path.PLUGGED)


@pytest.fixture
def written(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes examples into a package; gives the contract of the reference with them."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(*examples: dict[str, Any]) -> type[ProviderContract]:
        folder = tmp_path / f"samples_{tmp_path.name}"
        folder.mkdir()
        (folder / "reference.json").write_text(json.dumps(examples), "utf-8")
        return contract(examples=folder.name)

    return write


def test_examples_are_found_beside_the_provider() -> None:
    """Without a name of its own, the package is the provider's, and `examples` in it."""
    from qasid_smsarab import SMSArab

    found = examples_of(type("Arab", (ProviderContract,), {"provider": SMSArab}))
    assert "numbers_acquire" in {example.name for example in found}


def test_no_examples_are_red_with_words_on_how_to_write_them() -> None:
    """Without examples WIRE-1 fails, and says where they belong and where their form is told."""
    result = rule_run("WIRE-1", contract(examples=None))
    assert Status.FAILED is result.status
    assert "in the folder `examples` of the provider's package" in result.words
    assert "qasid_contract.rules.wire" in result.words


def test_the_schema_names_the_members_of_an_example() -> None:
    """The schema and the class agree on what an example is made of."""
    text = importlib.resources.files("qasid_contract").joinpath("examples.schema.json").read_text()
    schema = json.loads(text)["$defs"]["example"]
    assert sorted(schema["properties"]) == sorted(field.name for field in attrs.fields(Example))


def test_names_are_unique(written: Any) -> None:
    """Two examples of one name are red: the one would hide the other."""
    assert Status.FAILED is rule_run("WIRE-1", written(TOKEN, TOKEN)).status


def test_a_text_may_come_from_an_earlier_reply() -> None:
    """``${name.member}`` stands for a value in the reply to an exchange that was asked before."""
    examples = {example.name: example for example in examples_of(mutation.Sound)}
    replay = Replay(Case(mutation.Sound), examples)
    replay.prepare(examples["messages"])
    got = replay.filled(["${token.token}", {"is": "${numbers.numbers.0.id}, ${codes"}, 1])
    assert ["token-000000-x", {"is": "n1, ${codes"}, 1] == got


@pytest.mark.parametrize(
    ("response", "status"),
    [
        ({"status": 201, "body": {"amount": 1, "currency": "EUR"}}, Status.FAILED),
        ({"status": None, "body": {"amount": 0.5, "currency": "EUR"}}, Status.PASSED),
        ({"status": 200, "body": None}, Status.PASSED),
        ({"status": 200, "body": {"amount": "1", "currency": "EUR"}}, Status.FAILED),
        ({"status": 200, "body": {"amount": 1}}, Status.FAILED),
        ({"status": 200, "headers": {"X-Left": "1"}, "body": None}, Status.FAILED),
    ],
)
def test_status_headers_and_shape_are_compared(
    written: Any, response: dict[str, Any], status: Status
) -> None:
    """What is documented must be there, with JSON's types; what is not told may be anything."""
    tested = written(TOKEN, {**BALANCE, "response": response})
    assert status is rule_run("WIRE-1", tested).status


@pytest.mark.parametrize(
    ("survive", "status"),
    [("normalised", Status.PASSED), ("raw", Status.FAILED), ("both", Status.FAILED)],
)
def test_what_must_survive_is_read(written: Any, survive: str, status: Status) -> None:
    """A sample that is no JSON has to be read where the example says so."""
    said = {"raw": '{"amount": 1 // euros', "normalised": {"amount": 1, "currency": "EUR"}}
    response = {"status": 200, **said, "must_survive": survive}
    tested = written(TOKEN, {**BALANCE, "response": response})
    assert status is rule_run("WIRE-2", tested).status


def test_an_error_without_a_status_is_read_with_each(written: Any) -> None:
    """Where no status is told, an error must be understood with 200 as well as with 400."""
    response = {"status": None, "body": {"error": "no_credit"}}
    tested = written(TOKEN, {**BALANCE, "response": response, "outcome": "InsufficientCredit"})
    assert "balance: ProtocolError" in rule_run("WIRE-2", tested).words  # with 200: no `amount`


def test_a_request_that_is_never_made_is_red(written: Any) -> None:
    """An example of another path than the hook's is told by name."""
    request = {**BALANCE["request"], "path": "/credit"}  # type: ignore[dict-item]
    tested = written(TOKEN, {**BALANCE, "request": request})
    assert "balance: the hook never asks GET" in rule_run("WIRE-2", tested).words


def test_a_module_that_cannot_be_imported_is_told() -> None:
    """The import rule runs in another interpreter, and tells what that said last."""
    assert {"error": "ModuleNotFoundError: No module named 'no_such_module'"} == imported(
        "no_such_module"
    )


def test_the_reference_has_an_example_for_each_hook() -> None:
    """The reference shows how examples of every hook are written."""
    found = {example.hook for example in examples_of(contract(examples=EXAMPLES))}
    assert found == Case(mutation.Sound).implemented
