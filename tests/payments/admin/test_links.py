"""Every link that a page shows leads somewhere: one page of each kind, as each role."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from payments.models import Program
from payments.transparency import publishing
from tests import crawl, factories

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("role", crawl.ROLES)
def test_leads_somewhere(
    role: str,
    program: Program,
    furnished: dict[str, Any],
    officer: User,
    approver: User,
    releaser: User,
    browser: Callable[[User], Client],
) -> None:
    publishing.publish()
    cast = {"officer": officer, "approver": approver, "releaser": releaser}
    user = cast.get(role) or factories.make_member(program, role)
    wrong, pages = [], 0
    for visit in crawl.crawl(browser(user)):
        pages += visit.is_page
        if visit.answer.status_code >= 400:
            wrong.append(f"{visit.answer.status_code} {visit.address} (from {visit.came_from})")
    assert wrong == []
    assert pages > 20
