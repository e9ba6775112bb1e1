"""Refused requests as JSON responses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi.responses import JSONResponse
from PIL import UnidentifiedImageError
from pydantic import BaseModel

from mlffm_segdiff.config.errors import UserError

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, NOT_ALLOWED = 400, 401, 403, 404, 405
NOT_ACCEPTABLE, TIMEOUT, UNFINISHED, TOO_LARGE, UNSUPPORTED, NO_RANGE = 406, 408, 409, 413, 415, 416
UNUSABLE, TOO_MANY, FAULT, BUSY = 422, 429, 500, 503
CLIENT_CLOSED = 499
"""In metrics only: the client disconnected before the response (nginx's code)."""

KINDS = {
    BAD_REQUEST: "malformed-request",
    UNAUTHORIZED: "no-api-key",
    FORBIDDEN: "other-site",
    NOT_FOUND: "not-found",
    NOT_ALLOWED: "no-such-method",
    NOT_ACCEPTABLE: "no-such-format",
    TIMEOUT: "upload-too-slow",
    UNFINISHED: "unfinished",
    TOO_LARGE: "too-large",
    UNSUPPORTED: "not-an-image",
    NO_RANGE: "no-such-range",
    UNUSABLE: "unusable",
    TOO_MANY: "too-many-requests",
    FAULT: "fault",
    BUSY: "busy",
}


class Problem(BaseModel):
    """A refused request.

    Attributes:
        problem: Kind of problem, one of a fixed set of words.
        name: File name; empty if no file is at fault.
        detail: What is wrong.
        hint: How to fix it.
    """

    problem: str
    name: str = ""
    detail: str
    hint: str


@dataclass(eq=False)
class RefusedError(Exception):
    """Ends a request with a status and a `Problem`."""

    status: int
    detail: str
    hint: str
    name: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> JSONResponse:
        """Return the response."""
        kind = KINDS.get(self.status, "refused")
        problem = Problem(problem=kind, name=self.name, detail=self.detail, hint=self.hint)
        return JSONResponse(problem.model_dump(), self.status, dict(self.headers))


def refusal_of(error: UserError, name: str) -> RefusedError:
    """Return bad input as a refusal: 415 if a file is not an image, otherwise 422."""
    status = UNSUPPORTED if isinstance(error.__cause__, UnidentifiedImageError) else UNUSABLE
    return RefusedError(status, error.problem, error.fix, name)
