"""New lists of what was voided: never before the void is final, never twice, linked line by line."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from govpay.errors import NotFound
from payments.models import Disbursement, Payment, Payout, Program, StatusChange, Wallet
from payments.payout import seal
from payments.services import authority, disbursements, reissues, signing
from tests import factories
from tests.payments.admin import scenes

pytestmark = pytest.mark.django_db


@pytest.fixture
def payout(program: Program, officer: User, approver: User, releaser: User) -> Payout:
    """A payout that is void for good, of the first two of three lines."""
    found: Payout = scenes.furnish(program, officer, approver, releaser)["payout"]
    put(found, "voided", "voided")
    # Where the node signs, a list is released without the approver's key.
    Wallet.objects.update(signer="node", descriptor="")
    return found


def put(payout: Payout, status: str, payment_status: str) -> None:
    """Where the engine might have brought it, and its payments."""
    Payout.objects.filter(pk=payout.pk).update(status=status)
    Payment.objects.filter(payout=payout).update(status=payment_status)


def voided(payout: Payout) -> list[Payment]:
    """Its payments in the order of their lines."""
    return list(Payment.objects.filter(payout=payout).order_by("line"))


def state() -> tuple[Any, ...]:
    """What a refusal must not move."""
    return (
        list(Payment.objects.order_by("pk").values()),
        list(Disbursement.objects.order_by("pk").values()),
        StatusChange.objects.count(),
    )


class TestOfPayout:
    def test_lists_the_same_people_and_amounts_in_the_same_cycle(self, payout: Payout, officer: User) -> None:
        old = voided(payout)
        made = reissues.of_payout(by=officer, payout_id=payout.pk)
        assert payout.disbursement is not None
        assert (made.status, made.made_by, made.cycle_id) == ("draft", officer, payout.disbursement.cycle_id)
        assert (made.payment_count, made.total_sat) == (2, payout.payments_sat)
        lines = list(Payment.objects.filter(disbursement=made).order_by("line"))
        assert [(p.line, p.reissue_of_id, p.beneficiary_id, p.amount_sat, p.status) for p in lines] == [
            (line, p.pk, p.beneficiary_id, p.amount_sat, "pending") for line, p in enumerate(old, start=1)
        ]
        assert {(p.script_pubkey, p.destination_id, p.payout_id) for p in lines} == {(None, None, None)}

    def test_pays_at_the_address_of_the_day_it_is_submitted_and_needs_three_people(
        self, program: Program, payout: Payout, officer: User, approver: User, releaser: User
    ) -> None:
        made = reissues.of_payout(by=officer, payout_id=payout.pk)
        # The first person has elected currency: a trust takes their line.
        moved = voided(payout)[1].beneficiary
        script = factories.make_script()
        moved.destinations.update(script_pubkey=script)
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        agreed = bytes(made.manifest_hash or b"")
        assert bytes(Payment.objects.get(disbursement=made, line=2).script_pubkey or b"") == script
        with pytest.raises(authority.RoleMissing):
            disbursements.approve(by=officer, disbursement_id=made.pk, manifest_hash=agreed)
        disbursements.approve(by=approver, disbursement_id=made.pk, manifest_hash=agreed)
        made = disbursements.release(by=releaser, disbursement_id=made.pk, manifest_hash=agreed)
        assert made.status == "released"

    @pytest.mark.parametrize(
        "status", ["sealed", "committed", "signed", "sent", "mined", "settled", "frozen", "voiding"]
    )
    def test_is_refused_before_the_void_is_final(self, payout: Payout, officer: User, status: str) -> None:
        put(payout, status, "pending")
        before = state()
        expected = reissues.NothingToReissue if status == "settled" else reissues.VoidNotFinal
        with pytest.raises(expected):
            reissues.of_payout(by=officer, payout_id=payout.pk)
        assert state() == before

    def test_is_refused_twice_and_allowed_again_once_the_new_list_was_withdrawn(
        self, payout: Payout, officer: User
    ) -> None:
        made = reissues.of_payout(by=officer, payout_id=payout.pk)
        before = state()
        with pytest.raises(reissues.AlreadyReissued):
            reissues.of_payout(by=officer, payout_id=payout.pk)
        assert payout.disbursement_id is not None
        with pytest.raises(reissues.AlreadyReissued):
            reissues.of_list(by=officer, disbursement_id=payout.disbursement_id)
        assert state() == before
        disbursements.cancel(by=officer, disbursement_id=made.pk, note="Wrong day.")
        assert reissues.of_payout(by=officer, payout_id=payout.pk).payment_count == 2

    @pytest.mark.parametrize("role", ["approver", "releaser", "treasurer", "auditor"])
    def test_is_refused_to_other_roles(self, payout: Payout, program: Program, role: str) -> None:
        before = state()
        with pytest.raises(authority.RoleMissing):
            reissues.of_payout(by=factories.make_member(program, role, "somebody"), payout_id=payout.pk)
        assert state() == before

    def test_is_not_found_by_outsiders(self, payout: Payout, outsider: User) -> None:
        with pytest.raises(NotFound):
            reissues.of_payout(by=outsider, payout_id=payout.pk)
        assert payout.disbursement_id is not None
        with pytest.raises(NotFound):
            reissues.of_list(by=outsider, disbursement_id=payout.disbursement_id)

    def test_asks_the_database_as_often_for_many_as_for_few(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        factories.fund(program, 100_000_000)
        counts = []
        for size, period in ((2, "2026-01"), (60, "2026-02")):
            made = scenes.approved(program, officer, approver, amounts_sat=[50_000] * size, period=period)
            payout = scenes.make_payout(
                made, list(Payment.objects.filter(disbursement=made).order_by("line"))
            )
            put(payout, "voided", "voided")
            with CaptureQueriesContext(connection) as found:
                assert reissues.of_payout(by=officer, payout_id=payout.pk).payment_count == size
            counts.append(len(found))
        assert counts[0] == counts[1]


class TestOfList:
    def test_takes_what_is_void_and_leaves_the_rest(self, payout: Payout, officer: User) -> None:
        assert payout.disbursement_id is not None
        made = reissues.of_list(by=officer, disbursement_id=payout.disbursement_id)
        assert [p.reissue_of_id for p in Payment.objects.filter(disbursement=made).order_by("line")] == [
            p.pk for p in voided(payout)
        ]

    def test_is_refused_where_nothing_is_void(self, payout: Payout, officer: User) -> None:
        put(payout, "sent", "pending")
        before = state()
        assert payout.disbursement_id is not None
        with pytest.raises(reissues.VoidNotFinal):
            reissues.of_list(by=officer, disbursement_id=payout.disbursement_id)
        assert state() == before


class TestUndone:
    """A reorganization of 100 blocks took the void away after the list was reissued."""

    @pytest.fixture
    def approved(self, payout: Payout, officer: User, approver: User) -> Disbursement:
        made = reissues.of_payout(by=officer, payout_id=payout.pk)
        made = disbursements.submit(by=officer, disbursement_id=made.pk)
        return disbursements.approve(
            by=approver, disbursement_id=made.pk, manifest_hash=bytes(made.manifest_hash or b"")
        )

    def test_is_not_released(self, payout: Payout, approved: Disbursement, releaser: User) -> None:
        put(payout, "voiding", "voided")
        before = state()
        with pytest.raises(reissues.VoidNotFinal):
            disbursements.release(
                by=releaser,
                disbursement_id=approved.pk,
                manifest_hash=bytes(approved.manifest_hash or b""),
            )
        assert state() == before

    def test_is_not_sealed(self, payout: Payout, approved: Disbursement, releaser: User) -> None:
        agreed = bytes(approved.manifest_hash or b"")
        made = disbursements.release(by=releaser, disbursement_id=approved.pk, manifest_hash=agreed)
        put(payout, "voiding", "voided")
        assert seal.seal_next(made, feerate_sat_kvb=2_000) is None
        assert Payment.objects.filter(disbursement=made, payout__isnull=False).count() == 0


class TestHandOut:
    def test_gives_signers_no_reissue_whose_void_was_undone(
        self, program: Program, officer: User, approver: User, releaser: User
    ) -> None:
        found = scenes.furnish(program, officer, approver, releaser)
        request, stands_in = found["signingrequest"], found["payout"]
        put(stands_in, "committed", "pending")
        first = factories.make_disbursement(program, officer, amounts_sat=[50_000])
        disbursements.submit(by=officer, disbursement_id=first.pk)
        given_up = Payout.objects.create(
            disbursement=first,
            wallet=program.wallet,
            status="voided",
            payment_count=1,
            payments_sat=50_000,
            manifest_hash=bytes(32),
            anchor_txid="11" * 32,
            anchor_vout=0,
        )
        Payment.objects.filter(disbursement=first).update(payout=given_up, vout=0, status="voided")
        line = Payment.objects.filter(payout=stands_in).order_by("line")[0]
        Payment.objects.filter(pk=line.pk).update(reissue_of=Payment.objects.get(payout=given_up))
        signer = factories.make_member(program, "signer")
        assert signing.hand_out(by=signer, request_id=request.pk) == request
        Payout.objects.filter(pk=given_up.pk).update(status="voiding")
        before = state()
        with pytest.raises(reissues.VoidNotFinal):
            signing.hand_out(by=signer, request_id=request.pk)
        assert state() == before
