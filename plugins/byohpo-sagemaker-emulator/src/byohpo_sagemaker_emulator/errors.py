"""Errors that the emulated services return."""


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


class ConnectionLost(Exception):
    """A fault of this *kind* closes the connection without an answer."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind
