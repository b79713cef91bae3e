"""What may have been done is never done again by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import attrs

from qasid.effects import Request, Response
from qasid.errors import Outcome
from qasid.phone import e164
from qasid.values import Receipt
from qasid_contract.case import Case, Wire
from qasid_contract.faults import NO_ANSWER, SERVER_FAULTS, UNREADABLE, Fault
from qasid_contract.rulebook import Path, rule
from qasid_contract.trials import trials

BOTH: Final = (Path.PLUGGED, Path.SOCKET)

#: The hooks that change something at the provider.
_ACTS: Final = ("acquire_number", "send", "otp", "release", "verify_otp")

_LOST: Final = NO_ANSWER[0]


def _once(case: Case, faults: Iterable[Fault]) -> None:
    for trial in trials(case, faults, _ACTS):
        asked = trial.case.wire.unsafe
        assert asked <= 1, f"{trial}, and {asked} requests for it were on the wire"
        assert trial.entries <= 1, f"{trial}, and it was done {trial.entries} times"


@rule("TWICE-1", any_of=_ACTS, paths=BOTH)
def nothing_is_repeated_after_silence(case: Case) -> None:
    """After no answer, or half of one, what may have been done is not asked for again.

    Troubleshooting: yield a request once and let `NoAnswer` pass. A request that buys, sends or
    changes anything must not be marked `safe=True`, nor be a GET without `safe=False`.
    """
    _once(case, NO_ANSWER[:2])


@rule("TWICE-2", any_of=_ACTS, paths=BOTH)
def nothing_is_repeated_after_a_fault(case: Case) -> None:
    """After a status of 500 or a reply that cannot be read, it is not asked for again either.

    Troubleshooting: leave repeating to the core, which knows what may be repeated. The provider may
    have done what it was asked before it failed.
    """
    few = (SERVER_FAULTS[0], UNREADABLE[0])
    _once(case, few if case.path is Path.SOCKET else SERVER_FAULTS + UNREADABLE)


@rule("TWICE-3", needs={"send"}, paths=BOTH)
def a_bulk_goes_once(case: Case) -> None:
    """Where a batch in the middle of many gets no answer, nothing is sent twice or told wrongly.

    Troubleshooting: do not fall back to smaller batches, and do not guess at receipts: let the
    error pass, and the core will write it on the receipts of that batch alone.
    """
    for lost in (_LOST, attrs.evolve(_LOST, performed=False)):
        for fresh in case.afresh():
            _send_in_bulk(fresh, lost)


def _send_in_bulk(case: Case, lost: Fault) -> None:
    tos = case.recipients(2 * case.info.max_batch + 1)
    case.fund()
    account = case.account()
    case.prepared("send", account)
    with case.failing(_Second(name=lost.name, performed=lost.performed, wire=case.wire)):
        receipts = account.send_many([attrs.evolve(case.message(), to=to) for to in tos])
    arrived = Counter(e164(item.to) for item in case.emulator.outbox())
    assert len(tos) == len(receipts), "not one receipt for each message"
    for receipt in receipts:
        _judge_receipt(receipt, arrived[receipt.to])


def _judge_receipt(receipt: Receipt, times: int) -> None:
    """What is unknown may have gone or not. It is for the caller to find out."""
    assert times <= 1, f"{receipt} was sent {times} times"
    if receipt.outcome is not Outcome.UNKNOWN:
        assert receipt.accepted is bool(times), f"{receipt} is not what happened"


@attrs.frozen(kw_only=True)
class _Second(Fault):
    """The second request fails, and no other."""

    wire: Wire

    def plugged(self, request: Request, handle: Callable[[Request], Response]) -> Response:
        strikes = len(self.wire.requests) == 2
        return super().plugged(request, handle) if strikes else handle(request)

    def served(self, request: Request, handle: Callable[[Request], Response]) -> Response:
        strikes = len(self.wire.requests) == 2
        return super().served(request, handle) if strikes else handle(request)
