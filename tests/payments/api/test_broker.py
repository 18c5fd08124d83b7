"""The broker is down while officers decide: the API answers, and the work is a row (F6)."""

import pytest
from celery import Celery
from django.contrib.auth.models import User

from payments import doorbell
from payments.models import Disbursement
from tests.govpay.test_health import closed_port
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _broker_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send by an application with the product's settings, but for a broker where nobody listens."""
    app = Celery("govpay-broker-down", set_as_current=False)
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.update(broker_url=f"redis://127.0.0.1:{closed_port()}/0")
    monkeypatch.setattr(doorbell, "current_app", app)


@pytest.mark.usefixtures("_broker_down")
class TestBrokerDown:
    def test_approves_and_releases_all_the_same(
        self,
        api: Api,
        submitted: Disbursement,
        approver: User,
        releaser: User,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        body = {"manifest_hash": bytes(submitted.manifest_hash or b"").hex()}
        address = f"/api/v1/disbursements/{submitted.pk}"
        assert expect.ok(api(approver).post(f"{address}/approve/", body))["status"] == "approved"
        assert expect.ok(api(releaser).post(f"{address}/release/", body))["status"] == "released"
        assert Disbursement.objects.get(pk=submitted.pk).status == "released"
        assert "doorbell_lost" in caplog.text
