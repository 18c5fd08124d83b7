"""Nobody forgets to record: what each route and each command records, or why it records nothing, is said here."""

import contextlib
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import get_commands
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client
from rest_framework.test import APIClient

from ledger import audit
from ledger.models import AuditEvent
from payments.models import Alarm, Disbursement, Payment, Program, StatusChange
from payments.services import disbursements
from tests import acts, factories
from tests.govpay import routes

ROOT = Path(audit.__file__).parent.parent
RECORDED = re.compile(r"\"([a-z_]+\.[a-z_]+)\"")
# What commands record, besides what the services that they call record.
COMMANDS = {
    "audit_pack": "It reads.",
    "checkpoint": "A checkpoint is signed, and no role that signs may add to anything else.",
    "classify_program": "program.classify",
    "demo_accounts": "membership.grant",
    "export_anchor": "It reads.",
    "export_psbt": "It reads.",
    "grant_roles": "It is of the database's owner, before there is a table to record in.",
    "import_list": "list.create",
    "import_people": "intake.load",
    "import_psbt": "signing_request.sign",
    "listen_blocks": "It rings doorbells.",
    "period": "period.close",
    "price": "It reads; with --ask it writes down what sources say, which the watch does every half minute.",
    "problem_codes": "It reads.",
    "project_cost": "It reads.",
    "publish_figures": "figures.publish",
    "receipt": "It reads.",
    "record_lots": "lots.record",
    "reencrypt": "What it writes anew means the same as before.",
    "reconcile": "Each run is a row of its own and a leaf of the tree.",
    "redact": "redaction.agree",
    "reimport_chain": "chain.reimport",
    "report": "It reads.",
    "scan_reserve": "reserve.scan",
    "seal_books": "Each seal is a row of its own, and no role that seals may add to anything else.",
    "reset_second_factor": "authenticator.reset",
    "stop_engine": "stop.throw",
    "trial_balance": "It reads.",
    "unlock": "login.unlock",
    "verify_reserves": "It reads.",
    "verify_seals": "It reads.",
}


def sources() -> str:
    """The text of the product."""
    return "\n".join(
        path.read_text()
        for app in ("govpay", "ledger", "payments")
        for path in sorted((ROOT / app).rglob("*.py"))
    )


class TestSaid:
    def test_holds_every_route_that_changes_something(self) -> None:
        changing = {f"{method} {route}" for method, route in routes.operations() if method != "GET"}
        assert set(acts.ACTS) | set(acts.SILENT) == changing
        assert not set(acts.ACTS) & set(acts.SILENT)

    def test_holds_every_command(self) -> None:
        own = {name for name, app in get_commands().items() if app in ("govpay", "ledger", "payments")}
        assert set(COMMANDS) == own

    def test_names_actions_that_the_product_records(self) -> None:
        named = {action for actions in acts.ACTS.values() for action in actions}
        named |= {said for said in COMMANDS.values() if re.fullmatch(audit_grammar(), said)}
        assert named - set(RECORDED.findall(sources())) == set()


def audit_grammar() -> str:
    from ledger.models.audit import ACTION

    return ACTION


class TestWatch:
    """The watch over all tests finds who forgets."""

    def request(self, path: str, method: str = "POST") -> HttpRequest:
        request = HttpRequest()
        request.path, request.method = path, method
        return request

    @pytest.mark.django_db
    def test_finds_a_change_that_nobody_recorded(self, officer: User) -> None:
        def forget(door: object, request: HttpRequest) -> HttpResponse:
            User.objects.filter(pk=officer.pk).update(first_name="x")
            return HttpResponse()

        with pytest.raises(acts.Forgotten, match=r"wrote to \['auth_user'\] and recorded nothing"):
            acts.watched(forget)(None, self.request("/admin/x/"))
        with pytest.raises(acts.Forgotten):
            acts.watched(forget)(None, self.request("/admin/x/", "GET"))

    @pytest.mark.django_db
    def test_lets_pass_what_was_taken_back(self, officer: User) -> None:
        def fail(door: object, request: HttpRequest) -> HttpResponse:
            with contextlib.suppress(KeyError), transaction.atomic():
                User.objects.filter(pk=officer.pk).update(first_name="x")
                raise KeyError
            return HttpResponse(status=400)

        assert acts.watched(fail)(None, self.request("/admin/x/")).status_code == 400

    @pytest.mark.django_db
    def test_finds_what_a_refused_request_left(self, officer: User) -> None:
        def refuse(door: object, request: HttpRequest) -> HttpResponse:
            User.objects.filter(pk=officer.pk).update(first_name="x")
            return HttpResponse(status=400)

        with pytest.raises(acts.Forgotten):
            acts.watched(refuse)(None, self.request("/admin/x/"))

    @pytest.mark.django_db
    def test_finds_an_event_in_another_transaction(self, officer: User) -> None:
        def part(door: object, request: HttpRequest) -> HttpResponse:
            with transaction.atomic():
                User.objects.filter(pk=officer.pk).update(first_name="x")
            with transaction.atomic():
                audit.record("test.act", officer)
            return HttpResponse()

        with pytest.raises(acts.Forgotten, match="in another database transaction"):
            acts.watched(part)(None, self.request("/admin/x/"))


