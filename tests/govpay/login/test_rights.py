"""What a user may: their own permissions and those of their groups, as Django's own backend finds them."""

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, Group, Permission, User

from govpay.login.rights import Rights

pytestmark = pytest.mark.django_db


def permission(codename):
    return Permission.objects.get(codename=codename, content_type__app_label="payments")


@pytest.fixture
def user():
    made = User.objects.create_user("amna")
    made.user_permissions.add(permission("add_membership"), permission("view_program"))
    group = Group.objects.create(name="officers")
    group.permissions.add(permission("view_program"), permission("add_program"))
    made.groups.add(group)
    other = Group.objects.create(name="others")
    other.permissions.add(permission("delete_program"))
    return made


def test_finds_what_djangos_own_finds(user):
    expected = {"payments.add_membership", "payments.view_program", "payments.add_program"}
    assert Rights().get_all_permissions(user) == expected
    assert ModelBackend().get_all_permissions(User.objects.get(pk=user.pk)) == expected


def test_is_what_the_project_asks(user):
    assert user.has_perm("payments.add_program")
    assert not user.has_perm("payments.delete_program")
    assert user.has_module_perms("payments")


def test_reads_once_a_request(user, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert user.has_perm("payments.add_program")
        assert not user.has_perm("payments.delete_program")


@pytest.mark.parametrize("who", ["inactive", "anonymous", "about an object"])
def test_gives_nothing_to(user, who):
    user.is_active = who != "inactive"
    asked = AnonymousUser() if who == "anonymous" else user
    assert Rights().get_all_permissions(asked, user if who == "about an object" else None) == set()


def test_a_superuser_may_everything():
    root = User.objects.create_superuser("root")
    assert len(Rights().get_all_permissions(root)) == Permission.objects.count()
