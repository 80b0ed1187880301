"""Training jobs that really run: one process per job, in what it takes for its training container.

Three forms of request can be run: script mode as SDK v2 sends it (the training toolkit's part is played here), SDK
v3's (whose driver comes along in a channel), and any ContainerEntrypoint. A container has /opt/ml to itself where the
system has mount namespaces; elsewhere SAGEMAKER_BASE_DIR says where it is, and SDK v3's driver is told so.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from threading import Event, Thread
from typing import Any

from byohpo_core.container import Layout, MetricScanner, arguments, environment, off_the_wire, resource_configuration
from byohpo_sagemaker_emulator.artifacts import (
    Checkpoints,
    JobError,
    download_channel,
    relocate,
    unpack_source,
    upload_model,
    upload_output,
)
from byohpo_sagemaker_emulator.aws import Storage
from byohpo_sagemaker_emulator.book import Book
from byohpo_sagemaker_emulator.job import REASON_LENGTH, Job, Metric
from byohpo_sagemaker_emulator.requests import instances, longest_runtime, metric_patterns, model_artifacts

OPT_ML = Path("/opt/ml")
_LOOK_SECONDS = 0.05
_SAVE_SECONDS = 0.5
_CPUS = os.cpu_count() or 1
_DRIVERS = "sm_drivers"
_UNSHARE: tuple[tuple[str, ...], ...] = (("unshare", "--mount"), ("unshare", "--mount", "--map-root-user"))
_ENTER = 'mount --bind "$0" /opt/ml && cd "$1" && shift && exec "$@"'
"""Run in a namespace of its own: folder, working directory, command."""


@cache
def mount_command() -> tuple[str, ...] | None:
    """What runs a command with a folder at /opt/ml, or None where the system cannot."""
    try:
        OPT_ML.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    for unshare in _UNSHARE:
        command = [*unshare, "sh", "-c", _ENTER, tempfile.gettempdir(), "/", "true"]
        try:
            tried = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - a fixed command
        except OSError:
            return None
        if tried.returncode == 0:
            return unshare
    return None


class Containers:
    """Runs each job in a thread and a process of its own."""

    def __init__(
        self,
        book: Book,
        storage: Storage,
        folder: Path | None,
        grace_seconds: float,
        variables: Callable[[], Mapping[str, str]],
    ) -> None:
        self.book = book
        self.storage = storage
        self.grace_seconds = grace_seconds
        self.variables = variables
        self.closing = Event()
        self._given = folder
        self._made: Path | None = None
        self._runs: dict[str, tuple[_Run, Thread]] = {}

    @property
    def folder(self) -> Path:
        """Below which each job has its folder: the one given, or a temporary one."""
        if self._given is not None:
            return self._given
        if self._made is None:
            self._made = Path(tempfile.mkdtemp(prefix="byohpo-emulator-"))
        return self._made

    def start(self, job: Job) -> None:
        run = _Run(self, job, self.folder / job.name)
        thread = Thread(target=run.run, name=job.name, daemon=True)
        self._runs = {name: pair for name, pair in self._runs.items() if pair[1].is_alive()}
        self._runs[job.name] = run, thread
        thread.start()

    def stop(self, job: Job, now: float) -> None:  # noqa: ARG002 - these stop in their own time
        self._runs[job.name][0].stopping.set()

    def close(self) -> None:
        """Kill what runs."""
        self.closing.set()
        for run, thread in list(self._runs.values()):
            run.stopping.set()
            thread.join()
        if self._made is not None:
            shutil.rmtree(self._made, ignore_errors=True)


class _Run:
    """One job from Starting to its end."""

    def __init__(self, containers: Containers, job: Job, folder: Path) -> None:
        self.stopping = Event()
        self.all = containers
        self.book = containers.book
        self.job = job
        self._folder = folder
        self._patterns = metric_patterns(job.request)
        self._scanner = MetricScanner(self._patterns)
        self._times: dict[str, float] = {}

    def run(self) -> None:
        """Take the job through its life; whatever goes wrong here is not its code's fault."""
        try:
            self._live()
        except JobError as error:
            self._end("Failed", reason=str(error))
        except Exception as error:  # noqa: BLE001 - the job must have an end
            self._end("Failed", reason=f"InternalServerError: {type(error).__name__}: {error}")

    def _live(self) -> None:
        job, faults = self.job, self.job.faults
        if "slow_start" in faults:
            self.stopping.wait(self.book.faults.seconds["slow_start"])
        if "capacity" in faults and not self.stopping.is_set():
            raise JobError("CapacityError: Unable to provision requested ML compute capacity. Please retry later.")
        shutil.rmtree(self._folder, ignore_errors=True)
        interrupt = job.spot and "spot" in faults
        container = _Container(self, self._folder / "0")
        ending = container.run(interrupt=interrupt)
        if ending == "interrupted":
            with self.book.lock:
                self.book.interrupt(job, self.now())
            container = _Container(self, self._folder / "1")
            ending = container.run(again=True)
        if self.all.closing.is_set():
            return
        if ending == "stopped":
            self._end_stopped(container)
        elif "internal" in faults:
            raise JobError("InternalServerError: We encountered an internal error. Please try again.")
        elif ending == "too long":
            self._end("Stopped", secondary="MaxRuntimeExceeded", model=model_artifacts(job.request))
        elif container.code:
            self._end("Failed", reason=container.failure())
        else:
            self._end("Completed", model=model_artifacts(job.request))

    def now(self) -> float:
        return self.book.clock.now()

    def hear(self, stream: str, line: bytes) -> None:
        """Take one line that the container printed."""
        text = line.decode("utf-8", errors="replace").rstrip("\r\n")
        if "nan" in self.job.faults:
            for pattern in self._patterns.values():
                text = pattern.sub(lambda match: match[0].replace(match[1], "nan"), text)
        with self.book.lock:
            now = self.now()
            self.book.log(self.job, stream, now, text)
            for name in self._scanner.feed(f"{text}\n".encode()):
                self._times[name] = now

    def _end_stopped(self, container: "_Container") -> None:
        if "slow_stop" in self.job.faults:
            self.all.closing.wait(self.book.faults.seconds["slow_stop"])
        self._end("Stopped", model=model_artifacts(self.job.request) if container.code is not None else "")

    def _end(self, status: str, **told: Any) -> None:
        metrics = tuple(Metric(name, value, self._times[name]) for name, value in self._scanner.final.items())
        with self.book.lock:
            self.book.end(self.job, status, self.now(), metrics=metrics, **told)


