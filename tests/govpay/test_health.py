"""The health page: well, or which part is not."""

import socket
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from payments.models import Heartbeat, NodeStatus

pytestmark = pytest.mark.django_db


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class TestHealth:
    def test_is_well(self, client: Client) -> None:
        NodeStatus.objects.create(network="regtest", is_ok=True)
        Heartbeat.beat("sweep")
        response = client.get("/health/")
        assert response.status_code == 200
        assert response.json() == {
            "status": "ok",
            "checks": {"database": "ok", "broker": "ok", "node": "ok", "sweep": "ok"},
        }

    def test_names_the_node(self, client: Client) -> None:
        NodeStatus.objects.create(network="regtest", is_ok=False, code="wrong_chain", message="secret words")
        Heartbeat.beat("sweep")
        response = client.get("/health/")
        assert response.status_code == 503
        assert response.json()["checks"] == {
            "database": "ok",
            "broker": "ok",
            "node": "wrong_chain",
            "sweep": "ok",
        }
        assert b"secret" not in response.content

    def test_names_the_broker(self, client: Client, settings: Any) -> None:
        NodeStatus.objects.create(network="regtest", is_ok=True)
        Heartbeat.beat("sweep")
        settings.REDIS_URL = f"redis://:password@127.0.0.1:{closed_port()}/0"
        response = client.get("/health/")
        assert response.status_code == 503
        assert response.json()["checks"] == {
            "database": "ok",
            "broker": "unavailable",
            "node": "ok",
            "sweep": "ok",
        }
        assert b"password" not in response.content

    @pytest.mark.parametrize("age_s", [None, 61])
    def test_names_the_sweep_that_does_not_come(self, age_s: int | None, client: Client) -> None:
        NodeStatus.objects.create(network="regtest", is_ok=True)
        if age_s is not None:
            beat_at = timezone.now() - timedelta(seconds=age_s)
            Heartbeat.objects.create(name="sweep", beat_at=beat_at)
        response = client.get("/health/")
        assert response.status_code == 503
        assert response.json()["checks"] == {
            "database": "ok",
            "broker": "ok",
            "node": "ok",
            "sweep": "late",
        }

    def test_names_the_database(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any) -> Any:
            raise OperationalError("connection to server at 10.0.0.1 refused")

        monkeypatch.setattr(connection, "cursor", refuse)
        response = client.get("/health/")
        assert response.status_code == 503
        assert response.json()["checks"] == {
            "database": "unavailable",
            "broker": "ok",
            "node": "unknown",
            "sweep": "unknown",
        }
        assert b"10.0.0.1" not in response.content
