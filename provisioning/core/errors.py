"""The errors that cross package borders.

Each says what happened (`code`, for programs), what a person should read (`message`), what a row may keep of that
(`phrase`), which fields are meant (`errors`), and the HTTP status that pages and the API give it. Packages raise them;
one handler in the API and one in the pages turn them into answers.
"""

from collections.abc import Mapping

from provisioning.phrase import Phrase


class ServiceError(Exception):
    """A refusal or failure with a code, a sentence for people and, where fields are at fault, their texts."""

    status = 500
    code = "internal"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        errors: Mapping[str, list[str]] | None = None,
        phrase: Phrase | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.phrase = phrase or Phrase("service_error", {"code": self.code})
        self.errors = dict(errors or {})

    def as_json(self) -> dict:
        """Give the one error shape of the API: code, message, errors by field."""
        return {"code": self.code, "message": self.message, "errors": self.errors}


class Invalid(ServiceError):
    """The input is wrong; `errors` names the fields. Nothing was changed."""

    status = 422
    code = "invalid"


class NotFound(ServiceError):
    """The object named does not exist, or is archived."""

    status = 404
    code = "not_found"


class Conflict(ServiceError):
    """The request is well formed, but the state of things forbids it now."""

    status = 409
    code = "conflict"


class AlreadyHere(Conflict):
    """The files asked for were fetched before: `uploads` names them by camera, `advice` says what is left to do."""

    code = "already_here"

    def __init__(self, message: str, *, uploads: Mapping[str, str], advice: str) -> None:
        super().__init__(f"{message} {advice}")
        self.uploads = dict(uploads)
        self.advice = advice


class AlreadyRequested(Conflict):
    """The same request is under way: `command_id` names it, in place of the message's own words about it."""

    code = "already_requested"

    def __init__(self, message: str, *, command_id: str) -> None:
        super().__init__(message)
        self.command_id = command_id


class Forbidden(ServiceError):
    """The caller is known, but may not do this."""

    status = 403
    code = "forbidden"


class TooMany(ServiceError):
    """The caller asks too often; the message says when to come back."""

    status = 429
    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after: int = 60) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(ServiceError):
    """Something this needs is not configured or not reachable; the message says what to do."""

    status = 503
    code = "unavailable"


class GatewayError(Exception):
    """An SMS could not be handed over.

    `permanent`: trying again cannot help. `sent`: "no" (the gateway refused it) or "unknown" (it may have
    gone out; never to be repeated by itself where that costs or destroys something).
    `phrase`: as gateway_words says it.
    """

    def __init__(self, code: str, phrase: Phrase, *, permanent: bool, sent: str = "no") -> None:
        super().__init__(code)
        self.code = code
        self.phrase = phrase
        self.permanent = permanent
        self.sent = sent
