"""Routes: several accounts, used as one, each act performed by one of them."""

from __future__ import annotations

from qasid.routing.breaker import Tolerance
from qasid.routing.faces import AsyncRoute, Route, connect_route, connect_route_async
from qasid.routing.flows import Explanation
from qasid.routing.health import Health
from qasid.routing.policies import (
    ByPrefix,
    Cheapest,
    Choice,
    Failover,
    Healthiest,
    Pinned,
    Policy,
    Weighted,
)

__all__ = [
    "AsyncRoute",
    "ByPrefix",
    "Cheapest",
    "Choice",
    "Explanation",
    "Failover",
    "Health",
    "Healthiest",
    "Pinned",
    "Policy",
    "Route",
    "Tolerance",
    "Weighted",
    "connect_route",
    "connect_route_async",
]
