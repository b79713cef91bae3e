"""One call of a hook on a line that fails, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import attrs

from qasid.errors import ConnectFailed, Outcome, ProviderError, QasidError
from qasid.hookspecs import HOOKS, hookimpl
from qasid_contract.case import Case
from qasid_contract.faults import Fault

__all__ = ["Trial", "Watch", "trials", "tried", "words_of"]


@attrs.frozen(kw_only=True)
class Trial:
    """What one call gave or raised, in the case that it had for itself.

    `mistakes` are the exceptions of the plugin's own making that left its flow. `entries` says by
    how many the emulator's books of what was sent and rented grew.
    """

    case: Case
    hook: str
    fault: Fault
    result: Any = None
    error: Exception | None = None
    mistakes: tuple[str, ...] = ()
    entries: int = 0

    def __str__(self) -> str:
        came = "a result" if self.error is None else repr(self.error)
        return f"{self.hook}, {self.fault.name}: {came}"

    @property
    def due(self) -> Outcome:
        """What is known of an act whose answer did not come: all that was safe changed nothing."""
        return Outcome.UNKNOWN if self.case.wire.unsafe else Outcome.NOT_PERFORMED

    def refused(self, kind: type[ProviderError] = ProviderError) -> ProviderError:
        """The error, which must be of that kind, with the outcome that is due."""
        error = self.failed(kind)
        assert self.due is error.outcome, f"{self}: the outcome is not {self.due.value}"
        return error

    def failed(self, kind: type[ProviderError] = ProviderError) -> ProviderError:
        """The error, which must be of that kind, and none that the plugin made by mistake."""
        assert not self.mistakes, f"{self}: {', '.join(self.mistakes)}"
        assert isinstance(self.error, kind), f"{self}, where a {kind.__name__} was due"
        return self.error


def trials(
    case: Case, faults: Iterable[Fault], hooks: Iterable[str] | None = None
) -> Iterator[Trial]:
    """Every hook with every fault, each in a case of its own, on each way to the emulator."""
    wanted = case.asking_hooks() if hooks is None else hooks
    for fault in faults:
        for hook in wanted:
            if hook in case.implemented:
                yield from (tried(fresh, hook, fault) for fresh in case.afresh())


def tried(case: Case, hook: str, fault: Fault) -> Trial:
    """Call a hook with its first request, and every later one, failing."""
    watch = Watch()
    ready = case.prepared(hook, case.account_of(case.provider(**case.settings()), watch))
    before = _entries(case)
    if fault.error is ConnectFailed:
        case.hang_up()
    with case.failing(fault):
        result, error = _called(ready)
    return Trial(
        case=case,
        hook=hook,
        fault=fault,
        result=result,
        error=error,
        mistakes=tuple(watch.seen),
        entries=_entries(case) - before,
    )


def _entries(case: Case) -> int:
    return len(case.emulator.outbox()) + len(case.emulator.activations())


def _called(ready: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return ready(), None
    except Exception as error:  # whatever it is, a rule judges it
        return None, error


class Watch:
    """A plugin around every hook, which hears a provider's errors before the core mends them.

    `seen` are mistakes that the core makes a `ProtocolError` of. `said` is the kind and all words
    of each error of the tree, from which the core will take the secrets that it knows.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.said: list[tuple[str, str]] = []

    def noted(self, flow: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """The same flow."""
        try:
            return (yield from flow)
        except QasidError as error:
            self.said.append((type(error).__name__, words_of(error)))
            raise
        except Exception as error:
            self.seen.append(f"the plugin's own {type(error).__name__}")
            raise


def words_of(error: BaseException | None) -> str:
    """All that an error and those behind it say, but for their replies."""
    if error is None:
        return ""
    own = [str(error), repr(error), *getattr(error, "__notes__", ())]
    own += [str(value) for name, value in vars(error).items() if name != "response"]
    return " ".join([*own, words_of(error.__cause__), words_of(error.__context__)])


def _around(self: Watch) -> Generator[None, Any, Any]:
    flow = yield
    return self.noted(flow) if isinstance(flow, Generator) else flow


for _hook in HOOKS:
    setattr(Watch, _hook, hookimpl(wrapper=True)(_around))
