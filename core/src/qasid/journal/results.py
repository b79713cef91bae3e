"""What became of an operation as the journal keeps it, and what its caller is given again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from qasid import errors
from qasid.errors import Outcome, ProviderError
from qasid.journal.records import Asked, Ending, Operation, State, shown
from qasid.values import Acquired, Activation, Money, OtpTicket, Receipt, Released

__all__ = ["failed", "performed", "recorded", "replayed"]


# Written down.


def performed(claim: str, given: Any) -> Ending:
    """How a try ended that gave this. A receipt may tell of a refusal, or of nothing known."""
    result = recorded(given)
    if isinstance(given, Receipt) and given.error is not None:
        sure = given.error.outcome is Outcome.NOT_PERFORMED
        ended = failed(claim, given.error, State.REFUSED if sure else State.UNKNOWN)
        return attrs.evolve(ended, result=result)
    return Ending(claim=claim, state=State.PERFORMED, result=result)


def recorded(given: Any) -> str:
    """A result as one line of JSON. A ticket's code is left out."""
    return json.dumps(_members(given))


def failed(claim: str, error: BaseException, state: State) -> Ending:
    """How a try ended with this error. Its words are left out, as they may hold anything."""
    blame = _blame(error)
    return Ending(claim=claim, state=state, error=blame["error"], code=blame["code"])


def _blame(error: BaseException) -> dict[str, str | None]:
    code = getattr(error, "code", None)
    return {"error": type(error).__name__, "code": None if code is None else shown(str(code))}


def _members(given: Any) -> dict[str, Any]:
    match given:
        case Receipt():
            return {"id": given.id, "batch_id": given.batch_id, "cost": _text(given.cost)}
        case OtpTicket():  # without its code
            end = given.expires_at and given.expires_at.isoformat()
            return {"id": given.id, "dial": given.dial, "expires_at": end}
        case Released():
            return {"refund": _text(given.refund)}
    failures = {
        service: {**_blame(error), "outcome": (error.outcome or Outcome.UNKNOWN).value}
        for service, error in given.failures.items()
    }
    return {"activations": [json.loads(one.dump()) for one in given], "failures": failures}


def _text(money: Money | None) -> str | None:
    return None if money is None else str(money)


# Given again.


def replayed(operation: Operation, asked: Asked) -> Any:
    """The result of an operation that was performed. Raises what stands for its failure.

    That is an error of the class recorded with the outcome recorded, in words of our own.
    """
    if operation.state is not State.PERFORMED:
        raise _error(_blame_of(operation), Outcome.UNKNOWN, f"recorded as {operation.id}")
    return _READERS[operation.hook](json.loads(operation.result or "{}"), operation, asked)


def _blame_of(operation: Operation) -> dict[str, str | None]:
    """The error of an operation whose end is not known; a try that was cut off left none."""
    return {"error": operation.error or "NoAnswer", "code": operation.code}


def _error(blame: Mapping[str, str | None], outcome: Outcome, where: str) -> ProviderError:
    words = f"tried before, {where} in the journal: {outcome.value}; see: qasid journal list"
    return _kind(blame["error"])(words, code=blame["code"], outcome=outcome)


def _kind(name: str | None) -> type[ProviderError]:
    """The class of that name; a plugin's own, or what was no provider's error, is gone."""
    found = getattr(errors, name or "", None)
    if isinstance(found, type) and issubclass(found, ProviderError):
        return found
    return ProviderError


def _receipt(data: Any, operation: Operation, asked: Any) -> Receipt:
    cost = _money(data.get("cost"))
    known = {"id": data.get("id"), "batch_id": data.get("batch_id")}
    return Receipt(to=asked.to, cost=cost, account=operation.account, **known)


def _ticket(data: Any, operation: Operation, asked: Any) -> OtpTicket:
    end = data.get("expires_at")
    expires_at = end and datetime.fromisoformat(end)
    known = {"id": data.get("id"), "dial": data.get("dial"), "account": operation.account}
    return OtpTicket(to=asked.to, expires_at=expires_at or None, **known)


def _acquired(data: Any, operation: Operation, asked: Any) -> Acquired:
    if not data.get("activations"):  # a person knew that it was rented, and no more
        raise _error(_blame_of(operation), Outcome.UNKNOWN, f"settled by hand as {operation.id}")
    failures = {
        service: _error(blame, Outcome(blame["outcome"]), f"in {operation.id}")
        for service, blame in data["failures"].items()
    }
    found = [Activation.load(json.dumps(one)) for one in data["activations"]]
    return Acquired(found, failures)


def _money(text: str | None) -> Money | None:
    return None if text is None else Money.parse(text)


_READERS: Final[Mapping[str, Callable[[Any, Operation, Any], Any]]] = {
    "send": _receipt,
    "otp": _ticket,
    "acquire_number": _acquired,
}
