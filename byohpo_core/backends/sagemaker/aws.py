"""Calls to AWS: on one clock, at one pace, patient with what passes, and in plain words about what does not.

boto3 is imported here and nowhere else. Its own retries are off: they would wait outside the clock and beside the pace.
"""

import logging
import random
import secrets
import threading
import time
from typing import Any, Protocol

from byohpo_core.errors import ByohpoError, InvalidInput, one_line

_logger = logging.getLogger("byohpo")
SEARCHES_PER_SECOND = 2
"""What Search and ListTrainingJobs take; the limit is not adjustable (github.com/aws/deepracer-on-aws, issue 87)."""
ATTEMPTS_UNTIL_TOLD = 10
_CONNECT_SECONDS = 10
_LONGEST_PAUSE = 30.0
_LONGEST_WAIT_FOR_CREDENTIALS = 300.0
_NO_REGION = "no AWS region is set: set AWS_DEFAULT_REGION or give TrainingJob(region=...)"
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_PASSING = frozenset(
    {
        *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException"),
        *("TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded", "SlowDown", "RequestTimeout"),
        *("RequestTimeoutException", "PriorRequestNotComplete", "ConditionalRequestConflict", "InternalFailure"),
    }
)
"""Error codes that mean "later" (AWS SDKs and Tools Reference Guide, "Retry behavior")."""


class Clock(Protocol):
    """What tells the time and waits."""

    def now(self) -> float:
        """Unix time in seconds."""

    def sleep_until(self, time: float) -> None:
        """Return at that time; at once if it has passed."""


class WallClock:
    """This machine's clock."""

    def now(self) -> float:
        return time.time()

    def sleep_until(self, time: float) -> None:
        seconds = time - self.now()
        if seconds > 0:
            _sleep(seconds)


_sleep = time.sleep


