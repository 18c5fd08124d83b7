"""The rules of a program on its page, each in words."""

from django.conf import settings
from django.utils.html import format_html
from unfold.decorators import display

from ledger.law import policy
from payments.admin import cells
from payments.models import Program, ProofNeeded


class RulesShown:
    """A column a rule."""

    @display(description="fee rate floor")
    def floor(self, program: Program) -> str:
        """The least fee rate."""
        return cells.feerate(program.feerate_floor_sat_kvb)

    @display(description="fee rate without an estimate")
    def fallback(self, program: Program) -> str:
        """The fee rate when the node knows none."""
        return cells.feerate(program.feerate_fallback_sat_kvb)

    @display(description="fee rate ceiling")
    def ceiling(self, program: Program) -> str:
        """The highest fee rate, which also fixes what is set aside for fees."""
        return cells.feerate(program.feerate_ceiling_sat_kvb)

    @display(description="fee rate for lists that are not urgent, at most")
    def patience(self, program: Program) -> str:
        """Above it only urgent lists are paid."""
        if program.feerate_patient_sat_kvb is None:
            return "as urgent ones"
        return cells.feerate(program.feerate_patient_sat_kvb)

    @display(description="fee of a payout, at most")
    def share_ceiling(self, program: Program) -> str:
        """The largest share of what it pays."""
        return f"{program.fee_share_ceiling_bps / 100:g} % of what it pays"

    @display(description="fees of a day (UTC), at most")
    def budget(self, program: Program) -> str:
        """What a day's versions may add to fees."""
        return "no limit" if program.fee_budget_daily_sat is None else cells.sat(program.fee_budget_daily_sat)

    @display(description="one person's bump, at most")
    def bump_alone_limit(self, program: Program) -> str:
        """What a bump may add without a second person."""
        return cells.sat(program.bump_alone_limit_sat)

    @display(description="small coins are merged")
    def merging(self, program: Program) -> str:
        """Up to which fee rate."""
        if program.consolidate_feerate_sat_kvb is None:
            return "never"
        return format_html("up to {}", cells.feerate(program.consolidate_feerate_sat_kvb))

    @display(description="merging in a day (UTC), at most")
    def merging_budget(self, program: Program) -> str:
        """What merging may cost."""
        return cells.sat(program.consolidate_budget_daily_sat)

    @display(description="time for signers elsewhere")
    def signing_deadline(self, program: Program) -> str:
        """How long until an alarm."""
        return f"{program.signing_deadline_s / 3600:g} h"

    @display(description="days to claim without an address")
    def claim_term(self, program: Program) -> str:
        """How long an entitlement waits."""
        if program.claim_term_days is None:
            return "everybody needs an address"
        return cells.number(program.claim_term_days)

    @display(description="a claimed address counts as a changed one", boolean=True)
    def claimed(self, program: Program) -> bool:
        """Whether it cools."""
        return program.claimed_counts_as_changed

    @display(description="a changed address is not paid for")
    def cooling(self, program: Program) -> str:
        """How long an address that replaced another waits."""
        return f"{program.destination_cooling_s / 3600:g} h"

    @display(description="days to answer a grievance")
    def grievance_due(self, program: Program) -> str:
        """How long until an alarm."""
        return cells.number(program.grievance_due_days)

    @display(description="a proof of control is needed")
    def proof(self, program: Program) -> str:
        """For which addresses."""
        return ProofNeeded(program.destination_proof).label.lower()

    @display(description="law that it goes by")
    def law(self, program: Program) -> str:
        """The title of its policy profile."""
        return policy.get_profile(program.policy_profile).title

    @display(description="language of messages and slips")
    def language_name(self, program: Program) -> str:
        """By its own name."""
        return dict(settings.LANGUAGES)[program.language]

    @display(description="blocks that a fee should suffice for")
    def target(self, program: Program) -> str:
        """For how many blocks the node's estimate is asked."""
        return cells.number(program.target_blocks)

    @display(description="higher fee after, in blocks")
    def bump_after(self, program: Program) -> str:
        """When the engine bumps what waits."""
        return cells.number(program.bump_after_blocks)

    @display(description="confirmations until settled")
    def settled_after(self, program: Program) -> str:
        """How deep a payout must lie."""
        return cells.number(program.confirmations_settled)

    @display(description="payments in one tx, at most")
    def group_max(self, program: Program) -> str:
        """The largest group."""
        return cells.number(program.group_max_payments)

    @display(description="size of one tx, at most")
    def group_size(self, program: Program) -> str:
        """The largest tx."""
        return f"{program.group_max_vsize_vb:,} vB"
