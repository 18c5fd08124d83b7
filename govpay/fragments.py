"""Parts of the admin's pages that a page asks for again by itself: what such a request is, and how the asking ends."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# What htmx takes as the end of polling; what came with it is shown all the same.
STOP_POLLING = 286
# What htmx leaves alone: nothing is another than it was.
UNCHANGED = 204
REDIRECTS = range(300, 400)


def is_asked(request: HttpRequest) -> bool:
    """Say whether a page asks for a part of itself, and not a person for a page: nobody need be at the screen."""
    return request.headers.get("HX-Request") == "true"


def load_anew() -> HttpResponse:
    """End the asking of a page, and have it load itself anew, once."""
    return HttpResponse(status=STOP_POLLING, headers={"HX-Refresh": "true"})


class FragmentsEnd:
    """Lets a page that asks for a part of itself load anew once it is sent elsewhere: to the login or to a code.

    Followed, the redirect would put the login's page into the middle of this one, and the asking would go on.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.method == "GET" and is_asked(request) and response.status_code in REDIRECTS:
            return load_anew()
        return response
