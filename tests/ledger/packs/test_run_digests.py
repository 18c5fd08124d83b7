"""What a pack says of a run gives the run's digest, taken as the verifier takes it."""

import hashlib
import json

import pytest

from ledger.exports import Selection
from ledger.packs import runs
from tests.ledger import witness
from tests.ledger.witness import World, reconcile

pytestmark = pytest.mark.django_db(transaction=True)


class TestLines:
    def test_give_the_digest_of_a_run_with_breaks(self, world: World) -> None:
        world.deposit(9, 70, is_booked=False)
        world.bend_output(witness.digest_of("payout", 1), 0, script_pubkey=witness.script_of("thief"))
        assert reconcile().break_count == 2
        (line,) = runs.lines(Selection(), [witness.SCOPE])
        said = json.loads(line)
        digest = hashlib.sha256()
        for part in (said["heading"], *said["breaks"]):
            text = json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
            digest.update(text.encode() + b"\n")
        assert (digest.hexdigest(), len(said["breaks"]), said["is_cut"]) == (said["digest"], 2, False)
