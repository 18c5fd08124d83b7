"""What an answer must be."""

from typing import Any

TITLES = {
    400: "The request is not valid",
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict with the present state",
    412: "Changed since it was looked at",
    413: "Too large",
    415: "Unsupported media type",
    422: "The content breaks a rule",
    429: "Too many requests",
    503: "A part that govpay needs does not answer",
}


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """Return the body after checking that it is whole problem details with the code."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"] == f"urn:govpay:problem:{code}"
    assert body["code"] == code
    assert body["status"] == status
    assert body["title"] == TITLES[status]
    assert isinstance(body["detail"], str)
    assert set(body) <= {
        *("type", "title", "status", "detail", "code", "errors", "details"),
        *("intake_id", "rows_total", "rows_loaded", "rows_refused"),
    }
    return body


def ok(response: Any, status: int = 200) -> dict[str, Any]:
    """Return the body of a success."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    body: dict[str, Any] = response.json()
    return body
