"""Addresses of signing in and out, and of tokens."""

from django.urls import path

from govpay.api import converters, tokens, views

__all__ = ["converters", "urlpatterns"]

urlpatterns = [
    path("auth/login/", views.Login.as_view(), name="auth-login"),
    path("auth/logout/", views.Logout.as_view(), name="auth-logout"),
    path("auth/step-up/", views.StepUp.as_view(), name="auth-step-up"),
    path("auth/me/", views.WhoAmI.as_view(), name="auth-me"),
    path("tokens/", tokens.TokenList.as_view(), name="tokens"),
    path("tokens/<id:pk>/", tokens.TokenRead.as_view(), name="token"),
    path("tokens/<id:pk>/end/", tokens.TokenEnd.as_view(), name="token-end"),
]