class Refused(ByohpoError):
    """AWS refused a call for good; *code* is its error code."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Aws:
    """Clients of one account and region. Safe to use from several threads."""

    def __init__(
        self,
        region: str | None,
        clock: Clock,
        calls_per_second: float,
        session: Any = None,
        first_attempts: int = ATTEMPTS_UNTIL_TOLD,
    ) -> None:
        self.clock = clock
        self.token = secrets.token_hex(8)
        """Tells what this driver wrote from what another did."""
        self._first_attempts = first_attempts
        """How often a call is tried while none has worked."""
        self._region = region
        self._given = session
        """The user's boto3 session, whose credentials are used."""
        self._seconds_a_call = 1 / calls_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0
        """When the next call may be made."""
        self._clients: dict[str, Any] = {}
        self._worked = False
        self._renewing = False
        """Whether credentials were refused: the user may have renewed them where they came from."""
        self._told_of_credentials = False
        self._renewals = 0
        """How often credentials that were refused have come back."""
        self._closed = threading.Event()

    def close(self) -> None:
        """Calls that wait, for their turn or for what passes, give up at once, as do later ones."""
        self._closed.set()

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """One answered call; *operation* is a method of boto3's client. An object's "Body" is its bytes.

        Once a call has worked, throttling, server errors, lost connections and expired credentials are waited out,
        however long: the user is told. Before, credentials and connections that do not work are an error. Raises
        `Refused` for all other answers, and `ByohpoError` after `close`.
        """
        attempt = 0
        while True:
            attempt += 1
            self._keep_pace(service, operation)
            renewals = self._renewals
            try:
                answer: dict[str, Any] = getattr(self._client(service), operation)(**parameters)
                if "Body" in answer:  # read here, since its connection may be lost too
                    answer["Body"] = answer["Body"].read()
            except Exception as error:
                trouble = self._trouble(error, service, operation)
                if not self._worked and (attempt >= self._first_attempts or isinstance(trouble, InvalidInput)):
                    raise trouble from error
                self._wait(attempt, trouble, renewals)
            else:
                with self._lock:
                    self._worked = True
                    self._renewals += self._told_of_credentials
                    self._told_of_credentials = False
                return answer

    def _keep_pace(self, service: str, operation: str) -> None:
        """Wait for this call's turn; all calls but those to S3, whose limits are far away, share one pace."""
        if service == "s3":
            return
        seconds = self._seconds_a_call
        if operation in ("search", "list_training_jobs"):
            seconds = max(seconds, 1 / SEARCHES_PER_SECOND)
        with self._lock:
            turn = max(self._free_at, self.clock.now())
            self._free_at = turn + seconds
        self._sleep_until(turn)

    def _sleep_until(self, time: float) -> None:
        if isinstance(self.clock, WallClock):
            self._closed.wait(max(0.0, time - self.clock.now()))
        else:
            self.clock.sleep_until(time)
        if self._closed.is_set():
            raise ByohpoError("the driver has left: this call to AWS is given up")

    def _wait(self, attempt: int, trouble: ByohpoError, renewals: int) -> None:
        if isinstance(trouble, InvalidInput):  # credentials: the user must do something
            with self._lock:
                # A refusal from before the last renewal is no news.
                told = self._told_of_credentials or renewals < self._renewals
                self._told_of_credentials |= not told
                self._renewing = True
                self._clients.clear()
            if not told:
                _logger.warning(
                    "%s; waiting for new ones, nothing is lost (those of variables or of the program itself cannot be "
                    "renewed: end this, which stops no job, and resume it with new ones)",
                    trouble,
                )
            seconds = min(_LONGEST_WAIT_FOR_CREDENTIALS, _LONGEST_PAUSE * attempt)
        else:
            if attempt % ATTEMPTS_UNTIL_TOLD == 0:
                _logger.warning("%s; tried %d times, and going on", trouble, attempt)
            seconds = min(_LONGEST_PAUSE, 0.5 * 2 ** min(attempt, ATTEMPTS_UNTIL_TOLD)) * random.uniform(0.5, 1)  # noqa: S311 - jitter
        self._sleep_until(self.clock.now() + seconds)

    def _trouble(self, error: Exception, service: str, operation: str) -> ByohpoError:
        """What may pass, as an error of ours (`InvalidInput` if it is about credentials); raises what will not."""
        import botocore.exceptions as known

        action = f"{service}:{''.join(word.title() for word in operation.split('_'))}"
        if isinstance(error, known.ClientError):
            code = str(error.response.get("Error", {}).get("Code", ""))
            message = str(error.response.get("Error", {}).get("Message", "")).strip()
            if code in _EXPIRED:
                return InvalidInput(f"the AWS credentials have expired ({action}: {message})")
            if code in _PASSING or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:  # noqa: PLR2004
                return ByohpoError(f"{action} is not answered: {code} {message}")
            raise Refused(_refusal(action, code, message), code) from error
        if isinstance(error, known.NoRegionError):
            raise InvalidInput(_NO_REGION) from error
        credentials = (
            *(known.NoCredentialsError, known.PartialCredentialsError, known.CredentialRetrievalError),
            *(known.TokenRetrievalError, known.SSOError, known.ProfileNotFound, known.ConfigParseError),
            *(known.MetadataRetrievalError, getattr(known, "LoginError", known.SSOError)),  # LoginError: since 2025
        )
        # A RuntimeError is all that botocore says of credentials that are still expired when they were renewed.
        if isinstance(error, credentials) or type(error) is RuntimeError:
            return InvalidInput(f"there are no usable AWS credentials: {one_line(error)}")
        if isinstance(error, (known.ConnectionError, known.HTTPClientError, known.IncompleteReadError)):
            return ByohpoError(f"{action} is not answered: {one_line(error)}")
        if isinstance(error, known.BotoCoreError) or (isinstance(error, ValueError) and "endpoint" in str(error)):
            raise InvalidInput(f"{action}: {one_line(error)}") from error
        raise error

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                from botocore.config import Config

                config = Config(
                    retries={"total_max_attempts": 1}, max_pool_connections=16, connect_timeout=_CONNECT_SECONDS
                )
                self._clients[service] = self._session().client(service, region_name=self._region, config=config)
            return self._clients[service]

    def _session(self) -> Any:
        """The user's session; when its credentials were refused, one that reads the same ones anew, if any."""
        import boto3

        given = self._given
        if given is None:
            return boto3.Session()
        if not self._renewing:
            return given
        method = _method(given)
        named = method != "env" and given.profile_name in given.available_profiles
        anew = boto3.Session(region_name=given.region_name, profile_name=given.profile_name if named else None)
        return anew if _method(anew) == method else given


def _method(session: Any) -> str | None:
    """How boto3 found a session's credentials."""
    return getattr(session.get_credentials(), "method", None)


def usable_region(named: str | None) -> str:
    """This region or, where nobody names one, the one that boto3 takes."""
    import boto3
    from botocore.exceptions import BotoCoreError
    from botocore.utils import validate_region_name

    try:
        region: str | None = named or boto3.Session().region_name
        validate_region_name(region)
    except BotoCoreError as error:
        raise InvalidInput(f"the AWS region cannot be used: {one_line(error)}") from error
    if region is None:
        raise InvalidInput(_NO_REGION)
    return region


def is_configured() -> bool:
    """Whether this user has a region and credentials."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session()
        return session.region_name is not None and session.get_credentials() is not None
    except BotoCoreError:
        return False


def _refusal(action: str, code: str, message: str) -> str:
    if "AccessDenied" in code or code in ("Forbidden", "403"):
        return f"AWS does not allow {action}: {message or code}; docs/sagemaker/iam.md has the policy that is needed"
    return f"{action} was refused: {code}: {message}"
