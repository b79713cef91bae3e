"""Where the pages are. No address holds a number or a code."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from login import views

urlpatterns = [
    path("", views.home, name="home"),
    path("login", views.ask_number, name="number"),
    path("login/code", views.ask_code, name="code"),
    path("logout", LogoutView.as_view(next_page="number"), name="logout"),
]
