"""Lots by FIFO agree with rp2, lot by lot: a checker that others wrote, run as a program."""

import json
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ledger.treasury.lots import Fifo, Movement

PROGRAM = Path(__file__).with_name("rp2_lots.py")
START = datetime(2022, 1, 1, tzinfo=UTC)


def history(seed: int) -> list[Movement]:
    """Some hundred movements of a treasury over four years, amounts from dust to tens of bitcoin."""
    draw = random.Random(seed)
    found: list[Movement] = []
    held = 0
    for number in range(300):
        at = START + timedelta(days=4 * number, seconds=draw.randrange(86_400))
        price = draw.randrange(1_600_000_000, 12_000_000_000)
        is_acquisition = held <= 1_000 or draw.random() > 0.55
        if not is_acquisition:
            amount = held if draw.random() < 0.05 else draw.randrange(1_000, held + 1)
            held -= amount
        else:
            amount = draw.choice([draw.randrange(1_000, 100_000), draw.randrange(10**6, 5 * 10**9)])
            held += amount
        value = max(1, amount * price // 10**8)
        found.append(Movement(at, is_acquisition, amount, value, f"m:{number}"))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_agrees_lot_by_lot(seed: int, tmp_path: Path) -> None:
    movements = history(seed)
    given = [
        [each.at.isoformat(), each.is_acquisition, each.amount_sat, each.value_minor, each.reference]
        for each in movements
    ]
    # It logs into the folder where it is called.
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        input=json.dumps(given),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(done.stdout)
    method = Fifo()
    ours = [part for each in movements for part in method.move(each)]
    assert len(ours) > 150
    assert [[part.disposal.reference, part.lot and part.lot.reference, part.amount_sat] for part in ours] == [
        part[:3] for part in theirs
    ]
    for part, (_, _, _, gain) in zip(ours, theirs, strict=True):
        # Proceeds and cost are rounded by less than a minor unit each; rp2 keeps the fraction.
        assert abs(part.gain_minor - Decimal(gain)) < 2
    for reference in {part.disposal.reference for part in ours}:
        mine = sum(part.gain_minor for part in ours if part.disposal.reference == reference)
        exact = sum(Decimal(gain) for disposal, _, _, gain in theirs if disposal == reference)
        # Over a disposal only its first and its last lot can be cut.
        assert abs(mine - exact) < 2
