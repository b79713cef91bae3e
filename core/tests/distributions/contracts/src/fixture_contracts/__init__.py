"""Providers made for contracts that this Qasid does not have."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from qasid.fields import base_url
from qasid.values import ProviderInfo


def _info(contract: Any) -> ProviderInfo:
    return ProviderInfo(title="Odd", contract=contract, homepage="", support={})


@attrs.frozen(eq=False, kw_only=True)
class Newer:
    """Of a minor version to come."""

    info: ClassVar = _info("1.99")
    base_url: str = base_url("https://odd.example")


@attrs.frozen(eq=False, kw_only=True)
class Other:
    """Of another major version."""

    info: ClassVar = _info("2.0")
    base_url: str = base_url("https://odd.example")


@attrs.frozen(eq=False, kw_only=True)
class Malformed:
    """Of a version of three parts."""

    info: ClassVar = _info("1.0.0")
    base_url: str = base_url("https://odd.example")


@attrs.frozen(eq=False, kw_only=True)
class Negative:
    """Of a version below nothing."""

    info: ClassVar = _info("1.-1")
    base_url: str = base_url("https://odd.example")


@attrs.frozen(eq=False, kw_only=True)
class Number:
    """Of a version that is no text."""

    info: ClassVar = _info(1.0)
    base_url: str = base_url("https://odd.example")
