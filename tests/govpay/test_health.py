"""The health page: well, or which part is not."""

import socket
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from payments.models import NodeStatus

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
        response = client.get("/health/")
        assert response.status_code == 200
        assert response.json() == {
            "status": "ok",
            "checks": {"database": "ok", "broker": "ok", "node": "ok"},
        }

    def test_names_the_node(self, client: Client) -> None:
        NodeStatus.objects.create(network="regtest", is_ok=False, code="wrong_chain", message="secret words")
        response = client.get("/health/")
        assert response.status_code == 503
        assert response.json()["checks"] == {"database": "ok", "broker": "ok", "node": "wrong_chain"}
        assert b"secret" not in response.content

    def test_names_the_broker(self, client: Client, settings: Any) -> None:
        NodeStatus.objects.create(network="regtest", is_ok=True)
        settings.REDIS_URL = f"redis://:password@127.0.0.1:{closed_port()}/0"
        response = client.get("/health/")
        assert response.status_code == 503
        assert response.json()["checks"] == {"database": "ok", "broker": "unavailable", "node": "ok"}
        assert b"password" not in response.content

    def test_names_the_database(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: Any) -> Any:
            raise OperationalError("connection to server at 10.0.0.1 refused")

        monkeypatch.setattr(connection, "cursor", refuse)
        response = client.get("/health/")
        assert response.status_code == 503
        assert response.json()["checks"] == {"database": "unavailable", "broker": "ok", "node": "unknown"}
        assert b"10.0.0.1" not in response.content
