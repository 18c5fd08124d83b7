"""Generated requests: what the document allows and what it does not is answered as documented, never with a 5xx."""

import os
from typing import Any

import pytest
import requests
import schemathesis
from django.contrib.auth.models import User
from django.db import transaction
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from rest_framework.test import APIClient
from schemathesis import GenerationMode, checks
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi import checks as openapi_checks

from tests.govpay import routes
from tests.payments.api.conftest import Api
from tests.payments.scenery import approver, furnished, officer, program, releaser, scenery

pytestmark = pytest.mark.django_db

# The same ones in every run of the tests; a longer hunt (`make fuzz`) sets the variable, and prints what reproduces a find.
LONGER = int(os.environ.get("GOVPAY_FUZZ_EXAMPLES", "0"))
EXAMPLES = LONGER or 4
# Signing in and giving codes is throttled, and signing out ends the token that the other examples carry.
SKIPPED = {"/api/v1/auth/login/", "/api/v1/auth/logout/", "/api/v1/auth/step-up/"}
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
OPERATIONS = sorted(pair for pair in routes.operations() if pair[1] not in SKIPPED)
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def schema() -> BaseSchema:
    """The document, as it is served."""
    return schemathesis.openapi.from_dict(SchemaGenerator().get_schema(public=True))


def answer(client: APIClient, case: Any) -> schemathesis.Response:
    """Send the case in this thread, which holds the test's database transaction."""
    sent = requests.Request(**case.as_transport_kwargs(base_url="http://testserver")).prepare()
    body = sent.body.encode() if isinstance(sent.body, str) else sent.body or b""
    headers = {name: value for name, value in sent.headers.items() if name != "Content-Type"}
    address = str(sent.url).removeprefix("http://testserver")
    client.raise_request_exception = False
    reply: Any = client.generic(
        str(sent.method), address, body, sent.headers.get("Content-Type") or "", headers=headers
    )
    return schemathesis.Response(
        status_code=reply.status_code,
        headers={name.lower(): [value] for name, value in reply.headers.items()},
        content=reply.getvalue(),
        request=sent,
        elapsed=0.0,
        verify=False,
    )


def test_there_are_a_thousand_cases() -> None:
    assert len(OPERATIONS) * len(MODES) * EXAMPLES >= 1_000


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("method", "route"), OPERATIONS)
def test_nothing_generated_breaks_the_api(
    schema: BaseSchema,
    api: Api,
    furnished: dict[str, Any],
    everybody: User,
    method: str,
    route: str,
    mode: GenerationMode,
) -> None:
    operation: Any = schema[route][method]
    ids = {f"{name}_id": row.pk for name, row in furnished.items()}
    client = api(everybody)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=not LONGER,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def run(case: Any) -> None:
        # Ids of things that exist take the request past the door; a generated one is left now and then.
        for name in case.path_parameters or {}:
            if name in ids and len(str(case.body)) % 4:
                case.path_parameters[name] = ids[name]
        # Each example starts from the same rows, whatever the one before wrote or made the database refuse.
        start = transaction.savepoint()
        response = answer(client, case)
        transaction.savepoint_rollback(start)
        if response.status_code == 503 and response.json()["code"] == "node_unreachable":
            # There is no node here; the request was read and understood before one was asked for.
            return
        case.validate_response(response, checks=CHECKS)

    run()
