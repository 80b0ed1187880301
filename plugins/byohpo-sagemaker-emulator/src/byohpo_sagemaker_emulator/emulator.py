"""The emulator: the object that a test starts and stops."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, ClassVar, Self

from byohpo_sagemaker_emulator.access import Access
from byohpo_sagemaker_emulator.aws import Moto, Storage
from byohpo_sagemaker_emulator.book import Book
from byohpo_sagemaker_emulator.calls import REGION, Call, Incoming
from byohpo_sagemaker_emulator.clock import Clock, RealClock
from byohpo_sagemaker_emulator.containers import Containers
from byohpo_sagemaker_emulator.faults import Faults
from byohpo_sagemaker_emulator.gateway import Gateway
from byohpo_sagemaker_emulator.iam import check_permission
from byohpo_sagemaker_emulator.job import JobView
from byohpo_sagemaker_emulator.keys import Key, Keyring
from byohpo_sagemaker_emulator.limits import Rates
from byohpo_sagemaker_emulator.server import HOST, Server
from byohpo_sagemaker_emulator.service import Quota, Runner, TrainingJobs
from byohpo_sagemaker_emulator.simulation import Function, Simulations

_SESSION_LOCK = Lock()
"""A boto3 session may create only one client at a time; the clients themselves are thread-safe."""


@cache
def _session() -> Any:
    """One session for all emulators, because reading a service's model takes half a second."""
    import boto3

    return boto3.session.Session(region_name=REGION)


class Emulator:
    """Serve SageMaker, S3, CloudWatch Logs, STS and IAM on the loopback address while the `with` block runs.

    Calls must be signed with its keys, which are in `environment`: it draws new ones, or takes those in *keys*, of the
    form `ID:SECRET`. Whoever has the keys can run commands here.

    A process can run one emulator at a time; entering a second one raises RuntimeError.

    Without *job*, training jobs run as processes, in a new folder in *folder* (default: a temporary one). With *job*,
    a function from a CreateTrainingJob request to a `SimulatedJob`, they are simulated, and *clock* may be a
    `VirtualClock`.

    *port* 0 takes a free port. *calls_per_second* limits the rate of each operation (`*`: all others). *quota* limits
    the instances in use: one number for every instance type, or a number by type. A job that is stopped gets SIGTERM,
    and SIGKILL after *stop_grace_seconds*.
    """

    _running: ClassVar[Lock] = Lock()

    def __init__(
        self,
        port: int = 0,
        *,
        keys: str | None = None,
        faults: Faults | None = None,
        clock: Clock | None = None,
        job: Function | None = None,
        folder: str | Path | None = None,
        calls_per_second: Mapping[str, float] | None = None,
        quota: Quota = None,
        stop_grace_seconds: float = 120.0,
    ) -> None:
        if job is None and clock is not None and not isinstance(clock, RealClock):
            raise ValueError(
                "jobs that run as processes need the real clock: leave out clock=, or simulate jobs with job="
            )
        self.clock: Clock = clock or RealClock()
        self.calls: list[Call] = []
        self.key = Key.draw() if keys is None else Key.parse(keys)
        self._keyring = Keyring(self.key)
        self._port = port
        self._function = job
        self._folder = folder
        self._rates = Rates(calls_per_second or {})
        self._quota = quota
        self._grace = stop_grace_seconds
        self._book = Book(self.clock, faults or Faults())

    def __enter__(self) -> Self:
        if not self._running.acquire(blocking=False):
            raise RuntimeError("another Emulator is running in this process: close it before you start this one")
        try:
            self._open()
        except BaseException:
            self._running.release()
            raise
        return self

    def _open(self) -> None:
        self._moto = Moto()
        storage = Storage(self._moto)
        self._runner = self._make_runner(storage)
        self._training_jobs = TrainingJobs(self._book, self._runner, storage, self._quota)
        access = Access(self._keyring, lambda: " ".join(["export", *self.assignments]))
        gateway = Gateway(
            self._book,
            self._training_jobs,
            self._moto,
            self._rates,
            self._keyring,
            access,
            check_permission=lambda call: self._check_permission(call),  # noqa: PLW0108 - tests replace the method
            record=self._record,
        )
        try:
            self._server = Server(self._port, gateway.handle, access.most_bytes)
        except BaseException:
            self._runner.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._server.close()
            self._runner.close()
            self._moto.reset()
        finally:
            self._running.release()

    def _make_runner(self, storage: Storage) -> Runner:
        if self._function is None:
            folder = None if self._folder is None else Path(self._folder).resolve()
            return Containers(self._book, storage, folder, self._grace, self._lend_account)
        return Simulations(self._book, self._function)

    @property
    def url(self) -> str:
        """The endpoint of all services."""
        return f"http://{HOST}:{self._server.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that send boto3, the SageMaker SDKs and the AWS CLI to this emulator, its keys among them."""
        return self._variables(self.key)

    @property
    def assignments(self) -> list[str]:
        """The same variables as a shell takes them: `NAME=value`."""
        return [f"{name}={shlex.quote(value) if value else ''}" for name, value in self.environment.items()]

    def client(self, service: str, **options: Any) -> Any:
        """Create a boto3 client that calls this emulator. *options* go to boto3's `Session.client`."""
        from botocore.config import Config

        keys = {"aws_access_key_id": self.key.id, "aws_secret_access_key": self.key.secret}
        if service == "s3":  # boto3 would still sign URLs with version 2
            options["config"] = Config(signature_version="s3v4").merge(options.get("config") or Config())
        with _SESSION_LOCK:
            return _session().client(service, **{"endpoint_url": self.url, **keys, **options})

    @property
    def faults(self) -> Faults:
        """The plan of faults, for calls and for jobs."""
        return self._book.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._book.faults = faults

    @property
    def quota(self) -> Quota:
        """Instances that jobs may use at once: a number for each type, or one by type; None for no limit."""
        return self._quota

    @quota.setter
    def quota(self, quota: Quota) -> None:
        self._quota = quota
        self._training_jobs.quota = quota

    @property
    def calls_per_second(self) -> Mapping[str, float]:
        """Allowed calls per second by operation; `*` is for all operations without their own entry."""
        return self._rates.calls_per_second

    @calls_per_second.setter
    def calls_per_second(self, rates: Mapping[str, float]) -> None:
        self._rates.change(rates)

    @property
    def jobs(self) -> dict[str, JobView]:
        """Every job by name, as it is now."""
        with self._book.lock:
            self._book.settle()
            return {name: JobView.of(job) for name, job in self._book.jobs.items()}

    @property
    def peak_instances(self) -> int:
        """The largest number of instances that were in use at the same time."""
        return self._book.instances.peak

    def _variables(self, key: Key) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": key.id,
            "AWS_SECRET_ACCESS_KEY": key.secret,
            # Empty for keys without a token, so that a token of other keys in the environment is not sent.
            "AWS_SESSION_TOKEN": key.token or "",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @contextmanager
    def _lend_account(self) -> Iterator[dict[str, str]]:
        """The environment variables for one job. Its keys are valid while the `with` block runs."""
        with self._keyring.lend() as key:
            yield self._variables(key)

    def _record(self, call: Call) -> None:
        self.calls.append(call)

    def _check_permission(self, call: Incoming) -> None:
        check_permission(call, self.faults.denied)
