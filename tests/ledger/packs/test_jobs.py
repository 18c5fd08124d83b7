"""Packs in the background: asked for by those who may, made once, by whoever lives, and handed out whole."""

import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import Client
from rest_framework.test import APIClient

from govpay.errors import Conflict, Forbidden, InvalidInput, NotFound
from ledger import periods, selectors, verify
from ledger.models import Leaf, PackJob, PackPart, PackStatus, RedactionRequest
from ledger.packs import build, jobs
from ledger.packs.selection import NothingSealed
from ledger.seals import checkpoints, redaction, sealer, verification
from payments import doorbell, tasks
from payments.payout import rounds
from tests import factories
from tests.ledger.seals.scene import post

pytestmark = pytest.mark.usefixtures("opened_books", "seal_key")


@pytest.fixture
def auditor(opened_books: None) -> User:
    return factories.make_user("auditor", jobs.RIGHT, "ledger.view_entry")


@pytest.fixture
def sealed(opened_books: None, seal_key: None) -> None:
    post("a", "b", "c")
    sealer.seal()
    checkpoints.issue()


@pytest.fixture
def api(auditor: User) -> APIClient:
    client = APIClient()
    client.default_format = "json"
    client.force_authenticate(auditor)
    return client


def whole(job: PackJob) -> bytes:
    return b"".join(bytes(part) for part in job.parts.order_by("number").values_list("data", flat=True))


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, int]]]:
    """The doorbells that were rung."""
    found: list[tuple[str, dict[str, int]]] = []
    monkeypatch.setattr(doorbell, "ring", lambda task, **ids: found.append((task, ids)))
    return found


def black_out_the_first() -> None:
    """Two people black out the first entry of the books."""
    clerk, judge = (factories.make_user(name, redaction.RIGHT) for name in ("clerk", "judge"))
    asked = redaction.ask(by=clerk, entry_id=Leaf.objects.get(pk=0).entry_id, why="The memo named a person.")
    redaction.carry_out(by=judge, request_id=asked.pk)


