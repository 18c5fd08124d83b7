"""All addresses: the API, its documentation, the admin."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from govpay.api import problems, views
from govpay.login import factor_pages, pages, provider_pages
from ledger.packs import page

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("health/", views.Health.as_view(), name="health"),
    path("verify/", page.check, name="verify"),
    path("verify/verify.py", page.program, name="verify-program"),
    path("person/", include("payments.person.urls")),
    path("transparency/", include("payments.public.urls")),
    # In place of the admin's own page, which signs in by the password alone.
    path("admin/login/", pages.sign_in),
    path("admin/login/code/", pages.code, name="login-code"),
    path("admin/login/provider/", provider_pages.start, name="provider-start"),
    path("admin/login/provider/back/", provider_pages.back, name="provider-back"),
    path("admin/login/provider/link/", provider_pages.link, name="provider-link"),
    path("admin/logout/", provider_pages.sign_out),
    path("admin/second-factor/", factor_pages.second_factor, name="second-factor"),
    path("admin/step-up/", pages.step_up, name="step-up"),
    path("admin/language/", set_language, name="set_language"),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("api/v1/", include("govpay.api.urls")),
    path("api/v1/", include("ledger.api.urls")),
    path("api/v1/", include("payments.api.urls")),
]

handler400 = problems.bad_request
handler404 = problems.not_found
handler500 = problems.server_error
