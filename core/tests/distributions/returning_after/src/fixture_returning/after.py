"""The class after the second installation."""

from __future__ import annotations

from typing import ClassVar

import attrs

from qasid.fields import base_url
from qasid.values import ProviderInfo


@attrs.frozen(eq=False, kw_only=True)
class Returning:
    """Says when it was there."""

    info: ClassVar = ProviderInfo(title="after", contract="1.0", homepage="", support={})
    base_url: str = base_url("https://returning.example")
