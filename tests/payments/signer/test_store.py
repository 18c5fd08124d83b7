"""The signer's memory: only ever added to, whole after a crash, one writer at a time."""

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from payments.signer import store
from payments.signer.refusal import StoreFailed
from payments.signer.store import Signed, Store
from tests.payments.signer import scene

ABOUT = {"network": "regtest", "wallet": "govpay-pensions", "descriptor": scene.SINGLE.text}
FIRST = Signed(
    "aa" * 32, 7, "original", {"x:0": 5, "y:1": 6}, ((1, "0014", 4),), 2, 6, "cc", "2026-11-25T12:00:00Z"
)
SECOND = replace(
    FIRST, txid="bb" * 32, kind="bump", inputs={"x:0": 5}, fee_sat=3, spent_sat=1, accepted=("a",)
)
OTHER = Signed("dd" * 32, 8, "void", {"z:0": 9}, (), 1, 1, "", "2026-11-26T00:00:00Z")

RACER = """
import sys
from pathlib import Path
from payments.signer import store
from payments.signer.store import Signed
home, name = Path(sys.argv[1]), int(sys.argv[2])
opened = store.open_(home, network="regtest", wallet="govpay-pensions", descriptor=sys.argv[3])
won = 0
for n in range(20):
    with opened.exclusive():
        if not opened.related(payout_ids=[n], payment_ids=[], outpoints=[]):
            opened.append(Signed(f"{name}-{n}", n, "original", {f"o{n}": 1}, (), 0, 1, "", "2026-11-25T00:00:00Z"))
            won += 1
print(won)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    store.create(tmp_path, **ABOUT, now=scene.NOW)
    return tmp_path


def opened(home: Path) -> Store:
    return store.open_(home, **ABOUT)


def keep(home: Path, *records: Signed) -> Store:
    found = opened(home)
    for record in records:
        with found.exclusive():
            found.append(record)
    return found


class TestMemory:
    def test_gives_back_what_it_was_given(self, home: Path) -> None:
        keep(home, FIRST, SECOND, OTHER).close()
        assert list(opened(home).all()) == [FIRST, SECOND, OTHER]

    def test_finds_by_payout_payment_and_input_and_the_rest_of_that_payout(self, home: Path) -> None:
        found = keep(home, FIRST, SECOND, OTHER)
        nothing: dict[str, list[object]] = {"payout_ids": [], "payment_ids": [], "outpoints": []}
        for ask, expected in (
            ({"payout_ids": [8]}, [OTHER]),
            ({"payment_ids": [1]}, [FIRST, SECOND]),
            ({"outpoints": ["y:1"]}, [FIRST, SECOND]),
            ({"outpoints": ["z:0", "q:0"]}, [OTHER]),
            ({"payment_ids": [2]}, []),
        ):
            assert found.related(**nothing | ask) == expected  # type: ignore[arg-type]

    def test_adds_up_a_day(self, home: Path) -> None:
        found = keep(home, FIRST, SECOND, OTHER)
        assert [found.spent_sat(f"2026-11-{day}") for day in (24, 25, 26)] == [0, 7, 1]
        assert store.stamp(found.newest_at() or scene.NOW) == "2026-11-26T00:00:00Z"
        assert found.head().count == 3

    def test_is_its_owners_alone(self, home: Path) -> None:
        assert (home / store.FILE).stat().st_mode & 0o777 == 0o600


class TestRefusal:
    def test_of_a_second_store(self, home: Path) -> None:
        with pytest.raises(StoreFailed) as refused:
            store.create(home, **ABOUT, now=scene.NOW)
        assert refused.value.code == "store_exists"

    def test_of_a_missing_one(self, tmp_path: Path) -> None:
        with pytest.raises(StoreFailed) as refused:
            opened(tmp_path)
        assert refused.value.code == "store_missing"
        assert not (tmp_path / store.FILE).exists()

    @pytest.mark.parametrize("name", ABOUT)
    def test_of_another_wallets(self, home: Path, name: str) -> None:
        with pytest.raises(StoreFailed) as refused:
            store.open_(home, **ABOUT | {name: "other"})
        assert refused.value.code == "store_of_another"

    @pytest.mark.parametrize("mode", [0o660, 0o602])
    def test_of_one_that_others_may_write(self, home: Path, mode: int) -> None:
        (home / store.FILE).chmod(mode)
        with pytest.raises(StoreFailed) as refused:
            opened(home)
        assert refused.value.code == "store_permissions"

    def test_of_none_whatever_its_folder_is_called(self, tmp_path: Path) -> None:
        """A path is no address: a question mark or a percent sign in it must not lead to another file."""
        for name in ("a?mode=memory", "b#c", "d%65", "e f", "ü"):
            folder = tmp_path / name
            folder.mkdir()
            store.create(folder, **ABOUT, now=scene.NOW)
            assert (folder / store.FILE).exists()
            assert opened(folder).head().count == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "a?mode=memory",
            "b#c",
            "d%65",
            "e f",
            "ü",
        ]

    def test_of_another_file(self, tmp_path: Path) -> None:
        (tmp_path / store.FILE).write_text("hello " * 1_000)
        with pytest.raises(StoreFailed) as refused:
            opened(tmp_path)
        assert refused.value.code == "store_unreadable"


class TestAppendOnly:
    @pytest.mark.parametrize("table", ["record", "payment", "input", "payout"])
    def test_refuses_change_and_deletion(self, home: Path, table: str) -> None:
        keep(home, FIRST).close()
        with sqlite3.connect(home / store.FILE) as connection:
            for statement in (f"UPDATE {table} SET seq = 9", f"DELETE FROM {table}"):
                with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
                    connection.execute(statement)
        assert list(opened(home).all()) == [FIRST]

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE record SET content = replace(content, '\"fee_sat\":2', '\"fee_sat\":1') WHERE seq = 1",
            "UPDATE record SET previous = hash WHERE seq = 2",
            "DELETE FROM record WHERE seq = 1",
            "UPDATE record SET seq = 3 WHERE seq = 2",
        ],
    )
    def test_notices_who_walks_past_that(self, home: Path, change: str) -> None:
        keep(home, FIRST, SECOND).close()
        tamper(home, change)
        found = opened(home)
        for check in (found.verify_chain, found.verify):
            with pytest.raises(StoreFailed) as refused:
                check()
            assert refused.value.code == "store_altered"

    @pytest.mark.parametrize(
        "change",
        [
            "DELETE FROM payment",
            "DELETE FROM input WHERE outpoint = 'y:1'",
            "UPDATE payout SET payout_id = 9",
            "INSERT INTO payment VALUES (99, 1)",
        ],
    )
    def test_notices_altered_look_up_tables(self, home: Path, change: str) -> None:
        keep(home, FIRST, SECOND).close()
        assert opened(home).verify().count == 2
        tamper(home, change)
        with pytest.raises(StoreFailed, match="look-up table"):
            opened(home).verify()

    def test_shows_that_records_were_cut_off_by_a_head_that_was_noted(self, home: Path) -> None:
        found = keep(home, FIRST)
        early = found.head().hash
        late = keep(home, SECOND).head().hash
        tamper(home, "DELETE FROM record WHERE seq = 2", "DELETE FROM input WHERE seq = 2")
        cut = opened(home)
        assert cut.verify_chain().count == 1
        assert (cut.has(early), cut.has(late)) == (True, False)


def tamper(home: Path, *changes: str) -> None:
    """Change the file as its owner could."""
    with sqlite3.connect(home / store.FILE) as connection:
        for table in ("record", "payment", "input", "payout"):
            for verb in ("update", "delete"):
                connection.execute(f"DROP TRIGGER {table}_{verb}")
        for change in changes:
            connection.execute(change)


class TestCrash:
    def test_keeps_nothing_of_what_was_not_committed(self, home: Path) -> None:
        found = opened(home)
        with pytest.raises(sqlite3.IntegrityError), found.exclusive():
            # Its second half breaks a key of the look-up tables.
            found.append(replace(FIRST, payments=FIRST.payments * 2))
        assert list(opened(home).all()) == []
        with found.exclusive():
            found.append(FIRST)
        assert opened(home).verify().count == 1

    def test_lets_two_signers_in_one_after_the_other(self, home: Path) -> None:
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", RACER, str(home), str(n), scene.SINGLE.text],
                stdout=subprocess.PIPE,
                text=True,
            )
            for n in range(2)
        ]
        won = [int(racer.communicate(timeout=60)[0]) for racer in racers]
        assert sum(won) == 20
        found = opened(home)
        assert found.verify().count == 20
        assert sorted(record.payout_id for record in found.all()) == list(range(20))

    def test_says_that_it_is_busy(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store, "BUSY_S", 0)
        one, other = opened(home), opened(home)
        with one.exclusive(), pytest.raises(StoreFailed) as refused, other.exclusive():
            pass
        assert refused.value.code == "store_busy"