@pytest.mark.django_db
class TestSinkDown:
    """Where nothing can be recorded nothing is done, and reading goes on (F50)."""

    def state(self) -> tuple[object, ...]:
        return (
            list(Disbursement.objects.order_by("pk").values()),
            list(Payment.objects.order_by("pk").values()),
            list(Alarm.objects.order_by("pk").values()),
            StatusChange.objects.count(),
            AuditEvent.objects.count(),
        )

    def test_fails_closed_for_each_act_on_a_list(
        self, program: Program, officer: User, approver: User, releaser: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        factories.fund(program)
        made = factories.make_disbursement(program, officer)
        client = APIClient(raise_request_exception=False)

        def refuse(*args: object, **columns: object) -> None:
            raise OSError("The sink is down.")

        def attempt(by: User, verb: str, **body: str) -> None:
            before = self.state()
            client.force_authenticate(by)
            with monkeypatch.context() as patch:
                patch.setattr(AuditEvent.objects, "create", refuse)
                answer = client.post(f"/api/v1/disbursements/{made.pk}/{verb}/", body, format="json")
                assert client.get(f"/api/v1/disbursements/{made.pk}/").status_code == 200
            assert (answer.status_code, self.state()) == (500, before)

        attempt(officer, "submit")
        agreed = disbursements.submit(by=officer, disbursement_id=made.pk).manifest_hash
        told = bytes(agreed or b"")
        attempt(approver, "approve", manifest_hash=told.hex())
        attempt(approver, "reject", note="No.")
        disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=told)
        attempt(releaser, "release", manifest_hash=told.hex())
        attempt(officer, "cancel", note="No.")


@pytest.mark.django_db
class TestLogin:
    def events(self) -> list[tuple[object, ...]]:
        columns = ("action", "actor", "door", "subject_kind", "subject_id")
        return list(AuditEvent.objects.exclude(action="program.create").order_by("pk").values_list(*columns))

    def test_records_who_signed_in_out_and_in_vain(self, officer: User) -> None:
        client, name, pk = Client(), officer.get_username(), str(officer.pk)
        for password in ("wrong", factories.PASSWORD):
            body = {"username": name, "password": password}
            client.post("/api/v1/auth/login/", body, content_type="application/json")
            client.post("/admin/login/", body)
        client.post("/admin/logout/")
        assert self.events() == [
            ("login.refuse", "nobody", "api", "user", pk),
            ("login.refuse", "nobody", "admin", "user", pk),
            ("login.accept", name, "api", "user", pk),
            ("login.accept", name, "admin", "user", pk),
            ("login.end", name, "admin", "user", pk),
        ]

    def test_keeps_no_name_that_nobody_has(self, db: None) -> None:
        Client().post("/admin/login/", {"username": "my secret password", "password": "x"})
        assert self.events() == [("login.refuse", "nobody", "admin", "", "")]

    def test_records_a_password_that_its_owner_changed(self, officer: User) -> None:
        client = Client()
        client.force_login(officer)
        new = "another long enough passphrase"
        body = {"old_password": factories.PASSWORD, "new_password1": new, "new_password2": new}
        assert client.post("/admin/password_change/", body).status_code == 302
        last = self.events()[-1]
        assert last == ("password.change", officer.get_username(), "admin", "user", str(officer.pk))

    def test_records_what_a_superuser_does_to_users(self, db: None) -> None:
        root = User.objects.create_superuser("root", password=factories.PASSWORD)
        client = Client()
        client.force_login(root)
        group = {"name": "clerks", "permissions": []}
        assert client.post("/admin/auth/group/add/", group).status_code == 302
        assert self.events()[-1][:4] == ("admin.add", "root", "admin", "group")
