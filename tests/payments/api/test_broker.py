"""The broker is down while officers decide: the API answers, and the work is a row (F6)."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import User

from payments.models import Disbursement
from tests.govpay.test_health import closed_port
from tests.payments.api import expect
from tests.payments.api.conftest import Api

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _broker_down() -> Iterator[None]:
    """Point Celery where nobody listens."""
    before = current_app.conf.broker_url
    _forget(f"redis://127.0.0.1:{closed_port()}/0")
    yield
    _forget(before)


def _forget(url: str) -> None:
    current_app.conf.broker_url = url
    current_app.conf.broker_write_url = url
    pools: Any = current_app.pool
    pools.force_close_all()
    current_app._pool = None
    current_app.amqp._producer_pool = None


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
