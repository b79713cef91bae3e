"""The same distribution and version, built twice, with another class each time."""
