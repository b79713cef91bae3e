"""All of the site is the login."""

from django.urls import include, path

urlpatterns = [path("", include("login.urls"))]
