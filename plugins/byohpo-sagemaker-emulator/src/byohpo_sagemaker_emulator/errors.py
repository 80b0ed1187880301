"""Errors that the emulated services return, and those that end a job."""


class ServiceError(Exception):
    """An error with the code, message and HTTP status that a service returns."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> ServiceError:
    """The error for an invalid request."""
    return ServiceError("ValidationException", message)


class JobError(Exception):
    """A job fails for a reason outside its own code; the message becomes its FailureReason."""


class ConnectionLost(Exception):
    """A fault of this *kind* closes the connection without an answer."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind
