"""Addresses of signing in and out, and of tokens."""

from django.urls import path

from govpay.api import converters, factors, tokens, views

__all__ = ["converters", "urlpatterns"]

urlpatterns = [
    path("auth/login/", views.Login.as_view(), name="auth-login"),
    path("auth/logout/", views.Logout.as_view(), name="auth-logout"),
    path("auth/step-up/", views.StepUp.as_view(), name="auth-step-up"),
    path("auth/login/question/", views.LoginQuestion.as_view(), name="auth-login-question"),
    path("auth/step-up/question/", factors.StepUpQuestion.as_view(), name="auth-step-up-question"),
    path("auth/factors/", factors.FactorsRead.as_view(), name="auth-factors"),
    path("auth/authenticator/", factors.EnrollApp.as_view(), name="authenticator-enroll"),
    path("auth/authenticator/confirm/", factors.ConfirmApp.as_view(), name="authenticator-confirm"),
    path("auth/authenticator/remove/", factors.RemoveApp.as_view(), name="authenticator-remove"),
    path("auth/recovery-codes/", factors.RenewCodes.as_view(), name="recovery-codes"),
    path("auth/security-keys/question/", factors.KeyQuestion.as_view(), name="security-key-question"),
    path("auth/security-keys/", factors.AddKey.as_view(), name="security-key-add"),
    path("auth/security-keys/<id:pk>/rename/", factors.RenameKey.as_view(), name="security-key-rename"),
    path("auth/security-keys/<id:pk>/remove/", factors.RemoveKey.as_view(), name="security-key-remove"),
    path("auth/me/", views.WhoAmI.as_view(), name="auth-me"),
    path("tokens/", tokens.TokenList.as_view(), name="tokens"),
    path("tokens/<id:pk>/", tokens.TokenRead.as_view(), name="token"),
    path("tokens/<id:pk>/end/", tokens.TokenEnd.as_view(), name="token-end"),
]
