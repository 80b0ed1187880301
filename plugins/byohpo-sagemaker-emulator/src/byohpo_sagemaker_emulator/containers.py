"""Run training jobs as local processes, one process per job, each in its own folders.

Three forms of request can run: script mode of SDK v2 (this package does the work of the training toolkit), the
requests of SDK v3 (which send their own driver in a channel), and any ContainerEntrypoint. Where the system has mount
namespaces, each process has its own /opt/ml. Elsewhere the variable SAGEMAKER_BASE_DIR holds the path of the folder,
and the paths in SDK v3's driver are changed to it.
"""

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from byohpo_core.metrics import MetricScanner, TooSlow, spans
from byohpo_sagemaker_emulator.aws import Storage
from byohpo_sagemaker_emulator.book import Book
from byohpo_sagemaker_emulator.command import command_of, variables_of
from byohpo_sagemaker_emulator.errors import JobError
from byohpo_sagemaker_emulator.folders import Folders
from byohpo_sagemaker_emulator.job import REASON_LENGTH, Job, Metric
from byohpo_sagemaker_emulator.mounts import mounted
from byohpo_sagemaker_emulator.places import delete_jobs_folder, make_folder, make_jobs_folder, make_private
from byohpo_sagemaker_emulator.process import Process
from byohpo_sagemaker_emulator.requests import longest_runtime, metric_patterns, model_artifacts


class Containers:
    """Run each job in its own thread and its own process.

    *grace_seconds* is the time between SIGTERM and SIGKILL. *account* lends the variables that send AWS clients to the
    emulator, with keys that are valid until they are given back.
    """

    def __init__(
        self,
        book: Book,
        storage: Storage,
        folder: Path | None,
        grace_seconds: float,
        account: Callable[[], AbstractContextManager[Mapping[str, str]]],
    ) -> None:
        self.book = book
        self.storage = storage
        self.grace_seconds = grace_seconds
        self.account = account
        self.closing = Event()
        self.folder = make_jobs_folder(folder)
        """The parent of all jobs' folders, which is kept if it is in a folder that was given."""
        self._temporary = folder is None
        self._runs: dict[str, tuple[_Run, Thread]] = {}

    def start(self, job: Job) -> None:
        run = _Run(self, job, self.folder / job.name)
        thread = Thread(target=run.run, name=job.name, daemon=True)
        self._runs = {name: pair for name, pair in self._runs.items() if pair[1].is_alive()}
        self._runs[job.name] = run, thread
        thread.start()

    def stop(self, job: Job) -> None:
        self._runs[job.name][0].stopping.set()

    def close(self) -> None:
        """Kill all processes, and delete the temporary folder."""
        self.closing.set()
        for run, thread in list(self._runs.values()):
            run.stopping.set()
            thread.join()
        if self._temporary:
            delete_jobs_folder(self.folder)


