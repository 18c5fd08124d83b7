"""Ends what lets somebody in: sessions of the admin and tokens of the API."""

from importlib import import_module

from django.conf import settings
from django.contrib.auth.models import User

from govpay import tokens


def end(user: User, *, by: User) -> None:
    """End every session and token of the user: whoever has one signs in again, and is known for what they are now."""
    sessions = import_module(settings.SESSION_ENGINE).SessionStore.get_model_class()
    sessions.objects.filter(user_id=user.pk).delete()
    tokens.end_all(user_id=user.pk, by_id=by.pk)
