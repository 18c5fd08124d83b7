"""Makes the demo program and its staff, and prints their logins; on regtest only."""

import secrets
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import QuerySet

from ledger import audit
from payments.models import Membership, Program, Role
from payments.models.program import LIMITED
from payments.services import programs

CAST = [
    ("ayesha", "Ayesha Khan", Role.OFFICER),
    ("bruno", "Bruno Díaz", Role.APPROVER),
    ("carmen", "Carmen Solís", Role.RELEASER),
    ("dalia", "Dalia Haddad", Role.TREASURER),
    ("emil", "Emil Novak", Role.TREASURER),
    ("farid", "Farid Aziz", Role.AUDITOR),
    ("grace", "Grace Mwangi", Role.SIGNER),
    ("ines", "Inés Ferrer", Role.HELPDESK),
    ("jamal", "Jamal Haddad", Role.SECURITY),
    ("karin", "Karin Berg", Role.SECURITY),
]
ADMINISTRATOR = ("hugo", "Hugo Lind")
PROGRAM = ("PENSIONS", "Old-age pensions (pilot)")
ADMINISTRATOR_RIGHTS = ["add_program", "add_membership"]
TREASURER_RIGHTS = ["close_period", "resolve_case", "redact_leaf", "add_lotmovement"]
# An officer asks for an erasure; one of these decides.
APPROVER_RIGHTS = ["resolve_case", "change_erasure"]
RELEASER_RIGHTS = ["change_erasure"]
SECURITY_RIGHTS = ["add_approvalpolicy"]
AUDITOR_RIGHTS = ["make_pack", "view_auditevent"]
READER_RIGHTS = [
    "view_account",
    "view_entry",
    "view_posting",
    "view_period",
    "view_reconciliationrun",
    "add_reconciliationrun",
]


class Command(BaseCommand):
    """``manage.py demo_accounts``: safe to repeat; each run sets and prints new passwords unless one is given."""

    help = "Create the demo program PENSIONS with staff in every role, and an administrator (regtest only)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--password", help="one password for all, instead of made ones")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.GOVPAY_NETWORK != "regtest":
            raise CommandError("Demo accounts exist on regtest only.")
        logins = []
        with transaction.atomic():
            administrator = self._administrator()
            program = Program.objects.filter(code=PROGRAM[0]).first()
            if program is None:
                program = programs.create(by=administrator, code=PROGRAM[0], name=PROGRAM[1])
            for username, full_name, role in CAST:
                password = options["password"] or secrets.token_urlsafe(9)
                user = self._user(username, full_name, password)
                if role not in LIMITED:
                    user.groups.add(self._readers())
                if role == Role.TREASURER:
                    user.user_permissions.set(Permission.objects.filter(codename__in=TREASURER_RIGHTS))
                elif role == Role.APPROVER:
                    user.user_permissions.set(Permission.objects.filter(codename__in=APPROVER_RIGHTS))
                elif role == Role.RELEASER:
                    user.user_permissions.set(Permission.objects.filter(codename__in=RELEASER_RIGHTS))
                elif role == Role.SECURITY:
                    user.user_permissions.set(Permission.objects.filter(codename__in=SECURITY_RIGHTS))
                elif role == Role.AUDITOR:
                    user.user_permissions.set(Permission.objects.filter(codename__in=AUDITOR_RIGHTS))
                membership, is_new = Membership.objects.get_or_create(
                    program=program, user=user, role=role, defaults={"granted_by": administrator}
                )
                if is_new:
                    audit.record("membership.grant", membership, scope=program.scope)
                logins.append((role.label, username, password))
            password = options["password"] or secrets.token_urlsafe(9)
            username, full_name = ADMINISTRATOR
            user = self._user(username, full_name, password)
            user.user_permissions.set(self._administrator_rights())
            logins.append(("Administrator", username, password))
        self.stdout.write(f"Program {program.code} (id {program.pk}); staff of the demo:")
        for label, username, password in logins:
            self.stdout.write(f"  {label:<22} {username:<10} {password}")

    def _administrator(self) -> User:
        """Whoever sets the demo up; nobody can sign in as this user."""
        user, is_new = User.objects.get_or_create(username="demo-setup")
        if is_new:
            user.set_unusable_password()
            user.save()
            user.user_permissions.set(self._administrator_rights())
        return User.objects.get(pk=user.pk)

    def _user(self, username: str, full_name: str, password: str) -> User:
        first, last = full_name.split(" ", 1)
        user, _ = User.objects.get_or_create(username=username)
        user.first_name, user.last_name, user.is_staff = first, last, True
        user.set_password(password)
        user.save()
        return user

    def _administrator_rights(self) -> QuerySet[Permission]:
        return Permission.objects.filter(codename__in=ADMINISTRATOR_RIGHTS)

    def _readers(self) -> Group:
        readers, _ = Group.objects.get_or_create(name="book readers")
        readers.permissions.set(Permission.objects.filter(codename__in=READER_RIGHTS))
        return readers
