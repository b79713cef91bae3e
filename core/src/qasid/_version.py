"""The two versions: that of this distribution, and that of the contract with the plugins."""

from __future__ import annotations

VERSION = "0.1.0"

#: Major and minor. A provider made for the same major and no newer minor is accepted.
CONTRACT_VERSION = (1, 0)
