"""``manage.py classify_program``: old programs get their elements once."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from ledger.models import Account, Elements
from payments.models import Program
from tests.ledger.seals.scene import tampering

pytestmark = pytest.mark.django_db


@pytest.fixture
def old(program: Program) -> Program:
    """A program as it was before accounts had elements."""
    with tampering("ledger_account"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ledger_account SET entity = '', function = '', object = '', fund = '', project = ''"
            " WHERE scope = %s",
            [program.scope],
        )
    return program


def elements(program: Program) -> set[Elements]:
    return {account.elements for account in Account.objects.filter(scope=program.scope)}


def test_classifies_every_account_once(old: Program, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("classify_program", "PENSIONS", entity="021", function="10.71", fund="F1")
    assert capsys.readouterr().out == "PENSIONS: 6 accounts are classified.\n"
    found = elements(old)
    assert {each._replace(object="") for each in found} == {Elements("021", "10.71", "", "F1", "PENSIONS")}
    assert {each.object for each in found} == {"614", "6308", "1331", "272", "22"}
    with pytest.raises(CommandError, match="is classified, and that is for ever"):
        call_command("classify_program", "PENSIONS", entity="022")
    assert elements(old) == found


@pytest.mark.parametrize(
    ("code", "entity", "refusal"),
    [("PENSION", "021", "There is no program PENSION"), ("PENSIONS", "o21", "Use up to 30 capitals")],
)
def test_refuses_what_cannot_be(code: str, entity: str, refusal: str, old: Program) -> None:
    with pytest.raises(CommandError, match=refusal):
        call_command("classify_program", code, entity=entity)
    assert elements(old) == {Elements()}


def test_leaves_what_was_classified_alone(program: Program) -> None:
    before = elements(program)
    with pytest.raises(CommandError, match="is classified"):
        call_command("classify_program", "PENSIONS", entity="022")
    assert elements(program) == before
