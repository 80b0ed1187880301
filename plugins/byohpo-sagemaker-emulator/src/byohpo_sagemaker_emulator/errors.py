"""What the services answer when they refuse."""


class ServiceError(Exception):
    """An error as a service would word it."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> ServiceError:
    """A request that the service refuses for what it says."""
    return ServiceError("ValidationException", message)


class ConnectionLost(Exception):
    """The connection is to be closed without an answer."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind
