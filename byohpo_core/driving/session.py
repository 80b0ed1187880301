"""A session drives a study: it takes the lock, restores the estimator, builds the plugins and runs the driver."""

import random
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing

import attrs

from byohpo_core.backends.estimators import estimator_to_stop, reading, restore_estimator
from byohpo_core.backendspecs import Estimator
from byohpo_core.driving.driver import Driver
from byohpo_core.driving.manifest import Manifest
from byohpo_core.driving.next_step import next_step
from byohpo_core.driving.replay import replay
from byohpo_core.driving.stop_request import StopRequest, held_or_asked
from byohpo_core.driving.trust import check_trust, digest, is_trusted, trust
from byohpo_core.errors import InvalidInput, StudyBusy
from byohpo_core.extensions.progress import Progress
from byohpo_core.importable import on_path
from byohpo_core.journal.log import EventLog
from byohpo_core.logger import logger as _logger
from byohpo_core.plugins.finding import Loaded, PluginSpec, restore
from byohpo_core.plugins.hooks import StudyPlugins
from byohpo_core.plugins.options import build
from byohpo_core.secrets import Secrets
from byohpo_core.study.events import Event, EventKind
from byohpo_core.study.fold import Fold
from byohpo_core.study.study import Study

_NAMED_JOBS = 10


class Session:
    """One study while this process drives it.

    *estimator* is the user's estimator, if there is one. *loaded* holds the plugin classes that are known already.
    *publish* is handed the study as soon as it is driven or found to have ended.
    """

    def __init__(
        self,
        log: EventLog,
        estimator: Estimator | None,
        loaded: Mapping[str, Loaded],
        secrets: Secrets,
        stop_request: StopRequest,
        publish: Callable[[Study], None],
        *,
        progress: bool = True,
    ) -> None:
        self.log = log
        self._secrets = secrets
        self._stop_request = stop_request
        self._publish = publish
        self._estimator = estimator
        self._loaded = dict(loaded)
        self._progress = progress

    def begin(self, mirrored: EventLog, manifest: Manifest, estimator: Estimator) -> Study:
        """Drive a new study to its end. The caller holds its log, and gives the *mirrored* one."""
        return self._replay_and_drive(mirrored, manifest, estimator)

    def go_on(
        self,
        limits: Mapping[str, int],
        *,
        restart_algorithm: bool = False,
        take_over: bool = False,
        behind: bool = False,
    ) -> Study:
        """Resume a study, or return it as it is if it has ended. If it is *behind*, its mirror is known to have more.

        Changed *limits* and *restart_algorithm* begin a new epoch. Raises `StudyBusy` while there is another driver.
        """
        with self.log.hold(take_over=take_over):
            manifest = Manifest.of(self.log)
            if limits:
                _check_raised(limits, self.log.study())
            as_it_is = not (_changed(limits, manifest) or restart_algorithm)
            if as_it_is and not behind and self.log.has_ended():
                return self._ended()
            self.check_trust(manifest)
            self._secrets.expect(manifest.backend, manifest.problem.space.static)
            with reading(self.log.id):
                estimator = restore_estimator(manifest.backend, self._estimator).hide(self._secrets)
            log, leveled = self._leveled(estimator, manifest)
            if leveled is not manifest:  # the mirror had a newer epoch, perhaps
                manifest = leveled
                self.check_trust(manifest)
                as_it_is = not (_changed(limits, manifest) or restart_algorithm)
            if as_it_is and log.has_ended():
                return self._ended()
            if self._stop_request.reason is not None:  # asked for meanwhile; that needs no plugin
                return self._drive(log, manifest, estimator, StudyPlugins([], []), log.study())
            self._secrets.check_used()
            self._secrets.check_known()
            if as_it_is:
                return self._replay_and_drive(log, manifest, estimator)
            return self._drive_new_epoch(log, manifest, estimator, _changed(limits, manifest))

    def check_trust(self, manifest: Manifest) -> None:
        """Raise `Untrusted` if the study would run what its user has neither given nor agreed to."""
        with reading(self.log.id):
            check_trust(self.log, manifest, self._estimator, self._loaded, self._secrets.given)

    def end(self, *, take_over: bool = False, behind: bool = False) -> bool:
        """Stop all jobs and end the study, without its plugins. Return False if another driver was asked to do it."""
        with ExitStack() as stack:
            if not held_or_asked(stack, self.log, take_over=take_over):
                return False
            self._stop_request.make()
            manifest = Manifest.of(self.log)
            if not behind and self.log.has_ended():
                self._ended()
                return True
            self._secrets.expect(manifest.backend, manifest.problem.space.static)
            with reading(self.log.id):
                estimator = estimator_to_stop(manifest.backend, self._estimator).hide(self._secrets)
            log, manifest = self._leveled(estimator, manifest)
            if log.has_ended():
                self._ended()
            else:
                self._drive(log, manifest, estimator, StudyPlugins([], []), log.study())
        return True

    def _ended(self) -> Study:
        """The study as it ended."""
        study = self.log.study()
        self._publish(study)
        return study

    def _leveled(self, estimator: Estimator, manifest: Manifest) -> tuple[EventLog, Manifest]:
        """The log that the driver writes to, and the manifest. A mirror may have newer events than the journal."""
        before = self.log.last()
        with reading(self.log.id):
            log = estimator.mirrored(self.log)
        return log, manifest if log.last() == before else Manifest.of(log)

    def _replay_and_drive(self, log: EventLog, manifest: Manifest, estimator: Estimator) -> Study:
        """Replay the journal, then drive the study."""
        with on_path(_folder(estimator)), closing(self._build(manifest)) as plugins:
            return self._drive(log, manifest, estimator, plugins, replay(log, manifest, plugins))

    def _drive_new_epoch(
        self, log: EventLog, manifest: Manifest, estimator: Estimator, limits: Mapping[str, int]
    ) -> Study:
        """Drive the study with fresh plugins, for which all results so far are prior ones."""
        study = log.study()
        _check_raised(limits, study)
        problem = attrs.evolve(
            manifest.problem,
            # Another seed: with the old one the algorithm would first propose again what is known.
            seed=random.Random(f"{manifest.problem.seed}-{study.sequence}").getrandbits(32),  # noqa: S311
            max_jobs=limits.get("max_jobs", manifest.problem.max_jobs),
            max_parallel_jobs=limits.get("max_parallel_jobs", manifest.problem.max_parallel_jobs),
        )
        specs = tuple(self._class_of(spec).spec(spec.options) for spec in manifest.plugins)
        trusted = is_trusted(log.id, digest(log.id, manifest))
        manifest = attrs.evolve(manifest, problem=problem, plugins=specs)
        if trusted:  # and the user has given what is new
            trust(log.id, digest(log.id, manifest))
        with on_path(_folder(estimator)), closing(self._build(manifest)) as plugins:
            kind, body = manifest.epoch()
            event = Event(study.sequence, kind, study.now, body)
            study.apply(event)
            return self._drive(log, manifest, estimator, plugins, study, [event])

    def _drive(
        self,
        log: EventLog,
        manifest: Manifest,
        estimator: Estimator,
        plugins: StudyPlugins,
        study: Fold,
        unwritten: Sequence[Event] = (),
    ) -> Study:
        with ExitStack() as stack:
            with reading(log.id):
                backend = estimator.connect(study, manifest.settings)
            stack.callback(backend.close)
            backend.reveal = self._secrets.reveal
            self._publish(study)
            if self._progress:
                plugins.listen("progress", stack.enter_context(Progress(note=manifest.chosen)))
            if backend.jobs_survive:
                stack.push(lambda _, error, __: _tell_running(study, log, manifest, error))
            if log.last(EventKind.Opened) < 0:  # reporters have not seen the imported results
                plugins.happened(study, [*log.read()])
            way_on = next_step("resume", log, manifest)
            Driver(study, log, plugins, backend, manifest.policy, self._stop_requested, way_on, unwritten).run()
            return study

    def _stop_requested(self) -> str | None:
        if self.log.stop_requested() and self._stop_request.reason is None:
            self._stop_request.reason = f"stopped by `{shlex.join(['byohpo', 'stop', self.log.name])}`"
        return self._stop_request.read()

    def _build(self, manifest: Manifest) -> StudyPlugins:
        return build_plugins(manifest, [self._class_of(spec) for spec in manifest.plugins])

    def _class_of(self, spec: PluginSpec) -> Loaded:
        if spec.name not in self._loaded:
            self._loaded[spec.name] = restore(spec)
        return self._loaded[spec.name]


