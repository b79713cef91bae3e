"""Things that are found under the name of a provider and are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from qasid.fields import base_url
from qasid.values import ProviderInfo

if TYPE_CHECKING:
    from datetime import timedelta

INFO = ProviderInfo(title="Strange", contract="1.0", homepage="", support={})


class Plain:
    """No attrs class."""

    info = INFO
    base_url = "https://strange.example"


@attrs.frozen(eq=False, kw_only=True)
class Uninformed:
    """Has no info."""

    base_url: str = base_url("https://strange.example")


@attrs.frozen(eq=False, kw_only=True)
class Placeless:
    """Has no base_url."""

    info: ClassVar = INFO


@attrs.frozen(eq=False, kw_only=True)
class Untold:
    """The type of a field is there for type checkers alone."""

    info: ClassVar = INFO
    base_url: str = base_url("https://strange.example")
    lifetime: timedelta | None = None


@attrs.frozen(eq=False, kw_only=True)
class Clashing:
    """A field has the name of an option."""

    info: ClassVar = INFO
    base_url: str = base_url("https://strange.example")
    timeout: float = 1.0
