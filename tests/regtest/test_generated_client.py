"""The main job by a generated client alone, on a real node: from a program to a settled list.

The client is generated from the document as it is served, so that whatever the document says wrongly fails here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from deploy.local.regtest import Miner
from payments.models import Payout, Program
from payments.onchain import address, network
from payments.payout import dispatch
from tests import factories
from tests.regtest.generated import Made
from tests.regtest.ministry import follow, forget_installations, use_node

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.real]

CODE = "GENERATED"
ROLES = ("officer", "approver", "releaser")


@pytest.fixture
def made(live_server: Any, tmp_path: Path) -> Iterator[Made]:
    """The client, for a server in this process."""
    client = Made(live_server.url, tmp_path)
    yield client
    client.forget()


@pytest.fixture
def miner(settings: Any) -> Miner:
    """Who makes blocks on the real node."""
    use_node(settings)
    return Miner(settings.GOVPAY_NODE_URL)


def test_every_operation_of_the_document_is_generated(made: Made) -> None:
    assert made.warnings == []


def test_a_program_is_set_up_and_its_list_paid(made: Made, miner: Miner) -> None:
    models = made.module("models")
    factories.make_administrator()
    administrator = made.sign_in("administrator", factories.PASSWORD)
    program = administrator("programs.programs_create", body=models.NewProgramRequest(code=CODE, name="One"))
    cast = {}
    for role in ROLES:
        User.objects.create_user(f"{role}-generated", password=factories.PASSWORD)
        body = models.NewMemberRequest(username=f"{role}-generated", role=models.Role(role))
        member = administrator("programs.programs_members_grant", program.id, body=body)
        assert (member.username, member.role) == (f"{role}-generated", role)
        cast[role] = made.sign_in(f"{role}-generated", factories.PASSWORD)
    officer, approver, releaser = (cast[role] for role in ROLES)

    provide(miner, program.id)
    where = officer("programs.programs_wallet", program.id).funding_address
    miner.fund([where], 1_000_000)
    miner.mine(1)
    follow(miner)
    assert officer("programs.programs_funds", program.id).available_sat == 1_000_000

    for number in (1, 2):
        person = models.NewEnrollmentRequest(
            reference=f"REF-{number}",
            national_id=f"{number:013}",
            full_name=f"Person {number}",
            address=address.address_from_script(factories.make_script(), network.current()),
        )
        assert officer("people.enrollments_create", program.id, body=person).reference == f"REF-{number}"
    lines = [models.LineRequest(reference=f"REF-{n}", amount_sat=n * 40_000) for n in (1, 2)]
    new = models.ListFromLinesRequest(
        period="2026-11", purpose="pension", expected_count=2, expected_total_sat=120_000, lines=lines
    )
    draft = officer("lists.disbursements_create", program.id, body=new, idempotency_key="one")
    assert draft.status == "draft"
    again = officer("lists.disbursements_create", program.id, body=new, idempotency_key="one")
    assert again.id == draft.id
    new.period = "2026-12"
    reused = officer("lists.disbursements_create", program.id, body=new, idempotency_key="one")
    assert (reused.status, reused.code) == (422, "idempotency_key_reused")

    submitted = officer("lists.disbursements_submit", draft.id)
    agreed = models.ApprovingRequest(manifest_hash=submitted.manifest_hash)
    refused = officer("lists.disbursements_approve", draft.id, body=agreed)
    assert (refused.status, refused.code) == (403, "role_missing")
    assert approver("lists.disbursements_approve", draft.id, body=agreed).status == "approved"
    agreed = models.ReleasingRequest(manifest_hash=submitted.manifest_hash)
    assert releaser("lists.disbursements_release", draft.id, body=agreed).status == "released"

    pay(miner, draft.id)
    assert officer("lists.disbursements_read", draft.id).status == "completed"
    page = officer("lists.disbursements_payments_list", draft.id)
    assert [(row.amount_sat, row.payout_status, row.confirmations) for row in page.results] == [
        (40_000, "settled", 6),
        (80_000, "settled", 6),
    ]
    history = officer("lists.disbursements_history", draft.id)
    assert [change.new for change in history.results] == ["submitted", "approved", "released", "completed"]


def provide(miner: Miner, program_id: int) -> None:
    """Do what workers do once a program is made."""
    follow(miner)
    wallet = Program.objects.get(pk=program_id).wallet
    forget_installations(miner, wallet.name)
    dispatch.provision(wallet_id=wallet.pk)


def pay(miner: Miner, disbursement_id: int) -> None:
    """Do what workers do once a list is released, and bury its payout."""
    dispatch.seal(disbursement_id=disbursement_id)
    for pk in Payout.objects.filter(disbursement_id=disbursement_id).values_list("pk", flat=True):
        dispatch.advance(payout_id=pk)
    miner.mine(6)
    follow(miner)