class _Container:
    """One process in its folders."""

    def __init__(self, run: _Run, folder: Path) -> None:
        self.code: int | None = None
        """The exit code, once it has run."""
        self._run = run
        self._all = run.all
        self._job = run.job
        self._request = run.job.request
        self._mount = mount_command()
        self._layout = Layout(folder / "ml")
        self._inside = Layout(OPT_ML) if self._mount else self._layout
        self._resources = resource_configuration(instances(self._request)[0][0], "eth0")
        self._wire: Mapping[str, str] = self._request.get("HyperParameters") or {}
        self._channels = [channel["ChannelName"] for channel in self._request.get("InputDataConfig") or ()]
        self._checkpoints: Checkpoints | None = None
        self._command: list[str] = []
        self._last_line = ""

    def run(self, *, again: bool = False, interrupt: bool = False) -> str:
        """Run it to its end, and tell which: ended, stopped, too long or interrupted."""
        run = self._run
        self._move("Downloading", "Downloading input data")
        self._fill()
        self._command, variables = self._order()
        with run.book.lock:
            if run.stopping.is_set():
                return "stopped"
            began = run.now()
            run.book.train(self._job, began, again=again)
            stream = f"{self._job.name}/algo-1-{int(began)}"
            run.book.logs.open(stream)
        process = self._start(variables)
        reader = Thread(target=self._read, args=(process, stream), daemon=True)
        reader.start()
        ending = self._watch(process, interrupt=interrupt)
        reader.join()
        if process.stdout is not None:
            process.stdout.close()
        # As a shell tells of a signal.
        self.code = process.returncode if process.returncode >= 0 else 128 - process.returncode
        if not self._all.closing.is_set():
            self._leave(ending)
        return ending

    def failure(self) -> str:
        """Why its code failed, as the service words it."""
        told = self._layout.failure()
        if told is None and "sagemaker_program" in self._wire:
            command = " ".join(self._command)
            told = (
                f'ExecuteUserScriptError:\nExitCode {self.code}\nErrorMessage "{self._last_line}"\nCommand "{command}"'
            )
        ending = f", exit code: {self.code}"
        return f"AlgorithmError: {told or ''}"[: REASON_LENGTH - len(ending)] + ending

    def _move(self, secondary: str, message: str) -> None:
        with self._run.book.lock:
            if self._job.state.status == "InProgress":
                self._run.book.move(self._job, secondary, self._run.now(), message)

    def _fill(self) -> None:
        """Make the folders, and fill them from S3."""
        storage, layout = self._all.storage, self._layout
        layout.prepare(self._wire, self._channels, self._resources)
        for channel in self._request.get("InputDataConfig") or ():
            download_channel(storage, channel, layout.data / channel["ChannelName"])
        if not self._mount and (layout.data / _DRIVERS).is_dir():
            relocate(layout.data / _DRIVERS, str(OPT_ML), str(layout.base))
        if checkpoints := self._request.get("CheckpointConfig"):
            path = Path(checkpoints.get("LocalPath", OPT_ML / "checkpoints"))
            if not path.is_relative_to(OPT_ML):
                raise JobError(f"ClientError: the emulator keeps checkpoints only below {OPT_ML}, not in {path}")
            self._checkpoints = Checkpoints(storage, checkpoints["S3Uri"], layout.base / path.relative_to(OPT_ML))

    def _order(self) -> tuple[list[str], dict[str, str]]:
        """The command, and its part of the environment."""
        specification = self._request.get("AlgorithmSpecification") or {}
        if entrypoint := specification.get("ContainerEntrypoint"):
            words = [*entrypoint, *(specification.get("ContainerArguments") or ())]
            if self._mount:
                return words, {}
            return [word.replace(str(OPT_ML), str(self._layout.base)) for word in words], {}
        hyperparameters = off_the_wire(self._wire)
        script = hyperparameters.get("sagemaker_program")
        if script is None:
            image = specification.get("TrainingImage") or specification.get("AlgorithmName")
            raise JobError(
                f"ClientError: the emulator does not have the image {image}, and the request brings no code of its own"
                " (sagemaker_program, or a ContainerEntrypoint): give Emulator a function, job=, that simulates it"
            )
        unpack_source(self._all.storage, str(hyperparameters.get("sagemaker_submit_directory")), self._layout.code)
        variables = environment(
            self._inside, self._job.name, str(script), hyperparameters, self._channels, _CPUS, self._resources
        )
        return [*_interpreter(str(script)), *arguments(hyperparameters)], variables

    def _start(self, variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        where = self._inside.code if self._layout.code.is_dir() else self._inside.base
        enter = [*self._mount, "sh", "-c", _ENTER, str(self._layout.base), str(where)] if self._mount else []
        everything = {
            **os.environ,
            # The Python that runs the emulator is the one that a container finds.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            **self._all.variables(),
            "PYTHONUNBUFFERED": "1",
            "TRAINING_JOB_NAME": self._job.name,
            "TRAINING_JOB_ARN": self._job.arn,
            "SAGEMAKER_BASE_DIR": str(self._inside.base),
            **variables,
            **(self._request.get("Environment") or {}),
        }
        try:
            return subprocess.Popen(  # noqa: S603 - the user's own code, no shell but what the request asks for
                [*enter, *self._command],
                cwd=None if enter else where,
                env=everything,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise JobError(f"ClientError: the container's command cannot be run: {error}") from error

    def _read(self, process: "subprocess.Popen[bytes]", stream: str) -> None:
        for line in process.stdout or ():
            self._last_line = line.decode("utf-8", errors="replace").strip() or self._last_line
            self._run.hear(stream, line)

    def _watch(self, process: "subprocess.Popen[bytes]", *, interrupt: bool) -> str:
        """Wait for the end, or bring it about: SIGTERM, and after the grace SIGKILL."""
        began = saved = time.monotonic()
        ending, deadline = "ended", float("inf")
        while True:
            try:
                process.wait(_LOOK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                now = time.monotonic()
            if self._all.closing.is_set() or now > deadline:
                _signal_group(process.pid, signal.SIGKILL)
            elif ending == "ended" and (why := self._why_end(now - began, interrupt=interrupt)):
                ending, deadline = why, now + self._all.grace_seconds
                _signal_group(process.pid, signal.SIGTERM)
            if self._checkpoints and now - saved > _SAVE_SECONDS:
                self._checkpoints.save()
                saved = now
        _signal_group(process.pid, signal.SIGKILL)  # a container's end is the end of all that it started
        return ending

    def _why_end(self, seconds: float, *, interrupt: bool) -> str | None:
        if self._run.stopping.is_set():
            return "stopped"
        if seconds > longest_runtime(self._request):
            return "too long"
        # A checkpoint is what makes an interruption worth a look, so one is not awaited any longer.
        if interrupt and (seconds > self._run.book.faults.seconds["spot"] or any(self._layout.checkpoints.iterdir())):
            return "interrupted"
        return None

    def _leave(self, ending: str) -> None:
        """Put into S3 what is to outlive the container."""
        if self._checkpoints:
            self._checkpoints.save()
        if ending == "interrupted":
            return
        self._move("Uploading", "Uploading generated training model")
        if self.code == 0 or ending != "ended":
            upload_model(self._all.storage, self._request, self._layout.model)
        upload_output(self._all.storage, self._request, self._layout.output / "data")


def _interpreter(script: str) -> list[str]:
    """What runs a script, as the training toolkit decides it."""
    if script.endswith(".py"):
        return [sys.executable, script]
    if script.endswith(".sh"):
        return ["/bin/sh", script]
    return [sys.executable, "-m", script]


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
