"""Call AWS at a limited rate; wait out temporary errors and report all others clearly.

Only this module imports boto3. It turns off boto3's own retries, which would ignore the clock and the rate limit.
"""

import random
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from byohpo_core.backends.sagemaker.answers import Garbled, listen
from byohpo_core.clock import SteadyClock
from byohpo_core.errors import ByohpoError, InvalidInput, one_line
from byohpo_core.logger import logger as _logger

SEARCHES_PER_SECOND = 2
"""The rate limit of Search and ListTrainingJobs, not adjustable (github.com/aws/deepracer-on-aws, issue 87)."""
ATTEMPTS_UNTIL_TOLD = 10
CONNECT_SECONDS = 3
READ_SECONDS = 30
_FIRST_SECONDS = 3.0
"""How long to look for AWS at the start of a study."""
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
"""Error codes of temporary errors (AWS SDKs and Tools Reference Guide, "Retry behavior")."""


class Clock(Protocol):
    """A source of time that can also wait."""

    def now(self) -> float:
        """Unix time in seconds."""

    def sleep_until(self, moment: float, /) -> None:
        """Wait until that time; return at once if it has passed."""


class WallClock(SteadyClock):
    """Real time."""


class Refused(ByohpoError):
    """AWS refused a call, and trying again would not help; *code* is AWS's error code."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def is_absence(self) -> bool:
        """Whether SageMaker says that there is no such job."""
        return self.code == "ResourceNotFound" or (self.code == "ValidationException" and "not found" in str(self))


class _NoAnswer(ByohpoError):
    """AWS itself gave no answer: there was no connection, or somebody in between answered."""


class Aws:
    """AWS clients for one account and region. Thread-safe."""

    def __init__(
        self,
        region: str | None,
        clock: Clock,
        calls_per_second: float,
        session: Any = None,
        first_attempts: int = ATTEMPTS_UNTIL_TOLD,
        *,
        waits: bool = True,
    ) -> None:
        self.clock = clock
        self.token = secrets.token_hex(8)
        """Marks what this driver has written, to tell it from what another driver wrote."""
        self._first_attempts = first_attempts
        """How many times a call is tried as long as no call has worked."""
        self._waits = waits
        """Whether a call is tried again for as long as it takes, once any call has worked."""
        self._region = region
        self._given = session
        """The user's boto3 session, which supplies the credentials."""
        self._seconds_a_call = 1 / calls_per_second
        self._lock = threading.Lock()
        self._free_at = 0.0
        """When the next call may be made."""
        self._clients: dict[str, Any] = {}
        self._worked = False
        self._renewing = False
        """Whether credentials were refused, so that they must be read again in case the user has renewed them."""
        self._told_of_credentials = False
        self._renewals = 0
        """How many times calls have worked again after credentials were refused."""
        self._closed = threading.Event()

    def close(self) -> None:
        """Cancel all calls that wait for their turn or for the end of an error, and all later calls."""
        self._closed.set()

    def call(
        self, service: str, operation: str, before: Callable[[], None] = lambda: None, /, **parameters: Any
    ) -> dict[str, Any]:
        """Call AWS and return the answer; *operation* is a method of boto3's client. A "Body" is returned as bytes.

        *before* is called right before each try, after the wait for its turn; it may raise an error.

        Once any call has worked, calls wait until throttling, server errors, lost connections and expired credentials
        are over, however long that takes, and log a warning. Before that, or if *waits* is False, bad credentials
        raise an error at once, an endpoint that is not there after a few seconds, and other temporary errors after a
        few attempts. Raises `Refused` for all other errors, and `ByohpoError` after `close`.
        """
        attempt, started = 0, self.clock.now()
        while True:
            attempt += 1
            self._keep_pace(service, operation)
            renewals = self._renewals
            before()
            try:
                answer: dict[str, Any] = getattr(self._client(service), operation)(**parameters)
                if "Body" in answer:  # read here, since this connection may be lost too
                    answer["Body"] = answer["Body"].read()
            except Exception as error:
                trouble = self._trouble(error, service, operation)
                lost = isinstance(trouble, _NoAnswer) and self.clock.now() >= started + _FIRST_SECONDS
                last = lost or attempt >= self._first_attempts or isinstance(trouble, InvalidInput)
                if last and not (self._worked and self._waits):
                    raise trouble from error
                self._wait(attempt, trouble, renewals)
            else:
                with self._lock:
                    self._worked = True
                    self._renewals += self._told_of_credentials
                    self._told_of_credentials = False
                return answer

    def listed(self, **request: Any) -> Iterator[Mapping[str, Any]]:
        """The answers of S3's ListObjectsV2, page by page."""
        token: dict[str, str] = {}
        while True:
            page = self.call("s3", "list_objects_v2", **request, **token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def account(self) -> str:
        """The number of the caller's account."""
        number: str = self.call("sts", "get_caller_identity")["Account"]
        return number

    def _keep_pace(self, service: str, operation: str) -> None:
        """Wait for this call's turn under the rate limit. S3 is exempt, since its own limits are far higher."""
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
            raise ByohpoError("the driver has left the study, so this call to AWS was cancelled")

    def _wait(self, attempt: int, trouble: ByohpoError, renewals: int) -> None:
        if isinstance(trouble, InvalidInput):  # credentials, which only the user can renew
            with self._lock:
                # Do not warn about a call that was made before the last renewal.
                told = self._told_of_credentials or renewals < self._renewals
                self._told_of_credentials |= not told
                self._renewing = True
                self._clients.clear()
            if not told:
                _logger.warning(
                    "%s; waiting for new credentials, and nothing is lost (if they came from environment variables or "
                    "from this program, they cannot be renewed: end the program, which stops no job, and resume the "
                    "study with new ones)",
                    trouble,
                )
            seconds = min(_LONGEST_WAIT_FOR_CREDENTIALS, _LONGEST_PAUSE * attempt)
        else:
            if attempt % ATTEMPTS_UNTIL_TOLD == 0:
                _logger.warning("%s; tried %d times, and still trying", trouble, attempt)
            elif attempt == 1 and not self._worked:
                _logger.warning("%s; trying again", trouble)
            seconds = min(_LONGEST_PAUSE, 0.5 * 2 ** min(attempt, ATTEMPTS_UNTIL_TOLD)) * random.uniform(0.5, 1)  # noqa: S311 - jitter
        self._sleep_until(self.clock.now() + seconds)

    def _trouble(self, error: Exception, service: str, operation: str) -> ByohpoError:
        """Return a temporary error as one of ours, `InvalidInput` if it is about credentials; raise any other error."""
        import botocore.exceptions as known

        if isinstance(error, ByohpoError):
            raise error
        action = f"{service}:{''.join(word.title() for word in operation.split('_'))}"
        if isinstance(error, known.ClientError):
            code = str(error.response.get("Error", {}).get("Code", ""))
            message = str(error.response.get("Error", {}).get("Message", "")).strip()
            if code in _EXPIRED:
                return InvalidInput(f"the AWS credentials have expired ({action}: {message})")
            if code in _PASSING or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:  # noqa: PLR2004
                return ByohpoError(f"{action} failed, perhaps temporarily: {code} {message}")
            raise Refused(_refusal(action, code, message), code) from error
        if isinstance(error, known.NoRegionError):
            raise InvalidInput(_NO_REGION) from error
        credentials = (
            *(known.NoCredentialsError, known.PartialCredentialsError, known.CredentialRetrievalError),
            *(known.TokenRetrievalError, known.SSOError, known.ProfileNotFound, known.ConfigParseError),
            *(known.MetadataRetrievalError, getattr(known, "LoginError", known.SSOError)),  # LoginError: since 2025
        )
        # botocore raises a bare RuntimeError if credentials are still expired after a renewal.
        if isinstance(error, credentials) or (type(error) is RuntimeError and "redentials" in str(error)):
            return InvalidInput(f"there are no usable AWS credentials: {one_line(error)}")
        connection = (known.ConnectionError, known.HTTPClientError, known.IncompleteReadError)
        garbled = (Garbled, known.FlexibleChecksumError)
        if isinstance(error, known.BotoCoreError) and not isinstance(error, (*connection, *garbled)):
            raise InvalidInput(f"{action}: {one_line(error)}") from error
        # All others come from botocore as it reads an answer.
        told = one_line(error) if isinstance(error, (*connection, *garbled)) else f"{type(error).__name__} reading it"
        return _NoAnswer(f"{action} got no answer from AWS: {told}; check the network, the region and AWS_ENDPOINT_URL")

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                from botocore.config import Config

                config = Config(
                    retries={"total_max_attempts": 1},
                    max_pool_connections=16,
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                )
                try:
                    client = self._session().client(service, region_name=self._region, config=config)
                except ValueError as error:  # an endpoint that is no URL
                    raise InvalidInput(f"{service}: {one_line(error)}") from error
                listen(client)
                self._clients[service] = client
            return self._clients[service]

    def _session(self) -> Any:
        """The user's session or, once its credentials were refused, a new one that reads them again if it can."""
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
    """The method by which boto3 found a session's credentials."""
    return getattr(session.get_credentials(), "method", None)


def usable_region(named: str | None) -> str:
    """The region *named* or, without one, boto3's default; raises `InvalidInput` if it cannot be used."""
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


def _refusal(action: str, code: str, message: str) -> str:
    if "AccessDenied" in code or code in ("Forbidden", "403"):
        return f"AWS does not allow {action}: {message or code}; docs/sagemaker/iam.md has the policy that byohpo needs"
    return f"{action} was refused: {code}: {message}"
