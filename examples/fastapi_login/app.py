"""Logging in by a one-time password.

======================  ======================================================================
``GET /``               who is logged in
``GET /login``          asks for a number, to which ``POST /login`` sends a code
``GET /login/code``     asks for the code, with which ``POST /login/code`` logs in
``POST /logout``        forgets who it was
======================  ======================================================================

Numbers and codes are in bodies and in the visitor's own cookie alone: in no address, and in no log.
"""

from __future__ import annotations

import hmac
import logging
import math
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.templating import Jinja2Templates
from starlette.middleware.sessions import SessionMiddleware

from qasid import InvalidRecipient, OtpLimitExceeded, Outcome, ProviderError, QasidError
from qasid.otp import AsyncVerifier
from qasid.phone import e164

from .configuration import Configuration, from_environment

__all__ = ["create"]

PURPOSE: Final = "login"
HOURS: Final = 8  # that a login lasts

NO_NUMBER: Final = "Write your number as +, the country code and the number."
NO_CODE: Final = "This code is not right, or no longer. Ask for another one."
NO_SERVICE: Final = "We cannot do this at the moment. Please try again later."

log = logging.getLogger(__name__)
router = APIRouter()
templates = Jinja2Templates(Path(__file__).parent / "templates")


def create(configuration: Configuration | None = None) -> FastAPI:
    """The application, as ``uvicorn --factory`` wants it."""
    told = configuration or from_environment()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, AsyncVerifier]]:
        async with told.verifier() as verifier:
            yield {"verifier": verifier}

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.add_middleware(
        SessionMiddleware,
        secret_key=told.derived("sessions"),
        max_age=HOURS * 3_600,
        https_only=not told.insecure,
    )
    app.include_router(router)
    app.add_exception_handler(InvalidRecipient, refuse_number)
    app.add_exception_handler(OtpLimitExceeded, refuse_for_now)
    app.add_exception_handler(QasidError, be_out_of_order)
    return app


# Forms. What they post bears a token that only our pages know: no other site can post it.


def page(request: Request, name: str, status: int = 200, **told: Any) -> Response:
    """A page, with the token for its forms. None is kept by anybody on the way."""
    token = request.session.setdefault("token", secrets.token_urlsafe())
    told |= {"token": token, "asked": request.session.get("asked")}
    headers = {"Cache-Control": "no-store"}
    return templates.TemplateResponse(request, name, told, status, headers)


async def own_form(request: Request, token: Annotated[str, Form()] = "") -> None:
    """Let through what a form of ours posts. Raises `HTTPException`."""
    known = request.session.get("token", "")
    if not known or not hmac.compare_digest(known.encode(), token.encode()):
        raise HTTPException(403, "This page is too old. Go back, load it again, and try once more.")


OWN_FORM: Final = [Depends(own_form)]


def moved(path: str) -> RedirectResponse:
    """To be loaded with GET, so that loading it again posts nothing."""
    return RedirectResponse(path, 303)


# Logging in.


@router.get("/")
async def home(request: Request) -> Response:
    """Show who is logged in."""
    number = request.session.get("number")
    return page(request, "home.html", number=number) if number else moved("/login")


@router.get("/login")
async def ask_number(request: Request) -> Response:
    """Ask for a number."""
    return page(request, "number.html")


@router.post("/login", dependencies=OWN_FORM)
async def send_code(request: Request, number: Annotated[str, Form()] = "") -> Response:
    """Send a code. What goes wrong before is told by the handlers below."""
    to, verifier = e164(number), request.state.verifier
    request.session.update(asked=to, late=False)  # also where it is refused: a code may be there
    try:
        await verifier.issue(to, purpose=PURPOSE, caller=caller(request))
    except ProviderError as error:
        if error.outcome is not Outcome.UNKNOWN:
            raise
        log.warning("a code may have been sent, or not: %s", type(error).__name__)
        request.session["late"] = True
    return moved("/login/code")


@router.get("/login/code")
async def ask_code(request: Request) -> Response:
    """Ask for the code."""
    if "asked" not in request.session:
        return moved("/login")
    return page(request, "code.html", late=request.session["late"])


@router.post("/login/code", dependencies=OWN_FORM)
async def log_in(request: Request, code: Annotated[str, Form()] = "") -> Response:
    """Log in with the code that was sent to the number that this visitor asked for."""
    to = request.session.get("asked")
    if to is None:
        return moved("/login")
    verdict = await request.state.verifier.verify(to, code, purpose=PURPOSE)
    if not verdict:
        log.info("a code was rejected: %s", verdict.reason)  # the reason is for us alone
        return page(request, "code.html", 422, problem=NO_CODE)
    request.session.clear()  # with the token of the time before
    request.session["number"] = to
    return moved("/")


@router.post("/logout", dependencies=OWN_FORM)
async def log_out(request: Request) -> Response:
    """Forget who it was."""
    request.session.clear()
    return moved("/login")


def caller(request: Request) -> str:
    """The address that the limits know the visitor by.

    Behind a proxy this would be the proxy's, and all visitors one caller, if uvicorn did not take
    it from X-Forwarded-For. It does so where the proxy is on the same machine; the address of
    another one has to be named: ``--forwarded-allow-ips 10.0.0.5``. Never allow ``*`` where anybody
    else can reach uvicorn, as visitors would choose their addresses. Those without one, on a Unix
    socket, count as one caller.
    """
    return request.client.host if request.client else "unknown"


# How it says no.


async def refuse_number(request: Request, error: Exception) -> Response:
    """No number, none that is reached, or of a country to which no codes are sent."""
    return page(request, "number.html", 422, wrong="number", problem=NO_NUMBER)


async def refuse_for_now(request: Request, error: Exception) -> Response:
    """A limit: until when, and not which."""
    assert isinstance(error, OtpLimitExceeded)
    log.info("no code was sent: %s", error.limit)
    response = page(request, "number.html", 429, problem=wait_words(error.retry_after))
    response.headers["Retry-After"] = f"{math.ceil(error.retry_after.total_seconds())}"
    return response


def wait_words(wait: timedelta) -> str:
    """How long to wait, for people."""
    seconds = math.ceil(wait.total_seconds())
    length = f"{seconds} seconds" if seconds <= 120 else f"{math.ceil(seconds / 60)} minutes"
    return f"You can ask for a code again in {length}."


async def be_out_of_order(request: Request, error: Exception) -> Response:
    """Anything else: the provider refuses or is down, or the database is."""
    # By its kind alone: a message may hold words of the provider's, and they a number.
    log.error("out of order: %s", type(error).__name__)
    return page(request, "number.html", 503, problem=NO_SERVICE)
