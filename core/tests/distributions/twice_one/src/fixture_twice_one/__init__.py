"""One of two that claim the same name; neither may be imported."""

raise AssertionError("imported, although the name is claimed twice")
