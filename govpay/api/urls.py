"""Addresses of signing in and out."""

from django.urls import path

from govpay.api import views

urlpatterns = [
    path("auth/login/", views.Login.as_view(), name="auth-login"),
    path("auth/logout/", views.Logout.as_view(), name="auth-logout"),
    path("auth/me/", views.WhoAmI.as_view(), name="auth-me"),
]
