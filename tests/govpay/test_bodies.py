"""Bodies that break off: nothing of them is taken, by whichever door (A20)."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test.client import ClientHandler
from knox.models import AuthToken

from govpay import bodies
from payments.models import Enrollment, Intake, Program
from tests.payments.services.files import make_person, people_csv

FILE = people_csv(make_person(1), make_person(2))
HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="p.csv"\r\n\r\n'
FORM = HEAD + FILE + b"\r\n--x--\r\n"

Send = Callable[..., tuple[int, bytes]]


class TestWholeBody:
    @pytest.mark.parametrize("size", [1, 3, 5, 7, 100, -1])
    def test_is_read_to_its_end_and_no_further(self, size: int) -> None:
        body = bodies.WholeBody(io.BytesIO(b"12345678 next"), 8)
        parts = list(iter(lambda: body.read(size), b""))
        assert b"".join(parts) == b"12345678"

    def test_that_comes_piece_by_piece_is_put_together(self) -> None:
        pieces = [b"1", b"23", b"45"]

        class Slow:
            def read(self, size: int) -> bytes:
                return pieces.pop(0)

        assert bodies.WholeBody(Slow(), 5).read() == b"12345"

    @pytest.mark.parametrize("size", [1, 4, -1])
    def test_that_ends_early_is_not_read(self, size: int) -> None:
        body = bodies.WholeBody(io.BytesIO(b"1234567"), 8)
        with pytest.raises(bodies.BodyBrokeOff):
            list(iter(lambda: body.read(size), b""))

    def test_is_read_by_lines_too(self) -> None:
        body = bodies.WholeBody(io.BytesIO(b"a\nbc\nd"), 7)
        assert [body.readline(), body.readline(2)] == [b"a\n", b"bc"]
        assert body.readline() == b"\n"
        with pytest.raises(bodies.BodyBrokeOff):
            body.readline()


@pytest.fixture
def send(officer: User) -> Send:
    """Send bytes, as many as the test says, to an address over WSGI; return status and body."""
    _, token = AuthToken.objects.create(user=officer)
    handler: Any = ClientHandler(enforce_csrf_checks=True)
    application = bodies.whole(lambda environ, _: handler(environ))

    def sent(path: str, content_type: str, body: bytes, announced: int) -> tuple[int, bytes]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": path,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
            "wsgi.errors": io.StringIO(),
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(announced),
            "HTTP_AUTHORIZATION": f"Bearer {token}",
            "HTTP_HOST": "127.0.0.1",
        }
        answer: Any = application(environ, None)
        return answer.status_code, answer.content

    return sent


@pytest.mark.django_db
class TestApi:
    # Behind the first person, in the second, behind the second, and before the last boundary.
    @pytest.mark.parametrize("cut", [-(len(FILE.splitlines(True)[2]) + 9), -40, -9, -1])
    def test_takes_no_part_of_a_file(self, send: Send, program: Program, cut: int) -> None:
        path = f"/api/v1/programs/{program.pk}/intakes/people/"
        kind = "multipart/form-data; boundary=x"
        status, said = send(path, kind, FORM[:cut], len(FORM))
        assert (status, b"broke off" in said) == (400, True)
        assert (Intake.objects.count(), Enrollment.objects.count()) == (0, 0)
        assert send(path, kind, FORM, len(FORM))[0] == 201
        assert Enrollment.objects.count() == 2

    def test_takes_no_json_that_was_cut_where_it_could_end(self, send: Send, program: Program) -> None:
        status, said = send(f"/api/v1/programs/{program.pk}/disbursements/", "application/json", b"{} ", 9)
        assert (status, b"broke off" in said) == (400, True)


@pytest.mark.django_db
def test_a_form_of_the_admin_that_broke_off_is_none(send: Send) -> None:
    status, _ = send("/admin/login/", "application/x-www-form-urlencoded", b"username=a&password=b", 40)
    assert status == 403
