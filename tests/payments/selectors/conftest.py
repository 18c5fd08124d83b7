"""What an honest ministry handed out of lists by bank and by voucher."""

import pytest
import pytest_django
from django.core.management import call_command
from django.test import override_settings

from tests.conftest import books_may_be_emptied
from tests.payments.selectors import rail_story
from tests.payments.selectors.rail_story import Honest


@pytest.fixture(scope="session")
def honest(
    django_db_setup: None,
    django_db_blocker: pytest_django.DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Honest:
    """Made once a process: forging needs files only."""
    with django_db_blocker.unblock(), override_settings(**rail_story.rules()):
        made = rail_story.tell(tmp_path_factory.mktemp("rails"))
        with books_may_be_emptied():
            call_command("flush", interactive=False, verbosity=0)
    return made
