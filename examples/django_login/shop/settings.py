"""The settings of the project, from the environment. Those that begin with LOGIN are ours."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).parent.parent


def listed(name: str) -> list[str]:
    """A list out of the environment, such as ``IR,SA``."""
    return os.environ.get(name, "").replace(",", " ").split()


if not os.environ.get("LOGIN_SECRET"):
    make = 'python -c "import secrets; print(secrets.token_hex(32))"'
    raise ImproperlyConfigured(f"set LOGIN_SECRET; make one: {make}")

SECRET_KEY = os.environ["LOGIN_SECRET"]
DEBUG = False
ALLOWED_HOSTS = listed("LOGIN_HOSTS") or ["127.0.0.1", "localhost"]

#: An account, a provider or a route of Qasid.
LOGIN_ACCOUNT = os.environ.get("LOGIN_ACCOUNT", "sandbox")
#: The name of this site, to which the code is then bound.
LOGIN_DOMAIN = os.environ.get("LOGIN_DOMAIN") or None
#: Where numbers may be of; None is all countries.
LOGIN_COUNTRIES = listed("LOGIN_COUNTRIES") or None
#: How many proxies of ours a request comes through; see `login.views.caller`.
LOGIN_PROXIES = int(os.environ.get("LOGIN_PROXIES", "0"))

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "login",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.contrib.auth.context_processors.auth"]},
    }
]
#: Users and sessions. What Qasid keeps is in the database of its own `journal_url`.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("LOGIN_USERS", BASE_DIR / "db.sqlite3"),
        # Several processes write: ask for the lock at once, and wait for it.
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}
USE_TZ = True
TIME_ZONE = "UTC"
LOGIN_URL = "number"
SESSION_COOKIE_AGE = 8 * 3_600  # seconds that a login lasts
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = os.environ.get("LOGIN_INSECURE") != "yes"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if LOGIN_PROXIES else None

# Of a request that fails Django logs the path, in which no number or code ever is.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
