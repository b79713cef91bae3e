"""Many examples for one rule: the same ones each time for a verdict, new ones each night."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

__all__ = ["Effort"]

#: What Hypothesis does between two examples takes ten times as long as a call plugged into an
#: emulator; so it is asked for up to ten at once, and for five on average.
_AT_ONCE: Final = 10


@attrs.define
class Effort:
    """About how many examples a rule gets, and how many it has had."""

    examples: int = 500
    random: bool = False
    tried: int = 0

    def for_all(self, check: Callable[..., None], *strategies: Any) -> None:
        """Run `check` with examples of the strategies; the smallest that fails is raised."""
        import hypothesis
        from hypothesis import strategies as st

        def holds(examples: Sequence[tuple[Any, ...]]) -> None:
            for values in examples:
                self.tried += 1
                check(*values)

        several = st.lists(st.tuples(*strategies), min_size=1, max_size=_AT_ONCE)
        settings = self._settings(self.examples * 2 // _AT_ONCE)
        settings(hypothesis.given(several)(holds))()

    def for_machine(self, machine: Callable[[], Any]) -> None:
        """Run the state machines that `machine` makes; the shortest that fails is told and raised.

        A machine has up to 15 steps, 50 in a random run, and so counts for ten examples.
        """
        from hypothesis import stateful

        def one() -> Any:
            self.tried += 1
            return machine()

        steps = 50 if self.random else 15
        settings = self._settings(self.examples // 10, stateful_step_count=steps)
        maker: Any = one  # any maker of machines will do, whatever the annotation says
        stateful.run_state_machine_as_test(maker, settings=settings)

    def _settings(self, examples: int, **more: Any) -> Any:
        import hypothesis

        return hypothesis.settings(
            max_examples=max(1, examples),
            derandomize=not self.random,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(hypothesis.HealthCheck),
            **more,
        )
