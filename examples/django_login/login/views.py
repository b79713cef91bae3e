"""Ask for a number, send a code to it, and log in who enters that."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_safe

from login.forms import NO_CODE, NO_NUMBER, CodeForm, NumberForm
from login.verification import verifier
from qasid import InvalidRecipient, OtpLimitExceeded, Outcome, ProviderError, QasidError

__all__ = ["ask_code", "ask_number", "home"]

PURPOSE: Final = "login"
NO_SERVICE: Final = "We cannot do this at the moment. Please try again later."

log = logging.getLogger(__name__)


def limited(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Answer with a page when a limit says no (429), and when it cannot be done at all (503)."""

    @functools.wraps(view)
    def limited_view(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except OtpLimitExceeded as error:
            return refuse_for_now(request, error)
        except QasidError as error:
            # By its kind alone: a message may hold words of the provider's, and they a number.
            log.error("out of order: %s", type(error).__name__)  # noqa: TRY400  nor a traceback
            return number_page(request, NumberForm(), 503, problem=NO_SERVICE)

    return limited_view


@require_safe
@never_cache
@login_required(redirect_field_name=None)
def home(request: HttpRequest) -> HttpResponse:
    """Show who is logged in."""
    return render(request, "login/home.html")


@never_cache
@sensitive_post_parameters()  # neither of them gets into a report of an error
@limited
def ask_number(request: HttpRequest) -> HttpResponse:
    """Ask for a number, and send a code to it."""
    if request.method != "POST":
        return number_page(request, NumberForm())
    form = NumberForm(request.POST)
    if form.is_valid() and sent(request, form):
        return redirect("code")
    return number_page(request, form, 422)


@never_cache
@sensitive_post_parameters()
@limited
def ask_code(request: HttpRequest) -> HttpResponse:
    """Ask for the code, and log in whoever knows it."""
    if "asked" not in request.session:
        return redirect("number")
    if request.method != "POST":
        return code_page(request, CodeForm())
    form = CodeForm(request.POST)
    if form.is_valid() and entered(request, form):
        return redirect("home")
    return code_page(request, form, 422)


# What they do.


def sent(request: HttpRequest, form: NumberForm) -> bool:
    """Whether a code is or may be on its way. Raises `OtpLimitExceeded` and other `QasidError`s."""
    to = form.cleaned_data["number"]
    request.session["asked"] = to  # also where it is refused: a code may be there
    request.session["late"] = False
    try:
        verifier().issue(to, purpose=PURPOSE, caller=caller(request))
    except InvalidRecipient:  # not reached, or of a country to which no codes are sent
        form.add_error("number", NO_NUMBER)
        return False
    except ProviderError as error:
        if error.outcome is not Outcome.UNKNOWN:
            raise
        log.warning("a code may have been sent, or not: %s", type(error).__name__)
        request.session["late"] = True
    return True


def entered(request: HttpRequest, form: CodeForm) -> bool:
    """Whether the code is right, and its owner is logged in."""
    to = request.session["asked"]
    verdict = verifier().verify(to, form.cleaned_data["code"], purpose=PURPOSE)
    user = user_of(to) if verdict else None
    if user is None or not user.is_active:
        log.info("a code was rejected: %s", verdict.reason or "the user is not active")
        form.add_error("code", NO_CODE)
        return False
    del request.session["asked"], request.session["late"]
    login(request, user)
    return True


def user_of(number: str) -> User:
    """The user with that number, who is made when it is verified first. There is no password."""
    user, _ = User.objects.get_or_create(
        username=number, defaults={"password": make_password(None)}
    )
    return user


def caller(request: HttpRequest) -> str:
    """The address that the limits know the visitor by.

    Behind a proxy REMOTE_ADDR is the proxy's, or empty, and all visitors would be one caller. Each
    proxy adds to X-Forwarded-For whom it got the request from: of two proxies of ours, the second
    entry from the right is who called the first. What stands left of it the visitor has made up.
    """
    if not settings.LOGIN_PROXIES:
        return request.META["REMOTE_ADDR"] or "unknown"
    seen = [each.strip() for each in request.headers.get("X-Forwarded-For", "").split(",")]
    return seen[-min(settings.LOGIN_PROXIES, len(seen))] or "unknown"


# Pages.


def number_page(
    request: HttpRequest, form: NumberForm, status: int = 200, **told: Any
) -> HttpResponse:
    """Ask for the number."""
    told |= {"form": form, "asked": request.session.get("asked")}
    return render(request, "login/number.html", told, status=status)


def code_page(request: HttpRequest, form: CodeForm, status: int = 200) -> HttpResponse:
    """Ask for the code."""
    told = {"form": form, "asked": request.session["asked"], "late": request.session["late"]}
    return render(request, "login/code.html", told, status=status)


def refuse_for_now(request: HttpRequest, error: OtpLimitExceeded) -> HttpResponse:
    """A limit: until when, and not which."""
    log.info("no code was sent: %s", error.limit)
    response = number_page(request, NumberForm(), 429, problem=wait_words(error.retry_after))
    response.headers["Retry-After"] = f"{math.ceil(error.retry_after.total_seconds())}"
    return response


def wait_words(wait: timedelta) -> str:
    """How long to wait, for people."""
    seconds = math.ceil(wait.total_seconds())
    length = f"{seconds} seconds" if seconds <= 120 else f"{math.ceil(seconds / 60)} minutes"
    return f"You can ask for a code again in {length}."
