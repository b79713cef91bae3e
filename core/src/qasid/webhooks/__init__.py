"""What providers post to us: an inbox with its addresses, and an application that fills it.

A provider's post may bear no signature and name no number, so each number gets a path of its own
that nobody can guess.
"""

from __future__ import annotations

from qasid.webhooks.application import BODY_CAP, Application, Receiver
from qasid.webhooks.inbox import DAY, Hook, Inbox, Item, Received

__all__ = ["BODY_CAP", "DAY", "Application", "Hook", "Inbox", "Item", "Received", "Receiver"]
