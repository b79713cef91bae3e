"""The application."""

from django.apps import AppConfig


class LoginConfig(AppConfig):
    """Logging in by a one-time password."""

    name = "login"