def build_plugins(manifest: Manifest, classes: Sequence[Loaded]) -> StudyPlugins:
    """Build the plugins of a manifest from their classes. A wrong option fails here, before any job starts."""
    pairs = [*zip(classes, manifest.plugins, strict=True)]
    specs = [loaded.spec(spec.options) for loaded, spec in pairs]
    return StudyPlugins(specs, [build(loaded, manifest.problem, spec.options) for loaded, spec in pairs])


def mirrored_or_forgotten(estimator: Estimator, log: EventLog, forget: Callable[[EventLog], None]) -> EventLog:
    """The log that a new study's driver writes to. On failure, remove the study, so that its name is free again."""
    try:
        return estimator.mirrored(log)
    except BaseException:
        forget(log)
        raise


def _folder(estimator: Estimator) -> str | None:
    """The folder from which the function that is tuned may import more, now or later."""
    return estimator.describe().get("folder") if estimator.functions else None


def _changed(limits: Mapping[str, int], manifest: Manifest) -> dict[str, int]:
    """The limits that differ from the study's."""
    return {name: value for name, value in limits.items() if value != getattr(manifest.problem, name)}


def _check_raised(limits: Mapping[str, int], study: Study) -> None:
    if limits.get("max_jobs", study.jobs) < study.jobs:
        raise InvalidInput(
            f"max_jobs is {limits['max_jobs']}, and study {study.name!r} has had {study.jobs} jobs: "
            "it can only be raised"
        )


def _tell_running(study: Study, log: EventLog, manifest: Manifest, error: BaseException | None) -> None:
    """Warn of the jobs that keep running when the driver leaves, unless another driver has taken over."""
    names = [str(trial.job_name) for trial in study.running]
    if names and not isinstance(error, StudyBusy):
        shown = ", ".join(names[:_NAMED_JOBS]) + (", ..." if len(names) > _NAMED_JOBS else "")
        _logger.warning(
            "jobs may still be running: %s (%d in all). %s stops them, %s resumes the study.",
            *(shown, len(names), *(next_step(verb, log, manifest) for verb in ("stop", "resume"))),
        )