def is_anybody_waiting() -> bool:
    """Tell whether a session waits for the lock of another one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


@pytest.mark.usefixtures("sealed")
class TestRun:
    def test_makes_a_pack_that_verifies(self, auditor: User, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setattr(jobs, "PART_BYTES", 1_000)
        asked = jobs.ask(by=auditor, kind="all")
        assert [ring.ids for ring in rounds.packs_to_build()] == [{"job_id": asked.pk}]
        tasks.build_pack(job_id=asked.pk)
        job, parts = jobs.download(by=auditor, job_id=asked.pk)
        raw = b"".join(parts)
        assert (job.status, job.attempts, job.size_bytes) == (PackStatus.DONE, 1, len(raw))
        assert bytes(job.sha256 or b"") == hashlib.sha256(raw).digest()
        assert PackPart.objects.count() == -(-len(raw) // 1_000)
        (tmp_path / "pack.zip").write_bytes(raw)
        assert verify.main([str(tmp_path / "pack.zip"), "--quiet"]) == 0
        assert list(rounds.packs_to_build()) == []

    def test_happens_once(self, auditor: User) -> None:
        asked = jobs.ask(by=auditor, kind="all")
        jobs.run(asked.pk)
        before = whole(asked)
        jobs.run(asked.pk)
        asked.refresh_from_db()
        assert (asked.attempts, whole(asked)) == (1, before)

    def test_waits_for_a_lease_and_begins_anew_after_it(self, auditor: User) -> None:
        asked = jobs.ask(by=auditor, kind="all")
        running = PackJob.objects.filter(pk=asked.pk)
        running.update(status=PackStatus.RUNNING, attempts=1, lease_until=Now() + timedelta(seconds=60))
        jobs.run(asked.pk)
        asked.refresh_from_db()
        assert (asked.status, list(rounds.packs_to_build())) == (PackStatus.RUNNING, [])
        running.update(lease_until=Now() - timedelta(seconds=1))
        jobs.run(asked.pk)
        asked.refresh_from_db()
        assert (asked.status, asked.attempts) == (PackStatus.DONE, 2)

    def test_stores_nothing_once_the_lease_is_lost(
        self, auditor: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = jobs.ask(by=auditor, kind="all")
        make: Callable[..., Any] = build.build

        def slow(*args: Any, **kwargs: Any) -> Any:
            PackJob.objects.filter(pk=asked.pk).update(lease_token=99)
            return make(*args, **kwargs)

        monkeypatch.setattr(build, "build", slow)
        jobs.run(asked.pk)
        asked.refresh_from_db()
        assert (asked.status, PackPart.objects.count()) == (PackStatus.RUNNING, 0)

    def test_is_given_up_after_workers_died_at_it(self, auditor: User) -> None:
        asked = jobs.ask(by=auditor, kind="all")
        PackJob.objects.filter(pk=asked.pk).update(
            status=PackStatus.RUNNING, attempts=3, lease_until=Now() - timedelta(seconds=1)
        )
        jobs.run(asked.pk)
        asked.refresh_from_db()
        assert (asked.status, asked.code) == (PackStatus.FAILED, "worker_died")

    def test_says_why_it_cannot_be_made(self, auditor: User, settings: Any) -> None:
        asked = jobs.ask(by=auditor, kind="all")
        settings.GOVPAY_SEAL_KEY = None
        jobs.run(asked.pk)
        asked.refresh_from_db()
        assert (asked.status, asked.code, PackPart.objects.count()) == (PackStatus.FAILED, "no_seal_key", 0)
        with pytest.raises(jobs.PackNotThere):
            jobs.download(by=auditor, job_id=asked.pk)

    def test_shows_how_far_it_is(
        self, auditor: User, api: APIClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = jobs.ask(by=auditor, kind="all")
        make: Callable[..., Any] = build.build
        seen: list[tuple[Any, ...]] = []

        def watched(*args: Any, progress: build.Progress, **kwargs: Any) -> Any:
            def note(step: str, done: int, total: int) -> None:
                progress(step, done, total)
                if step == "lists and payouts":
                    # The next step waits until this one was seen from outside, for a few seconds at most.
                    thread = threading.Thread(target=look)
                    thread.start()
                    thread.join()

            return make(*args, progress=note, **kwargs)

        def look() -> None:
            until = time.monotonic() + 5
            while (not seen or seen[-1][1] != "lists and payouts") and time.monotonic() < until:
                shown = api.get(f"/api/v1/packs/{asked.pk}/").json()
                seen.append((shown["status"], shown["step"], shown["done"], shown["total"]))
            connection.close()

        monkeypatch.setattr(build, "build", watched)
        jobs.run(asked.pk)
        assert seen[-1] == ("running", "lists and payouts", 3, 3)
        asked.refresh_from_db()
        assert (asked.status, asked.step, asked.done, asked.total) == (PackStatus.DONE, "", 3, 3)

    def test_is_forgotten_after_a_week(self, auditor: User) -> None:
        old, new = (jobs.ask(by=auditor, kind="all") for _ in range(2))
        for job in (old, new):
            jobs.run(job.pk)
        PackJob.objects.filter(pk=old.pk).update(finished_at=Now() - timedelta(days=8))
        rounds.prune()
        assert set(PackPart.objects.values_list("job", flat=True)) == {new.pk}
        with pytest.raises(jobs.PackNotThere) as refusal:
            jobs.download(by=auditor, job_id=old.pk)
        assert refusal.value.details["status"] == PackStatus.EXPIRED


@pytest.mark.usefixtures("sealed")
class TestBlackOut:
    def test_takes_the_files_that_were_made_before(self, auditor: User, client: Client) -> None:
        old = jobs.ask(by=auditor, kind="all")
        jobs.run(old.pk)
        black_out_the_first()
        old.refresh_from_db()
        assert (old.status, old.code, PackPart.objects.count()) == (PackStatus.EXPIRED, "redacted", 0)
        with pytest.raises(jobs.PackNotThere, match="deleted when leaf 0 was blacked out"):
            jobs.download(by=auditor, job_id=old.pk)
        client.force_login(auditor)
        page = client.get(f"/admin/ledger/packjob/{old.pk}/change/").content.decode()
        assert "deleted when leaf 0 was blacked out" in page
        new = jobs.ask(by=auditor, kind="all")
        jobs.run(new.pk)
        leaves = zipfile.ZipFile(io.BytesIO(whole(new))).read("journal/leaves.jsonl").decode()
        assert (leaves.count("govpay/entry/2"), leaves.count("redacted")) == (2, 1)

    def test_begins_anew_what_is_being_made(
        self, auditor: User, rung: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = jobs.ask(by=auditor, kind="all")
        make: Callable[..., Any] = build.build

        def overtaken(*args: Any, **kwargs: Any) -> Any:
            made = make(*args, **kwargs)
            rung.clear()
            black_out_the_first()
            return made

        monkeypatch.setattr(build, "build", overtaken)
        jobs.run(asked.pk)
        asked.refresh_from_db()
        assert (asked.status, asked.attempts, PackPart.objects.count()) == (PackStatus.WAITING, 0, 0)
        assert rung == [("build_pack", {"job_id": asked.pk})]
        monkeypatch.setattr(build, "build", make)
        jobs.run(asked.pk)
        assert zipfile.ZipFile(io.BytesIO(whole(asked))).read("journal/leaves.jsonl").count(b"redacted") == 1

    def test_keeps_others_from_beginning_before_it_is_seen(self, auditor: User) -> None:
        asked = jobs.ask(by=auditor, kind="all")

        def begin() -> None:
            jobs.run(asked.pk)
            connection.close()

        worker = threading.Thread(target=begin)
        with transaction.atomic():
            black_out_the_first()
            worker.start()
            while worker.is_alive() and not is_anybody_waiting():
                worker.join(0.01)
            assert worker.is_alive()
        worker.join()
        assert zipfile.ZipFile(io.BytesIO(whole(asked))).read("journal/leaves.jsonl").count(b"redacted") == 1


class TestAsk:
    def test_wakes_a_worker_at_once(self, sealed: None, auditor: User, rung: list[Any]) -> None:
        asked = jobs.ask(by=auditor, kind="all")
        assert rung == [("build_pack", {"job_id": asked.pk})]

    def test_takes_the_right(self, sealed: None) -> None:
        reader = factories.make_user("reader", "ledger.view_entry")
        for call in (lambda: jobs.ask(by=reader, kind="all"), lambda: jobs.get(by=reader, job_id=1)):
            with pytest.raises(Forbidden):
                call()
        assert not PackJob.objects.exists()

    def test_needs_a_checkpoint(self, auditor: User) -> None:
        with pytest.raises(NothingSealed):
            jobs.ask(by=auditor, kind="all")

    @pytest.mark.parametrize(
        ("kind", "name", "scope", "error"),
        [
            ("all", "x", "", InvalidInput),
            ("period", "", "", InvalidInput),
            ("period", "2020-01", "", NotFound),
            ("disbursement", "12", "", NotFound),
            ("disbursement", "-1", "", InvalidInput),
            ("disbursement", "9" * 30, "", InvalidInput),
            ("disbursement", "1", "program:7", InvalidInput),
            ("other", "", "", InvalidInput),
            ("all", "", "program:999", NotFound),
            ("all", "", "7", NotFound),
            ("all", "", "program:7 ", NotFound),
            ("disbursement", "1", "program:999", NotFound),
        ],
    )
    def test_refuses_what_is_not_there(
        self, sealed: None, auditor: User, kind: str, name: str, scope: str, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            jobs.ask(by=auditor, kind=kind, name=name, scope=scope)
        assert not PackJob.objects.exists()

    def test_is_bounded_for_a_person(self, sealed: None, auditor: User) -> None:
        for _ in range(jobs.MOST_OPEN):
            jobs.ask(by=auditor, kind="all")
        with pytest.raises(Conflict) as refusal:
            jobs.ask(by=auditor, kind="all")
        assert refusal.value.code == "too_many_packs"
        assert PackJob.objects.count() == jobs.MOST_OPEN


@pytest.mark.usefixtures("sealed")
class TestApi:
    def test_asks_follows_and_downloads(self, api: APIClient) -> None:
        answer = api.post("/api/v1/packs/", {"kind": "all"})
        assert answer.status_code == 202
        asked = answer.json()
        assert (asked["status"], asked["asked_by"], asked["sha256"]) == ("waiting", "auditor", None)
        refused = api.get(f"/api/v1/packs/{asked['id']}/file/")
        assert (refused.status_code, refused.json()["code"]) == (409, "pack_not_there")
        jobs.run(asked["id"])
        shown = api.get(f"/api/v1/packs/{asked['id']}/").json()
        assert (shown["status"], shown["done"], shown["total"]) == ("done", 3, 3)
        answer = api.get(f"/api/v1/packs/{asked['id']}/file/")
        raw = b"".join(answer.streaming_content)
        assert hashlib.sha256(raw).hexdigest() == shown["sha256"]
        assert "manifest.note" in zipfile.ZipFile(io.BytesIO(raw)).namelist()
        assert [row["id"] for row in api.get("/api/v1/packs/").json()["results"]] == [asked["id"]]

    def test_refuses_those_who_may_not(self, opened_books: None) -> None:
        client = APIClient()
        client.force_authenticate(factories.make_user("reader", "ledger.view_entry"))
        for address in ("packs/", "packs/1/", "packs/1/file/"):
            assert client.get(f"/api/v1/{address}").status_code == 403
        assert client.post("/api/v1/packs/", {"kind": "all"}, format="json").status_code == 403
        assert not PackJob.objects.exists()

    def test_names_the_field_that_is_wrong(self, api: APIClient) -> None:
        for body, field in (({"kind": "some"}, "kind"), ({"kind": "all", "who": "x"}, "who"), ({}, "kind")):
            answer = api.post("/api/v1/packs/", body)
            assert answer.status_code == 422 or answer.status_code == 400
            assert field in answer.content.decode()

    def test_refuses_a_scope_that_is_none(self, api: APIClient) -> None:
        answer = api.post("/api/v1/packs/", {"kind": "all", "scope": "program:999"})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert "program:999" in answer.json()["detail"]
        assert not PackJob.objects.exists()


@pytest.mark.usefixtures("sealed")
class TestAdmin:
    def test_asks_follows_and_downloads(self, auditor: User, client: Client) -> None:
        client.force_login(auditor)
        page = client.get("/admin/ledger/packjob/").content.decode()
        assert ">Packs<" in "".join(page.split())
        assert "Pack jobs" not in page
        assert client.get("/admin/ledger/packjob/make/").status_code == 200
        refused = client.post("/admin/ledger/packjob/make/", {"kind": "period", "name": "2020-01"})
        assert (refused.status_code, PackJob.objects.count()) == (422, 0)
        refused = client.post("/admin/ledger/packjob/make/", {"kind": "all", "scope": "program:999"})
        assert (refused.status_code, PackJob.objects.count()) == (422, 0)
        assert "No account has the scope" in refused.content.decode()
        assert client.post("/admin/ledger/packjob/make/", {"kind": "all"}).status_code == 302
        job = PackJob.objects.get()
        jobs.run(job.pk)
        page = client.get(f"/admin/ledger/packjob/{job.pk}/change/")
        assert f"/admin/ledger/packjob/{job.pk}/download/" in page.content.decode()
        answer = client.get(f"/admin/ledger/packjob/{job.pk}/download/")
        assert b"".join(answer.streaming_content) == whole(job)

    @pytest.mark.parametrize("number", ["999", "x", "9" * 30])
    def test_has_no_file_of_a_number_that_is_none(self, auditor: User, client: Client, number: str) -> None:
        client.force_login(auditor)
        assert client.get(f"/admin/ledger/packjob/{number}/download/").status_code == 404

    def test_hides_packs_from_those_who_may_not(self, client: Client) -> None:
        client.force_login(factories.make_user("reader", "ledger.view_entry"))
        for address in ("", "make/"):
            assert client.get(f"/admin/ledger/packjob/{address}").status_code in (403, 302)
        assert client.get("/admin/ledger/redactionrequest/").status_code == 200


def close_and_seal(closer: User, second: User, note: str = "") -> None:
    """Close and seal a period with an entry in it, and sign a checkpoint over both."""
    post("a")
    periods.open_next(by=closer, name="2026-10", ends_at=datetime(2026, 11, 1, tzinfo=UTC))
    periods.close(by=closer, name="2026-10", note=note)
    figures = periods.figures(selectors.get_period("2026-10"))
    periods.seal(by=second, name="2026-10", digest=figures.digest)
    sealer.seal()
    checkpoints.issue()


class TestPeriods:
    def test_are_in_a_pack_with_those_who_closed_and_sealed_them(self, auditor: User, tmp_path: Path) -> None:
        closer, second = (factories.make_user(name, periods.RIGHT) for name in ("closer", "second"))
        close_and_seal(closer, second)
        asked = jobs.ask(by=auditor, kind="all")
        jobs.run(asked.pk)
        (tmp_path / "pack.zip").write_bytes(whole(asked))
        assert verify.main([str(tmp_path / "pack.zip"), "--quiet"]) == 0
        leaves = zipfile.ZipFile(tmp_path / "pack.zip").read("journal/leaves.jsonl").decode()
        assert (leaves.count("govpay/period/1"), leaves.count("govpay/entry/2")) == (2, 1)

    def test_can_be_blacked_out_because_people_write_notes(self, auditor: User, tmp_path: Path) -> None:
        closer, second = (factories.make_user(name, periods.RIGHT) for name in ("closer", "second"))
        close_and_seal(closer, second, note="Maria Perez called.")
        clerk, judge = (factories.make_user(name, redaction.RIGHT) for name in ("clerk", "judge"))
        index = Leaf.objects.filter(period_change__note="Maria Perez called.").get().pk
        call_command("redact", "ask", index, leaf=True, by=clerk.username, why="A note named a person.")
        call_command("redact", "agree", RedactionRequest.objects.get().pk, by=judge.username)
        assert verification.verify().findings == []
        asked = jobs.ask(by=auditor, kind="all")
        jobs.run(asked.pk)
        (tmp_path / "pack.zip").write_bytes(whole(asked))
        assert verify.main([str(tmp_path / "pack.zip"), "--quiet"]) == 0
        pack = zipfile.ZipFile(tmp_path / "pack.zip")
        assert [name for name in pack.namelist() if b"Maria" in pack.read(name)] == []
        assert "Whom it names" in pack.read("readme.txt").decode()
        with pytest.raises(NotFound):
            redaction.ask(by=clerk, index=10**6, why="x")
