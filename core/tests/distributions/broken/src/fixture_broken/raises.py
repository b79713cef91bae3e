"""A fault at import."""

raise RuntimeError("no luck today")
