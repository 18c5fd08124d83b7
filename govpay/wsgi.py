"""The WSGI entry point that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "govpay.settings")

application = get_wsgi_application()

from payments.payout import guard  # noqa: E402  (models can be imported only now)

# A web process that shows another chain's node would mislead officers: it stops here, before it serves a page.
guard.check_at_start()
