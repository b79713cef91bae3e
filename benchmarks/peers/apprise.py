"""apprise, by its Twilio plugin: `Apprise.notify`.

Turned by the plugin's constant `notify_sms_url`. It waits between two sends; that is switched off
by its constant `request_rate_per_sec`, or it would send a few in a second.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import apprise
from apprise.plugins.twilio import NotifyTwilio

from benchmarks.job import Job
from benchmarks.message import TEXT, TO


@contextlib.contextmanager
def opened(job: Job) -> Iterator[Callable[[], object]]:
    NotifyTwilio.notify_sms_url = f"{job.url}/2010-04-01/Accounts/{{sid}}/Messages.json"
    NotifyTwilio.request_rate_per_sec = 0
    notifier = apprise.Apprise()
    notifier.add(f"twilio://AC{'0' * 32}:{'0' * 32}@15005550006/{TO}")

    def send() -> None:
        if not notifier.notify(body=TEXT):
            raise RuntimeError("apprise could not send")

    yield send
