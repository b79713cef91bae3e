"""Logging in by a one-time password, with FastAPI: see README.md."""
