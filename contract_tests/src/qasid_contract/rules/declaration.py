"""What a provider says of itself, told without a request."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, Final

import attrs

from qasid import hookspecs
from qasid._version import CONTRACT_VERSION
from qasid.account import Account
from qasid.emulation import Emulator
from qasid.errors import ProviderError, UnsupportedOperation
from qasid.finding import installed
from qasid.hookspecs import HOOKS
from qasid.settings import Options
from qasid.values import InboxQuery, SupportLevel, TemplateMessage
from qasid_contract.case import Case
from qasid_contract.importing import imported
from qasid_contract.refusals import refusal
from qasid_contract.rulebook import rule


def _marked(provider: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Every method that pluggy would take for a hook, with the options it was marked with."""
    for name in dir(provider):
        method = inspect.getattr_static(provider, name)
        options = getattr(method, f"{hookspecs.PROJECT}_impl", None)
        if options is not None:
            yield name, method, options


def _hooks(provider: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Those of them that are hooks; DEC-2 has the rest."""
    return (found for found in _marked(provider) if found[0] in HOOKS)


@rule("DEC-1")
def support_is_what_is_implemented(case: Case) -> None:
    """The declared support and the implemented hooks are the same, both ways.

    Troubleshooting: for each hook named, either mark its method with `@hookimpl`, or change its
    entry in `info.support`. A hook that is there is FULL or PARTIAL.
    """
    declared = {hook for hook in HOOKS if case.info.supports(hook).implemented}
    only_declared = sorted(declared - case.implemented)
    only_written = sorted(case.implemented - declared)
    assert not only_declared, f"declared, and not implemented: {', '.join(only_declared)}"
    assert not only_written, f"implemented, and not declared: {', '.join(only_written)}"


@rule("DEC-2", gate=True)
def hooks_are_spelt_right(case: Case) -> None:
    """Every method that is marked as a hook has the name of one.

    Troubleshooting: see the names in `qasid.hookspecs`. `specname=` is not for providers.
    """
    wrong = [name for name, _, options in _marked(case.provider) if name not in HOOKS]
    renamed = [name for name, _, options in _marked(case.provider) if options["specname"]]
    assert not wrong, f"no hook has the name {', '.join(wrong)}"
    assert not renamed, f"{', '.join(renamed)} stand for hooks of other names"


@rule("DEC-3", gate=True)
def hooks_take_what_they_are_given(case: Case) -> None:
    """A hook's arguments are some of its specification's, and none is keyword-only.

    Troubleshooting: pluggy does not see what stands behind a `*`, and passes by name only what the
    specification has. Leave out what you do not need, and give nothing a default.
    """
    for name, method, _ in _hooks(case.provider):
        known = set(inspect.signature(getattr(hookspecs, name)).parameters)
        for parameter in list(inspect.signature(method).parameters.values())[1:]:
            plain = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            assert plain, f"{name}: {parameter.name} is {parameter.kind.description}"
            assert parameter.name in known, f"{name}: no argument {parameter.name} is given"


@rule("DEC-4", gate=True)
def hooks_are_flows(case: Case) -> None:
    """A hook is a generator function; `parse_webhook` alone is a plain one; none is a wrapper.

    Troubleshooting: yield a `Request` and return the result. A hook without a `yield` in it gives a
    value where a flow is due: write `return (yield from …)`. `async def` is never needed.
    """
    for name, method, options in _hooks(case.provider):
        assert not options["wrapper"], f"{name} is a wrapper"
        assert not options["hookwrapper"], f"{name} is a wrapper"
        plain = name == "parse_webhook"
        assert inspect.isgeneratorfunction(method) is not plain, f"{name} is no flow"
        assert not inspect.iscoroutinefunction(method), f"{name} is async"
        assert not inspect.isasyncgenfunction(method), f"{name} is async"


@rule("DEC-5")
def only_what_is_not_there_is_unsupported(case: Case) -> None:
    """A hook that is not there raises `UnsupportedOperation` and sends nothing; no other one does.

    Troubleshooting: `info.support` is a plain table, and not for a class to decide on at run time.
    What a hook that is PARTIAL cannot say it refuses with `InvalidRequest`.
    """
    for hook, call in _calls(case, case.account()):
        if hook not in case.implemented:
            refusal(call, UnsupportedOperation)
    assert case.wire.requests == [], "something was sent for a hook that is not there"
    for hook, call in _calls(case, case.account()):
        if hook in case.implemented:
            _check_supported(hook, call)


def _calls(case: Case, account: Account) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each hook; those that take one thing or another, with each of them."""
    yield from case.bare_calls(account).items()
    template = TemplateMessage(to=case.contract.recipient, template="code")
    yield "fetch_sms", lambda: account.fetch_sms(InboxQuery())
    yield "fetch_sms", lambda: account.fetch_sms(InboxQuery(since=case.clock.now()))
    yield "send", lambda: account.send(template)


def _check_supported(hook: str, call: Callable[[], Any]) -> None:
    try:
        call()
    except UnsupportedOperation:
        raise AssertionError(f"{hook} is there, and raises UnsupportedOperation") from None
    except ProviderError:
        pass


@rule("DEC-6")
def facts_have_sources(case: Case) -> None:
    """The title, the homepage, every note and at least one source are there, with its date.

    Troubleshooting: add `sources=(Source("title", "address", "2026-01-31"),)` to the info, and a
    note to every hook that is PARTIAL or NOT_IMPLEMENTED.
    """
    info = case.info
    assert info.title, "no title"
    assert info.homepage, "no homepage"
    assert info.sources, "no sources: where do the limits come from?"
    for source in info.sources:
        assert source.title, "a source without a title"
        assert source.address, "a source without an address"
        date.fromisoformat(source.read_on)
    noted = {SupportLevel.PARTIAL, SupportLevel.NOT_IMPLEMENTED}
    bare = [hook for hook, s in info.support.items() if s.level in noted and not s.note]
    assert not bare, f"no note on {', '.join(bare)}"


@rule("DEC-7")
def the_class_is_a_value(case: Case) -> None:
    """The provider is a frozen attrs class without equality, and its fields are its settings.

    Troubleshooting: `@attrs.frozen(eq=False, kw_only=True)`. Two accounts with the same settings
    are two accounts: equal instances would collide in a plugin manager.
    """
    provider = case.provider
    assert attrs.has(provider), "not an attrs class"
    assert provider.__eq__ is object.__eq__, "it has equality: add eq=False"
    assert _is_frozen(provider(**case.settings())), "it is not frozen"
    names = {field.name for field in attrs.fields(provider)}
    assert "base_url" in names, "no field base_url"
    clash = names & {field.name for field in attrs.fields(Options)}
    assert not clash, f"fields with the names of options: {', '.join(sorted(clash))}"


def _is_frozen(instance: Any) -> bool:
    try:
        instance.base_url = instance.base_url
    except attrs.exceptions.FrozenInstanceError:
        return True
    return False


@rule("DEC-8")
def the_contract_version_fits(case: Case) -> None:
    """The contract version is one that this suite proves: same major, no newer minor.

    Troubleshooting: set `contract` in the info to the version that you read the rules of.
    """
    assert re.fullmatch(r"\d+\.\d+", case.info.contract), "not of the form '1.0'"
    major, minor = map(int, case.info.contract.split("."))
    assert (major, minor) <= CONTRACT_VERSION, f"{case.info.contract} is newer than this suite"
    assert major == CONTRACT_VERSION[0], f"{case.info.contract} is another major version"


@rule("DEC-9")
def the_emulator_owes_its_back_doors(case: Case) -> None:
    """The emulator has every back door, and settings that the provider has fields for.

    Troubleshooting: see `qasid.emulation.Emulator`. Provider and emulator are two readings of one
    document: neither may import the other.
    """
    owed = [name for name in vars(Emulator) if not name.startswith("_") and name != "settings"]
    lacking = [name for name in owed if not callable(getattr(case.emulator, name, None))]
    assert not lacking, f"the emulator has no {', '.join(lacking)}"
    fields = {field.name for field in attrs.fields(case.provider)}
    strange = sorted(set(case.emulator.settings) - fields)
    assert not strange, f"the provider has no field {', '.join(strange)}"
    provider, emulator = case.provider, case.contract.emulator
    if provider.__module__ != emulator.__module__:
        borrowed = _borrowed(emulator, provider) + _borrowed(provider, emulator)
        assert not borrowed, f"the one imports {', '.join(borrowed)} of the other"


def _borrowed(borrower: Any, owner: Any) -> list[str]:
    """What the module of the one class has from the module of the other.

    A package has its modules for attributes once they are imported, by whomever.
    """
    here, there = sys.modules[borrower.__module__], sys.modules[owner.__module__]
    found = {name for name, value in vars(here).items() if _is_from(value, there.__name__)}
    return sorted(found - {there.__name__.removeprefix(f"{here.__name__}.")})


def _is_from(value: Any, module: str) -> bool:
    return module in (getattr(value, "__module__", None), getattr(value, "__name__", None))


#: Too dear for every user of the provider: the core imports them late, and only where needed.
_HEAVY: Final = frozenset({"aiohttp", "click", "httpx", "requests", "rich", "stevedore"})


@rule("DEC-10")
def importing_does_nothing_else(case: Case) -> None:
    """Importing the provider is quick, touches neither network nor home, and pulls in no other.

    Troubleshooting: the provider must be importable by its name in a new interpreter. Read no file
    of the user's, start no thread and open no connection at the top of a module: whoever only
    lists what is installed imports it too. HTTP is the core's, so no HTTP library is needed.
    """
    found = imported(case.provider.__module__)
    assert "error" not in found, f"it cannot be imported by its name: {found['error']}"
    assert not found["events"], f"at import: {', '.join(sorted({*found['events']}))}"
    packages = {name.partition(".")[0] for name in found["modules"]}
    unwanted = sorted(packages & (_HEAVY | _other_providers(case)))
    assert not unwanted, f"it pulls in {', '.join(unwanted)}"
    assert found["seconds"] < 1, f"it takes {found['seconds']:.2f} s"


def _other_providers(case: Case) -> set[str]:
    targets = [claim.target for claims in installed().values() for claim in claims]
    return {re.split("[.:]", target)[0] for target in targets} - {
        case.provider.__module__.partition(".")[0]
    }
