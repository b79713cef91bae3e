"""What authors get wrong: each mistake is named by the rule that is about it, with what to do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import pytest
from mutation import contract, mutant

from qasid import errors
from qasid.effects import Flow, Request, Response
from qasid.hookspecs import HOOKS, hookimpl
from qasid.reading import take
from qasid.values import (
    Credential,
    Money,
    Offer,
    OtpOrder,
    OtpTicket,
    Receipt,
    Support,
    TextMessage,
)
from qasid_contract.reference import INFO, Reference
from qasid_contract.reference_emulator import ReferenceEmulator
from qasid_contract.rulebook import Path, all_rules
from qasid_contract.running import Status, run

Hook = Callable[..., Any]


def balance(change: Callable[[Any], Any]) -> type:
    """A provider whose `balance` does something else first."""

    def changed(self: Any, credential: Credential) -> Flow[Money]:
        asked = change(self)
        if asked is not None:
            yield asked
        return (yield from Reference.balance(self, credential))

    return mutant(Reference, balance=hookimpl(changed))


def informed(**support: Support) -> type:
    """A provider that declares something else of a hook."""
    return mutant(Reference, info=attrs.evolve(INFO, support={**INFO.support, **support}))


@hookimpl
def by_keyword(self: Any, *, credential: Credential) -> Flow[Money]:
    return (yield from Reference.balance(self, credential))


@hookimpl
def with_a_default(self: Any, credential: Credential, retries: int = 3) -> Flow[Money]:
    return (yield from Reference.balance(self, credential))


@hookimpl
def a_value(self: Any, credential: Credential) -> Money:
    return Money("1.00", "EUR")


@hookimpl
async def a_coroutine(self: Any, credential: Credential) -> Money:
    return Money("1.00", "EUR")


@hookimpl(wrapper=True)
def a_wrapper(self: Any, credential: Credential) -> Any:
    return (yield)


@hookimpl
def leaking(self: Any, credential: Credential) -> Flow[Money]:
    response = yield self._request("GET", "/balance", credential)
    if not response.ok:
        raise errors.PermissionDenied(f"{self.api_key} does not get in")
    told: Money = self._money(self._read(response))
    return told


@hookimpl
def settling(self: Any, order: OtpOrder, credential: Credential) -> Flow[OtpTicket]:
    object.__setattr__(order, "code", order.code or "4711")
    return (yield from Reference.otp(self, order, credential))


@hookimpl
def careless(self: Any, credential: Credential) -> Flow[Money]:
    data = (yield self._request("GET", "/balance", credential)).json()
    return Money(data["amount"], data["currency"])


@hookimpl
def endless(self: Any, credential: Credential) -> Flow[Money]:
    while True:
        yield self._request("GET", "/balance", credential)


@hookimpl
def refusing(self: Any, messages: Sequence[TextMessage]) -> Flow[Sequence[Receipt]]:
    return [Receipt(to=m.to, error=errors.InvalidRecipient("not a mobile")) for m in messages]
    yield


def taken_as_it_comes(self: Any, item: Any) -> Offer:
    price = self._money(take(item, "price", dict))
    service, country = take(item, "service", str), take(item, "country", str)
    return Offer(service=service, country=country, price=price, stock=item.get("stock"))


def refused_otherwise(self: Any, code: str, response: Response) -> errors.ProviderError:
    refusal: errors.ProviderError = Reference._refusal(self, code, response)
    return errors.InvalidRequest("sold out") if code == "no_numbers" else refusal


def thawed() -> type:
    """A provider that can be changed."""
    return attrs.define(eq=False, kw_only=True)(
        type("Thawed", (Reference,), {"__module__": Reference.__module__, "__setattr__": _set})
    )


def _set(self: Any, name: str, value: Any) -> None:
    object.__setattr__(self, name, value)


BAD: Final[dict[str, tuple[Callable[[], type], str, str, str]]] = {
    "declared and missing": (
        lambda: mutant(Reference, parse_webhook=None),
        *("DEC-1", "declared, and not implemented: parse_webhook", "mark its method with `@hookim"),
    ),
    "there and not declared": (
        lambda: informed(offers=Support.unsupported()),
        *("DEC-1", "implemented, and not declared: offers", "or change its entry in `info.suppo"),
    ),
    "misspelt": (
        lambda: mutant(Reference, ballance=hookimpl(Reference.balance)),
        *("DEC-2", "no hook has the name ballance", "see the names in `qasid.hookspecs`"),
    ),
    "under another name": (
        lambda: mutant(Reference, credit=hookimpl(specname="balance")(lambda self: None)),
        *("DEC-2", "no hook has the name credit", "`specname=` is not for providers"),
    ),
    "keyword-only": (
        lambda: mutant(Reference, balance=by_keyword),
        *("DEC-3", "balance: credential is keyword-only", "pluggy does not see what stands behi"),
    ),
    "an argument of its own": (
        lambda: mutant(Reference, balance=with_a_default),
        *("DEC-3", "balance: no argument retries is given", "passes by name only what the spe"),
    ),
    "a value": (
        lambda: mutant(Reference, balance=a_value),
        *("DEC-4", "balance is no flow", "yield a `Request` and return the result"),
    ),
    "a coroutine": (
        lambda: mutant(Reference, balance=a_coroutine),
        *("DEC-4", "balance is no flow", "`async def` is never needed"),
    ),
    "a wrapper": (
        lambda: mutant(Reference, balance=a_wrapper),
        *("DEC-4", "balance is a wrapper", "yield a `Request` and return the result"),
    ),
    "yields a text": (
        lambda: balance(lambda self: "GET /balance"),
        *("PURE-1", "balance yields str", "waiting and trying again are the core's"),
    ),
    "another origin": (
        lambda: balance(lambda self: Request(method="GET", url="https://elsewhere.example/")),
        *("SEC-5", "PluginError", 'write `f"{self.base_url}/path"` for every address'),
    ),
    "sleeping": (
        lambda: balance(lambda self: time.sleep(0)),
        *("PURE-3", "balance: time.sleep", "leave waiting to the core"),
    ),
    "printing": (
        lambda: balance(lambda self: print("asking")),  # noqa: T201, that is the mistake
        *("PURE-4", "balance prints", "take the `print` out"),
    ),
    "reading the environment": (
        lambda: balance(lambda self: os.environ.get("HTTPS_PROXY") and None),
        *("PURE-5", "balance reads HTTPS_PROXY", "make it a field"),
    ),
    "leaking its key": (
        lambda: mutant(Reference, balance=leaking),
        *(
            "SEC-3",
            "balance: the plugin's own PermissionDenied tells too much",
            "never put a reply's body or its free text, or a value that you were",
        ),
    ),
    "changing a value": (
        lambda: mutant(Reference, otp=settling),
        *("PURE-6", "otp changes the OtpOrder", "Make a new one with `attrs.evolve`"),
    ),
    "setting the environment": (
        lambda: balance(lambda self: os.environ.update(QASID_ASKED="1")),
        *("PURE-5", "balance reads QASID_ASKED", "a provider's fields are its settings"),
    ),
    "reading all of the environment": (
        lambda: balance(lambda self: [*os.environ] and None),
        *("PURE-5", "balance reads all of it", "The core fills it from arguments"),
    ),
    "reading a file": (
        lambda: balance(lambda self: open(os.devnull).close()),  # noqa: PTH123, that is the mistake
        *("PURE-3", "balance: open", "Read what stands in a file when the module is imported"),
    ),
    "without an end": (
        lambda: mutant(Reference, balance=endless),
        *("PURE-1", "a flow of more than 100 requests", "waiting and trying again are the core's"),
    ),
    "without an end, asked by an example": (
        lambda: mutant(Reference, balance=endless),
        *("WIRE-2", "a flow of more than 100 requests", ""),
    ),
    "not frozen": (
        thawed,
        *("DEC-7", "it is not frozen", "`@attrs.frozen(eq=False, kw_only=True)`"),
    ),
    "another error": (
        lambda: mutant(Reference, _refusal=refused_otherwise),
        *("NUM-5", "NoNumbersAvailable was due, and not InvalidRequest: sold out", "the order was"),
    ),
    "refusing everybody": (
        lambda: mutant(Reference, send=refusing),
        *("SEND-1", "InvalidRecipient('not a mobile')", "give the contract a `sample_message`"),
    ),
    "of a wrong type": (
        lambda: mutant(Reference, _offer=taken_as_it_comes),
        *("FAIL-6", "of a wrong type: Offer.", "the plugin took a member without looking"),
    ),
    "raising KeyError": (
        lambda: mutant(Reference, balance=careless),
        *("FAIL-6", "the plugin's own KeyError", "Take it with `qasid.reading.take`"),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_named_with_what_to_do(name: str) -> None:
    """The rule about it is red; its words name the hook and what is wrong, and help is there."""
    make, rule_id, words, remedy = BAD[name]
    (rule,) = [rule for rule in all_rules() if rule.id == rule_id]
    result = run(contract(make()), rule, Path.PLUGGED)
    assert Status.FAILED is result.status
    assert words in result.words
    assert remedy in f"{rule.promise} {rule.troubleshooting}"


def test_an_emulator_without_a_refusal_is_named() -> None:
    """What should have been refused, and was not, is told in words."""
    sold = mutant(ReferenceEmulator, stock=lambda self, service, country, count: None)
    (rule,) = [rule for rule in all_rules() if rule.id == "NUM-5"]
    result = run(contract(emulator=sold), rule, Path.PLUGGED)
    assert "NoNumbersAvailable was due, and nothing was raised" in result.words


def test_a_token_that_nobody_wants_is_named() -> None:
    """A login that no hook uses is a mistake, and is told in words."""
    hooks = {name: None for name in HOOKS if name not in {"authenticate", "balance"}}

    @hookimpl
    def balance_by_itself(self: Any) -> Flow[Money]:
        credential = yield from Reference.authenticate(self)
        return (yield from Reference.balance(self, credential))

    (rule,) = [rule for rule in all_rules() if rule.id == "AUTH-2"]
    lonely = contract(mutant(Reference, balance=balance_by_itself, **hooks))
    result = run(lonely, rule, Path.PLUGGED)
    assert "no hook names an argument `credential`: what is the token for?" in result.words
