"""Where drivers and programs run: the servers, the files, the environment, the request."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

import qasid
from benchmarks.authority import Authority, issued
from benchmarks.cases import DELAY, PEERS, Case
from benchmarks.job import Job
from benchmarks.message import TEXT, TO
from benchmarks.programs import distributions
from benchmarks.replies import CLOSING
from benchmarks.server import Server, delayed, serving
from qasid.effects import Request
from qasid_deftsms import DeftSMS

__all__ = ["STRANGERS", "Stage", "request", "staged"]

STRANGERS: Final = 500  # distributions that are also installed, in a folder of their own


@attrs.frozen(kw_only=True)
class Stage:
    """`request` is the one that Qasid makes for the message; `environment` is all that there is."""

    quick: Server
    delayed: Server
    environment: Mapping[str, str]
    request: Request
    strangers: Path

    def server(self, case: Case) -> Server:
        """The server of a case."""
        return self.delayed if case.place == "delayed" else self.quick

    def job(self, case: Case, seconds: float) -> Job:
        """The job of a case. Many workers need longer for a figure that says something."""
        return Job(
            driver=case.module,
            url=self._url(case),
            seconds=seconds if case.workers == 1 else max(0.5, 2 * seconds),
            workers=case.workers,
            recipients=case.recipients,
            body=(self.request.content or b"").decode(),
            headers=dict(self.request.headers),
        )

    def _url(self, case: Case) -> str:
        server = self.server(case)
        origin = server.tls if case.place in ("tls", "closing") else server.plain
        closing = CLOSING if case.place == "closing" else ""
        return origin if case.driver in PEERS else f"{origin}{closing}/deftsms/sms/send/simple"


@contextlib.contextmanager
def staged() -> Iterator[Stage]:
    """Everything, for as long as it is needed."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority = issued(folder)
        quick = stack.enter_context(serving(folder, authority.certificate))
        yield Stage(
            quick=quick,
            delayed=stack.enter_context(delayed(authority.certificate, DELAY)),
            environment=_environment(folder, authority, quick),
            request=request(),
            strangers=distributions(folder / "strangers", STRANGERS),
        )


def _environment(folder: Path, authority: Authority, server: Server) -> dict[str, str]:
    # A small one, the same for all: in a larger one bare requests would only get slower.
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "REQUESTS_CA_BUNDLE": str(authority.bundle),
        "SSL_CERT_FILE": str(authority.bundle),
        "QASID_DEFTSMS_USERNAME": "acme",
        "QASID_DEFTSMS_SECRET_KEY": "k" * 40,
        "QASID_DEFTSMS_BASE_URL": f"{server.tls}/deftsms",
    }


def request() -> Request:
    """The request that Qasid makes for the message, as it would cross the wire."""
    provider = DeftSMS(username="acme", secret_key="k" * 40)
    made = next(provider.send([qasid.TextMessage(to=TO, text=TEXT)]))
    assert isinstance(made, Request)
    return made.encode()
