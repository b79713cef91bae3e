"""notifiers, by its Twilio provider: `Provider.notify`. Turned by the constant `base_url`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import notifiers
from notifiers.providers.twilio import Twilio

from benchmarks.job import Job
from benchmarks.message import TEXT, TO


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    Twilio.base_url = f"{job.url}/2010-04-01/Accounts/{{}}/Messages.json"
    provider = notifiers.get_notifier("twilio")
    given = {"account_sid": "AC" + "0" * 32, "auth_token": "0" * 32, "from_": "+15005550006"}
    yield lambda: provider.notify(to=TO, message=TEXT, raise_on_errors=True, **given)
