"""One mistake for each rule on secrets, purity and the wire."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urljoin

import attrs
import hasty
from mutation import contract, mutant

from qasid import errors
from qasid.effects import Flow, Request, Response, Sleep
from qasid.hookspecs import hookimpl
from qasid.values import Credential, DeliveryReport, Money, OtpOrder, OtpTicket
from qasid_contract.contract import ProviderContract
from qasid_contract.reference import Reference
from qasid_contract.reference_emulator import ReferenceEmulator


def _shown(self: Any) -> str:
    return f"Reference({self.api_key!r})"


def _logged(self: Any, message: Any) -> dict[str, Any]:
    body: dict[str, Any] = Reference._outgoing(self, message)
    logging.getLogger("reference").debug("sending %s", body)
    return body


def _quoted(self: Any, response: Response) -> Any:
    try:
        return Reference._read(self, response)
    except errors.ProtocolError:
        text = response.body[:500].decode(errors="replace")
        raise errors.ProtocolError(f"cannot read {text}", response=response) from None


def _keyed(self: Any, method: str, path: str, credential: Credential, **more: Any) -> Request:
    request = Reference._request(self, method, path, credential, **more)
    return attrs.evolve(request, query=[*request.query, ("key", self.api_key)])


def _joined(self: Any, method: str, path: str, credential: Credential, **more: Any) -> Request:
    request = Reference._request(self, method, path, credential, **more)
    return attrs.evolve(request, url=urljoin(self.base_url, f"/v1{path}"))


def _numbered(self: Any, method: str, path: str, credential: Credential, **more: Any) -> Request:
    request = Reference._request(self, method, path, credential, **more)
    return attrs.evolve(request, headers=[*request.headers, ("X-Request-Id", str(uuid.uuid4()))])


@hookimpl
def _waiting(self: Any, credential: Credential) -> Flow[Money]:
    response = yield self._request("GET", "/balance", credential)
    if response.status == 503 and response.header("Retry-After"):
        yield Sleep(float(response.header("Retry-After")))
        response = yield self._request("GET", "/balance", credential)
    told: Money = self._money(self._read(response))
    return told


@hookimpl
def _sleeping(self: Any, credential: Credential) -> Flow[Money]:
    time.sleep(0)
    told: Money = self._money((yield from self._get("/balance", credential)))
    return told


@hookimpl
def _printing(self: Any, credential: Credential) -> Flow[Money]:
    data = yield from self._get("/balance", credential)
    print("the balance was told")  # noqa: T201, that is the mistake
    told: Money = self._money(data)
    return told


@hookimpl
def _asking(self: Any, credential: Credential) -> Flow[Money]:
    path = os.environ.get("REFERENCE_BALANCE_PATH", "/balance")
    told: Money = self._money((yield from self._get(path, credential)))
    return told


@hookimpl
def _deciding(self: Any, order: OtpOrder, credential: Credential) -> Flow[OtpTicket]:
    object.__setattr__(order, "channel", order.channel or "sms")
    return (yield from Reference.otp(self, order, credential))


@hookimpl
def _stubborn(self: Any, credential: Credential) -> Flow[Money]:
    request = self._request("GET", "/balance", credential)
    try:
        response = yield request
    except GeneratorExit:
        response = yield request
    told: Money = self._money(self._read(response))
    return told


def _strict(self: Any, receipt_id: str, state: str) -> DeliveryReport:
    if state not in {"", "pending", "delivered", "failed"}:
        raise errors.ProtocolError("'state' is none that is known")
    return Reference._report(self, receipt_id, state)


def _renamed(self: Any, body: Mapping[str, Any]) -> object:
    told: Any = ReferenceEmulator._issue(self, body)
    return {**told, "valid_until": told["expires_at"]}


def _provider(**members: Any) -> type[ProviderContract]:
    return contract(mutant(Reference, **members))


MUTANTS: Final[dict[str, type[ProviderContract]]] = {
    "DEC-10": contract(hasty.Hasty),
    "SEC-1": _provider(__repr__=_shown),
    "SEC-2": _provider(_outgoing=_logged),
    "SEC-3": _provider(_read=_quoted),
    "SEC-4": _provider(_request=_keyed),
    "SEC-5": _provider(_request=_joined),
    "PURE-1": _provider(balance=_waiting),
    "PURE-2": _provider(_request=_numbered),
    "PURE-3": _provider(balance=_sleeping),
    "PURE-4": _provider(balance=_printing),
    "PURE-5": _provider(balance=_asking),
    "PURE-6": _provider(otp=_deciding),
    "PURE-7": _provider(balance=_stubborn),
    "WIRE-1": contract(emulator=mutant(ReferenceEmulator, _issue=_renamed)),
    "WIRE-2": _provider(_report=_strict),
}
