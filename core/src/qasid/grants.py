"""What an account's owner granted, with when to renew it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import attrs

from qasid.errors import ProtocolError
from qasid.reading import filled, moment, take
from qasid.values import Credential

__all__ = ["Grant"]


@attrs.frozen(kw_only=True)
class Grant:
    """A credential, and from when on it is to be renewed (UTC; None: when it is refused).

    `began_with` is a digest of the refresh token in the settings that it descends from, or empty.
    """

    credential: Credential
    renew_at: datetime | None = None
    began_with: str = ""

    def due(self, now: datetime) -> bool:
        """Whether to renew it now."""
        return self.renew_at is not None and now >= self.renew_at

    def dump(self) -> str:
        """As one line of JSON, with its secrets."""
        credential = self.credential
        members = {
            "token": credential.token,
            "refresh_token": credential.refresh_token,
            "expires_at": _text(credential.expires_at),
            "renew_at": _text(self.renew_at),
            "began_with": self.began_with,
        }
        return json.dumps(members)

    @classmethod
    def load(cls, text: str) -> Grant:
        """What `dump` gave. Raises ValueError, which shows nothing of the text."""
        try:
            body = json.loads(text)
            return cls(
                credential=Credential(
                    token=filled(body, "token"),
                    expires_at=_moment(body, "expires_at"),
                    refresh_token=filled(body, "refresh_token"),
                ),
                renew_at=_moment(body, "renew_at"),
                began_with=take(body, "began_with", str, ""),
            )
        except (ProtocolError, ValueError, RecursionError):
            raise ValueError("it is damaged") from None


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(body: Any, key: str) -> datetime | None:
    return None if take(body, key, str, None) is None else moment(body, key)
