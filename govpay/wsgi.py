"""The WSGI entry point that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "govpay.settings")

handler = get_wsgi_application()

from govpay import bodies, broker  # noqa: E402  (settings and models can be imported only now)
from payments.payout import guard  # noqa: E402

# A web process that shows another chain's node would mislead officers: it stops here, before it serves a page.
broker.check_at_start()
guard.check_at_start()

application = bodies.whole(handler)
