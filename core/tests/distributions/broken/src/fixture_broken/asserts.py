"""An assertion fails at import."""

raise AssertionError("this cannot be")