class _Run:
    """One job, from Starting to its end."""

    def __init__(self, containers: Containers, job: Job, folder: Path) -> None:
        self.stopping = Event()
        self.all = containers
        self.book = containers.book
        self.job = job
        self._folder = folder
        self._patterns = metric_patterns(job.request)
        self._scanner = MetricScanner(self._patterns, job.name)
        self._times: dict[str, float] = {}

    def run(self) -> None:
        """Run the job to its end. An exception here is not the fault of the job's code, and makes the job fail."""
        try:
            self._live()
        except JobError as error:
            self._end("Failed", reason=str(error))
        except Exception as error:  # noqa: BLE001 - the job must end
            self._end("Failed", reason=f"InternalServerError: {type(error).__name__}: {error}")

    def _live(self) -> None:
        job, faults = self.job, self.job.faults
        if "slow_start" in faults:
            self.stopping.wait(self.book.faults.seconds["slow_start"])
        if "capacity" in faults and not self.stopping.is_set():
            raise JobError("CapacityError: Unable to provision requested ML compute capacity. Please retry later.")
        shutil.rmtree(self._folder, ignore_errors=True)  # of a job with this name that was deleted
        make_folder(self._folder)
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
        """Log a line that the container has printed, and read metrics from it."""
        text = line.decode("utf-8", errors="replace").rstrip("\r\n")
        if "nan" in self.job.faults:
            text = self._without_numbers(text)
        found = self._scanner.feed(f"{text}\n".encode())  # may take a second
        with self.book.lock:
            now = self.now()
            self.book.log(self.job, stream, now, text)
            self._times |= dict.fromkeys(found, now)

    def _without_numbers(self, text: str) -> str:
        """The line with `nan` in the place of each metric."""
        for pattern in self._patterns.values():
            with suppress(TooSlow):
                for start, end in reversed(spans(pattern, text)):
                    text = f"{text[:start]}nan{text[end:]}" if start >= 0 else text
        return text

    def _end_stopped(self, container: "_Container") -> None:
        if "slow_stop" in self.job.faults:
            self.all.closing.wait(self.book.faults.seconds["slow_stop"])
        self._end("Stopped", model=model_artifacts(self.job.request) if container.code is not None else "")

    def _end(self, status: str, **told: Any) -> None:
        metrics = tuple(Metric(name, value, self._times[name]) for name, value in self._scanner.final.items())
        with self.book.lock:
            self.book.end(self.job, status, self.now(), metrics=metrics, **told)


class _Container:
    """One container of a job: its folders and its process."""

    def __init__(self, run: _Run, folder: Path) -> None:
        self.code: int | None = None
        """The exit code; None until the process has ended."""
        self._run = run
        self._job = run.job
        self._folder = folder
        self._folders = Folders(run.job, run.all.storage, folder)
        self._command: list[str] = []
        self._last_line = ""

    def run(self, *, again: bool = False, interrupt: bool = False) -> str:
        """Run the container to its end. Return `ended`, `stopped`, `too long` or `interrupted`."""
        run, everywhere, folders = self._run, self._run.all, self._folders
        self._move("Downloading", "Downloading input data")
        folders.fill()
        self._command, own = command_of(self._job, folders)
        make_private(self._folder)
        with run.book.lock:
            if run.stopping.is_set():
                return "stopped"
            began = run.now()
            run.book.train(self._job, began, again=again)
            stream = f"{self._job.name}/algo-1-{int(began)}"
            run.book.logs.open(stream)
        with everywhere.account() as account:
            process = self._start(variables_of(self._job, folders, account, own), stream)
            ending = process.watch(
                lambda seconds: self._why_end(seconds, interrupt=interrupt),
                folders.save_checkpoints,
                everywhere.closing,
                everywhere.grace_seconds,
            )
        self.code, self._last_line = process.code, process.last_line
        if not everywhere.closing.is_set():
            self._leave(ending)
        return ending

    def failure(self) -> str:
        """The FailureReason of a failed script, in the wording of the service."""
        told = self._folders.failure()
        if told is None and "sagemaker_program" in self._folders.wire:
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

    def _start(self, variables: Mapping[str, str], stream: str) -> Process:
        folders, where = self._folders, self._folders.working_folder

        def hear(line: bytes) -> None:
            self._run.hear(stream, line)

        if folders.mount is None:
            return Process(self._command, where, variables, hear)
        return Process(mounted(folders.mount, folders.layout.base, where, self._command), None, variables, hear)

    def _why_end(self, seconds: float, *, interrupt: bool) -> str | None:
        if self._run.stopping.is_set():
            return "stopped"
        if seconds > longest_runtime(self._job.request):
            return "too long"
        # Interrupt at the first checkpoint, or after the planned seconds if there is none.
        if interrupt and (seconds > self._run.book.faults.seconds["spot"] or self._folders.has_checkpoint):
            return "interrupted"
        return None

    def _leave(self, ending: str) -> None:
        """Copy checkpoints, model and output to S3."""
        self._folders.save_checkpoints()
        if ending == "interrupted":
            return
        self._move("Uploading", "Uploading generated training model")
        self._folders.upload(with_model=self.code == 0 or ending != "ended")
