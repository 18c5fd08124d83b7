"""Passwords and permissions as Django keeps them; what a user may is read in one statement a request."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db import connection

# The user's own and those of their groups, which Django reads one after the other.
OF_USER = """
SELECT t.app_label || '.' || p.codename FROM auth_permission p JOIN django_content_type t ON t.id = p.content_type_id
WHERE p.id IN (
    SELECT permission_id FROM auth_user_user_permissions WHERE user_id = %s
    UNION ALL
    SELECT g.permission_id FROM auth_group_permissions g JOIN auth_user_groups u USING (group_id) WHERE u.user_id = %s
)
"""


class Rights(ModelBackend):
    """Django's own backend; what it reads is kept on the user, as there, until the request is over."""

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        """Return the permissions as ``app.codename``; none of somebody who is not active, and none for single objects."""
        if not user_obj.is_active or user_obj.is_anonymous or obj is not None:
            return set()
        if user_obj.is_superuser:
            return super().get_all_permissions(user_obj)
        if not hasattr(user_obj, "_perm_cache"):
            with connection.cursor() as cursor:
                cursor.execute(OF_USER, [user_obj.pk, user_obj.pk])
                user_obj._perm_cache = {name for (name,) in cursor.fetchall()}
        found: set[str] = user_obj._perm_cache
        return found
