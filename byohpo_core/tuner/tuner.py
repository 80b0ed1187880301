"""`Tuner`: what a user writes. It takes what SageMaker's `HyperparameterTuner` takes, in the same order."""

import logging
import os
import random
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

import attrs

from byohpo_core import validate
from byohpo_core.backends.estimators import as_estimator, fetch_study, restore_estimator
from byohpo_core.backendspecs import Estimator, JobSettings
from byohpo_core.driving.detached import check_detachable, drive_detached
from byohpo_core.driving.driver import Driver
from byohpo_core.driving.manifest import Manifest
from byohpo_core.driving.next_step import what_to_type
from byohpo_core.driving.policy import Policy
from byohpo_core.driving.replay import manifest_of, replay
from byohpo_core.driving.warm_start import check_parents, imported
from byohpo_core.errors import InvalidInput, StudyBusy, StudyLocked, UnknownStudy
from byohpo_core.extensions.progress import Progress
from byohpo_core.journal import open_journal
from byohpo_core.journal.log import EventLog
from byohpo_core.plugins.finding import ALGORITHMS, EXTENSIONS, Found, PluginFactory, PluginSpec, find, restore
from byohpo_core.plugins.hooks import StudyPlugins
from byohpo_core.plugins.options import build
from byohpo_core.results.analytics import Analytics
from byohpo_core.space.space import SearchSpace
from byohpo_core.study.events import Event, EventKind
from byohpo_core.study.fold import Fold
from byohpo_core.study.naming import check_study_name
from byohpo_core.study.problem import Direction, Objective, Problem
from byohpo_core.study.study import Study
from byohpo_core.tuner.drop_in import drop_in

_logger = logging.getLogger("byohpo")
_TO_BE_CHOSEN: Any = object()
_NAMED_JOBS = 10
_STOPPED = "stopped by stop_tuning_job"
_Extension = str | PluginFactory | tuple[str | PluginFactory, Mapping[str, Any]]


class Tuner:
    """Searches for good hyperparameters of a training job with an algorithm of the user's choice.

    *estimator* is a Python function, a `TrainingScript` (or a script's path), a `Simulated` job, or what SageMaker is
    to run: an SDK's Estimator, ModelTrainer or HyperparameterTuner, a CreateTrainingJob request, or a `TrainingJob`
    around an Estimator, a ModelTrainer or a request. *strategy* is the name of an installed algorithm or a class. All
    settings are checked here and in `fit`, before any job starts; a wrong one raises `InvalidInput`. *max_cost* limits
    what all jobs together may cost. With `order="strict"` results are observed in the order of their trials, not of
    their arrival: how long each job takes then changes nothing of the search, at the price of some idle slots. With
    `journal=":memory:"` nothing is kept; by default the journal is `BYOHPO_JOURNAL` or `byohpo.db` in the working
    folder.
    """

    study: Study | None
    """The study, once there is one."""
    _given: Any
    _estimator: Any
    _manifest: Manifest
    _found: dict[str, Found]
    _log: EventLog | None
    _work: "_Work | None"
    """What this tuner drives now."""
    _wants_curves: bool
    _attached: bool = False

    @drop_in
    def __init__(
        self,
        estimator: Any,
        objective_metric_name: str | Sequence[str],
        hyperparameter_ranges: Mapping[str, Any],
        metric_definitions: Sequence[Mapping[str, str]] | None = None,
        strategy: str | PluginFactory = _TO_BE_CHOSEN,
        objective_type: str | Sequence[str] = "Maximize",
        max_jobs: int = 1,
        max_parallel_jobs: int = 1,
        max_runtime_in_seconds: float | None = None,
        tags: Sequence[Mapping[str, str]] | None = None,
        base_tuning_job_name: str | None = None,
        *,
        early_stopping_type: str = "Off",
        random_seed: int | None = None,
        strategy_options: Mapping[str, Any] | None = None,
        initial_configurations: Sequence[Mapping[str, Any]] = (),
        extensions: Sequence[_Extension] = (),
        failure_limit: bool = True,
        duplicates: str = "reuse",
        max_attempts: int = 3,
        max_cost: float | None = None,
        order: str = "arrival",
        warm_start_from: Sequence[str] = (),
        journal: str | os.PathLike[str] | None = None,
        progress: bool = True,
    ) -> None:
        if strategy is _TO_BE_CHOSEN:
            raise InvalidInput(
                'strategy is missing: name an installed algorithm ("random", "pso", ...) or give a class'
            )
        self._begin(journal, as_estimator(estimator), progress=progress)
        self._base_name = check_study_name(base_tuning_job_name or self._estimator.name)
        problem = Problem(
            _space(hyperparameter_ranges, self._estimator),
            _objectives(objective_metric_name, objective_type),
            secrets.randbits(32) if random_seed is None else validate.whole("random_seed", random_seed, at_least=0),
            validate.whole("max_jobs", max_jobs),
            validate.whole("max_parallel_jobs", max_parallel_jobs),
        )
        plugins: list[tuple[Found, Mapping[str, Any]]] = [
            (find(strategy, ALGORITHMS), {} if strategy_options is None else strategy_options)
        ]
        if configurations := validate.items("initial_configurations", initial_configurations):
            first = {"configurations": [validate.mapping("an initial configuration", it) for it in configurations]}
            plugins.insert(0, (find("initial-configurations", EXTENSIONS), first))
        plugins += [_extension(extension) for extension in validate.items("extensions", extensions)]
        if validate.flag("failure_limit", failure_limit):
            plugins.append((find("failure-limit", EXTENSIONS), {}))
        if max_runtime_in_seconds is not None:
            plugins.append((find("wall-time", EXTENSIONS), {"seconds": max_runtime_in_seconds}))
        if validate.choice("early_stopping_type", early_stopping_type, ("Off", "Auto")) == "Auto":
            if not self._estimator.reports:
                raise InvalidInput(
                    'early_stopping_type="Auto" goes by what jobs report while they run, and a Python function reports '
                    "nothing before its end: leave it out, or give a TrainingScript"
                )
            plugins.append((find("median", EXTENSIONS), {}))
        self._found = {found.name: found for found, _ in plugins}
        if len(self._found) < len(plugins):
            names = [found.name for found, _ in plugins]
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidInput(f"the plugin {twice!r} is named twice (failure_limit=False leaves out the core's own)")
        self._manifest = Manifest(
            problem,
            tuple(found.spec(options) for found, options in plugins),
            {},
            JobSettings(
                self._journal.folder,
                _metrics(() if metric_definitions is None else metric_definitions, problem, self._estimator),
                tags=tuple(_pairs("tags", () if tags is None else tags, "Key", "Value")),
            ),
            Policy(
                validate.choice("duplicates", duplicates, ("reuse", "run")),
                validate.whole("max_attempts", max_attempts, at_least=1),
                None if max_cost is None else validate.amount("max_cost", max_cost),
                order=validate.choice("order", order, ("arrival", "strict")),
            ),
            check_parents(
                self._journal,
                [validate.text("warm_start_from", name) for name in validate.items("warm_start_from", warm_start_from)],
                problem,
            ),
        )
        with closing(self._build(self._manifest)) as built:
            self._wants_curves = built.prunes

    def fit(
        self,
        inputs: Any = None,
        job_name: str | None = None,
        include_cls_metadata: bool = False,
        *,
        wait: bool = True,
    ) -> Study:
        """Run a new study to its end.

        *inputs* maps channels to where their data lies, or is what the SDK's `fit` takes; *job_name* names the study
        in its journal (by default after the estimator). Raises `KeyboardInterrupt` if the user stops it; `resume` goes
        on. With *wait* False another process drives the study, and this returns at once. The other
        argument can only be False, as programs say to SageMaker's own tuner.
        """
        if include_cls_metadata:
            raise InvalidInput("include_cls_metadata is for jobs that SageMaker's own tuner starts; leave it out")
        validate.flag("wait", wait)
        if self._attached:
            raise InvalidInput("this tuner is attached to a study: resume() goes on; for a new study make a Tuner")
        with self._at_work() as work:
            manifest = self._prepared(inputs)
            if not wait:
                check_detachable(self._journal.path, self._estimator, self._found.values())
            known = imported(self._journal, manifest.warm_start_from)
            if job_name is None:
                log = self._journal.create_numbered(self._base_name, manifest.to_json(), known)
            else:
                log = self._journal.create(job_name, manifest.to_json(), known)
            if not wait:
                self._first_log(log)  # what is wrong with it is told here
                self._manifest = manifest
                self.study = study = log.study()
                output = drive_detached(log)
                _logger.warning("study %s is driven by another process, which writes to %s", log.name, output)
                return study
            with log.hold():
                return self._replay(work, manifest, self._first_log(log))

    def tune(self, inputs: Any = None, job_name: str | None = None, wait: bool = True) -> Study:
        """The same as `fit`, as the SDK's third version calls it."""
        return self.fit(inputs, job_name, wait=wait)

    @classmethod
    def attach(
        cls,
        name: str,
        *,
        journal: str | os.PathLike[str] | None = None,
        estimator: Any = None,
        strategy: str | PluginFactory | None = None,
        progress: bool = True,
    ) -> "Tuner":
        """A study that exists, by its name or id, even while another driver runs it. Nothing is created.

        *estimator* and *strategy* are needed to resume a study of a function or a class that cannot be imported by
        name. Raises `UnknownStudy`.
        """
        validate.text("the study's name", name)
        tuner = cls.__new__(cls)
        tuner._attach(name, journal, estimator, strategy, progress=progress)  # noqa: SLF001 - it is one of us
        return tuner

    def resume(
        self,
        *,
        restart_algorithm: bool = False,
        max_jobs: int | None = None,
        max_parallel_jobs: int | None = None,
        take_over: bool = False,
    ) -> Study:
        """Go on with the study exactly where it was; one that has ended is returned as it is.

        Limits may be raised, and *restart_algorithm* builds the algorithm afresh from the results so far, where a
        changed plugin would otherwise raise `Diverged`. *take_over* breaks a lock that another host left behind.
        Raises `StudyBusy` while another driver is at work.
        """
        limits = {
            name: validate.whole(name, value)
            for name, value in (("max_jobs", max_jobs), ("max_parallel_jobs", max_parallel_jobs))
            if value is not None
        }
        log = self._known_log()
        with self._at_work() as work, log.hold(take_over=take_over):
            return self._resume(work, log, limits, restart_algorithm=restart_algorithm)

    def stop_tuning_job(self, *, take_over: bool = False) -> bool:
        """End the study and stop its jobs: from another thread while `fit` runs, or after `attach`.

        Whether that is done; False where a driver at work, in this process or in another, was asked to do it. No
        algorithm is needed. *take_over* breaks a lock that another host left behind; without it such a study raises
        `StudyLocked`, and the driver is asked all the same, should it still run.
        """
        if (work := self._work) is not None:
            work.stop_request = _STOPPED
            return False
        log = self._known_log()
        with ExitStack() as stack:
            try:
                stack.enter_context(log.hold(take_over=take_over))
            except StudyBusy as error:
                log.request_stop()
                if isinstance(error, StudyLocked):
                    raise
                return False
            self._resume(stack.enter_context(self._at_work(_STOPPED)), log, {})
        return True

    def analytics(self) -> Analytics:
        """The results as a table: `analytics().dataframe()` has one row a trial."""
        return Analytics(self._known_study())

    def best_training_job(self) -> str | None:
        """The name of the incumbent's job, None while there is no result."""
        best = self._known_study().best
        return None if best is None else best.job_name

    def best_estimator(self) -> Any:
        """The SDK's Estimator (v2), attached to the incumbent's job.

        Raises `InvalidInput` where the tuner has no such object, or there is no result.
        """
        best = self._known_study().best
        if best is None:
            raise InvalidInput("there is no best estimator: no trial has a result")
        if self._estimator is None:
            raise InvalidInput("give the SDK's Estimator: Tuner.attach(..., estimator=...).best_estimator()")
        return self._estimator.attached_to(best)

    def describe(self) -> dict[str, Any]:
        """The study's state and settings, in the words of SageMaker's DescribeHyperParameterTuningJob."""
        study = self._known_study()
        best = study.best
        return {
            "HyperParameterTuningJobName": study.name,
            "HyperParameterTuningJobStatus": _status(study),
            "StopReason": study.stop_reason,
            "TrainingJobStatusCounters": dict(Counter(str(trial.status) for trial in study.trials)),
            "BestTrainingJob": None
            if best is None
            else {
                "TrainingJobName": best.job_name,
                "TunedHyperParameters": dict(best.proposal.hyperparameters),
                "FinalHyperParameterTuningJobObjectiveMetric": {
                    "MetricName": study.problem.objectives[0].metric,
                    "Value": best.value,
                },
            },
            "Manifest": self._manifest.to_json(),
        }

    def _begin(self, journal: str | os.PathLike[str] | None, estimator: Any, *, progress: bool) -> None:
        self._journal = open_journal(journal)
        self._given = self._estimator = estimator
        self._progress = progress
        self._log = self._work = self.study = None

    def _attach(
        self,
        name: str,
        journal: str | os.PathLike[str] | None,
        estimator: Any,
        strategy: str | PluginFactory | None,
        *,
        progress: bool,
    ) -> None:
        self._begin(journal, None if estimator is None else as_estimator(estimator), progress=progress)
        self._attached = True
        self._log = log = self._find(name)
        self._manifest = manifest_of(log)
        self._base_name = log.name
        algorithm = next(spec for spec in self._manifest.plugins if spec.group == ALGORITHMS)
        self._found = {}
        if strategy is not None:
            self._found[algorithm.name] = attrs.evolve(find(strategy, ALGORITHMS), name=algorithm.name)
        self.study = log.study()

    def _known_log(self) -> EventLog:
        if self._log is None:
            raise UnknownStudy("this tuner has no study yet: call fit first, or attach to one")
        return self._log

    def _known_study(self) -> Study:
        self._known_log()
        if self.study is None:
            raise UnknownStudy("this tuner has no study yet: call fit first, or attach to one")
        return self.study

    def _find(self, name: str) -> EventLog:
        """The study in this journal or, if it is not there, in a mirror on S3."""
        try:
            return self._journal.find(name)
        except UnknownStudy:
            log = fetch_study(self._journal, name, self._estimator, None)
            if log is None:
                raise
            _logger.warning("study %s is not in journal %s, and was found on S3", name, self._journal.path)
            return log

    def _prepared(self, inputs: Any) -> Manifest:
        """The manifest of a new study, with what only the user's inputs make known."""
        problem, policy = self._manifest.problem, self._manifest.policy
        settings = attrs.evolve(self._manifest.settings, curves=self._wants_curves)
        self._estimator, settings = self._given.prepare(problem, settings, inputs)
        if policy.max_cost is not None:
            policy = attrs.evolve(policy, reservation=_reservation(self._estimator, policy.max_cost))
        return attrs.evolve(self._manifest, settings=settings, policy=policy, backend=self._estimator.describe())

    def _resume(
        self, work: "_Work", log: EventLog, limits: Mapping[str, int], *, restart_algorithm: bool = False
    ) -> Study:
        """Go on with a study whose driver's place is held."""
        manifest = manifest_of(log)
        study = log.study()
        _check_raised(limits, study)
        ended = study.stop_reason is not None and study.finished_count == len(study.trials)
        if ended and not (restart_algorithm or _changed(limits, manifest)):
            self.study = study
            return study
        self._estimator = restore_estimator(manifest.backend, self._estimator)
        log = self._estimator.mirrored(log)
        manifest = manifest_of(log)  # again: a mirror may have brought the study forward
        changed = _changed(limits, manifest)
        if work.stop_request is not None:  # who only stops asks no plugin
            return self._drive(work, manifest, log, StudyPlugins([], []), log.study())
        if changed or restart_algorithm:
            study = log.study()
            _check_raised(limits, study)
            manifest = self._afresh(study, manifest, changed)
            with closing(self._build(manifest)) as plugins:
                happening = manifest.epoch()
                epoch = Event(study.sequence, happening.kind, study.now, happening.body)
                study.apply(epoch)
                return self._drive(work, manifest, log, plugins, study, [epoch])
        return self._replay(work, manifest, log)

    def _afresh(self, study: Study, manifest: Manifest, limits: Mapping[str, int]) -> Manifest:
        """The manifest of a new epoch, which is journaled when its driver begins."""
        problem = attrs.evolve(
            manifest.problem,
            # Another seed: with the old one the algorithm would first propose again what is known.
            seed=random.Random(f"{manifest.problem.seed}-{study.sequence}").getrandbits(32),  # noqa: S311
            max_jobs=limits.get("max_jobs", manifest.problem.max_jobs),
            max_parallel_jobs=limits.get("max_parallel_jobs", manifest.problem.max_parallel_jobs),
        )
        specs = tuple(self._class_of(spec).spec(spec.options) for spec in manifest.plugins)
        return attrs.evolve(manifest, problem=problem, plugins=specs)

    def _first_log(self, log: EventLog) -> EventLog:
        """Where the events of a new study go; if that cannot be, its name is free again."""
        try:
            mirrored: EventLog = self._estimator.mirrored(log)
        except BaseException:
            self._journal.forget(log)
            raise
        self._log = log
        return mirrored

    def _replay(self, work: "_Work", manifest: Manifest, log: EventLog) -> Study:
        """Bring plugins to where the journal ends, and drive the study on."""
        with closing(self._build(manifest)) as plugins:
            return self._drive(work, manifest, log, plugins, replay(log, plugins))

    def _drive(
        self,
        work: "_Work",
        manifest: Manifest,
        log: EventLog,
        plugins: StudyPlugins,
        study: Fold,
        unwritten: Sequence[Event] = (),
    ) -> Study:
        self._manifest = manifest
        with ExitStack() as stack:
            backend = self._estimator.connect(study, manifest.settings)
            stack.callback(backend.close)
            self.study = study
            if self._progress:
                plugins.listen("progress", stack.enter_context(Progress()))
            if backend.jobs_survive:
                stack.callback(_tell_running, study, manifest, self._journal.path)
            if log.last(EventKind.Opened) < 0:  # nobody was told how it began
                plugins.happened(study, [*log.read()])
            requested = partial(self._stop_requested, work, log)
            way_on = what_to_type("resume", study.name, self._journal.path, manifest)
            Driver(study, log, plugins, backend, manifest.policy, requested, way_on, unwritten).run()
            return study

    @contextmanager
    def _at_work(self, stop_request: str | None = None) -> Iterator["_Work"]:
        """While this tuner drives, or is about to."""
        before, self._work = self._work, _Work(stop_request)
        try:
            yield self._work
        finally:
            self._work = before

    def _stop_requested(self, work: "_Work", log: EventLog) -> str | None:
        if work.stop_request is None and log.stop_requested():
            work.stop_request = f"stopped by `byohpo stop {log.name}`"
        return work.stop_request

    def _build(self, manifest: Manifest) -> StudyPlugins:
        classes = [self._class_of(spec) for spec in manifest.plugins]
        specs = [found.spec(spec.options) for found, spec in zip(classes, manifest.plugins, strict=True)]
        return StudyPlugins(
            specs, [build(found, manifest.problem, spec.options) for found, spec in zip(classes, specs, strict=True)]
        )

    def _class_of(self, spec: PluginSpec) -> Found:
        if spec.name not in self._found:
            self._found[spec.name] = restore(spec)
        return self._found[spec.name]


@attrs.define(eq=False)
class _Work:
    """One stretch of driving."""

    stop_request: str | None
    """Why the user wants the study to end and its jobs to stop, if so."""


def _status(study: Study) -> str:
    """A study's state in SageMaker's words; one that was left by Ctrl-C is stopped until somebody goes on."""
    if study.stop_reason is None and not study.left_by_user:
        return "InProgress"
    if study.running:
        return "Stopping"
    return "Stopped" if study.left_by_user else "Completed"


def _check_raised(limits: Mapping[str, int], study: Study) -> None:
    if limits.get("max_jobs", study.jobs) < study.jobs:
        raise InvalidInput(
            f"max_jobs is {limits['max_jobs']}, and study {study.name!r} has had {study.jobs} jobs: "
            "it can only be raised"
        )


def _tell_running(study: Study, manifest: Manifest, journal: str) -> None:
    """What a driver that leaves says of the jobs that it leaves behind."""
    names = [str(trial.job_name) for trial in study.running]
    if names:
        shown = ", ".join(names[:_NAMED_JOBS]) + (", ..." if len(names) > _NAMED_JOBS else "")
        _logger.warning(
            "still running, as far as is known: %s (%d in all). %s stops what runs, %s goes on with the study.",
            *(shown, len(names), *(what_to_type(verb, study.name, journal, manifest) for verb in ("stop", "resume"))),
        )


def _changed(limits: Mapping[str, int], manifest: Manifest) -> dict[str, int]:
    """The limits that differ from the study's present ones."""
    return {name: value for name, value in limits.items() if value != getattr(manifest.problem, name)}


def _space(ranges: Any, estimator: Estimator) -> SearchSpace:
    ranges = validate.mapping("hyperparameter_ranges", ranges)
    return SearchSpace.of(ranges, estimator.fixed(ranges))


def _reservation(estimator: Estimator, max_cost: float) -> float:
    reservation = estimator.reservation()
    if reservation is None:
        raise InvalidInput("max_cost is for jobs that cost money: training jobs on SageMaker")
    if reservation > max_cost:
        raise InvalidInput(
            f"max_cost is {max_cost:.2f}, but a single job may cost {reservation:.2f}: lower its MaxRuntimeInSeconds "
            "(the SDK's max_run), or raise max_cost"
        )
    return reservation


def _objectives(names: Any, types: Any) -> tuple[Objective, ...]:
    names = [names] if isinstance(names, str) else validate.items("objective_metric_name", names)
    types = [types] * len(names) if isinstance(types, str) else validate.items("objective_type", types)
    if len(types) != len(names):
        raise InvalidInput(f"{len(names)} objective metrics but {len(types)} objective types: give as many")
    if len(set(map(str, names))) < len(names):
        raise InvalidInput(f"an objective metric is named twice: {', '.join(map(str, names))}")
    return tuple(
        Objective(
            validate.text("objective_metric_name", name),
            Direction(validate.choice("objective_type", direction, list(Direction))),
        )
        for name, direction in zip(names, types, strict=True)
    )


def _extension(extension: _Extension) -> tuple[Found, Mapping[str, Any]]:
    if not isinstance(extension, tuple):
        return find(extension, EXTENSIONS), {}
    if len(extension) != 2:  # noqa: PLR2004 - a pair
        raise InvalidInput(f"the extension {extension!r} is neither a name nor a pair (name, options)")
    plugin, options = extension
    return find(plugin, EXTENSIONS), options


def _metrics(definitions: Any, problem: Problem, estimator: Estimator) -> tuple[tuple[str, str], ...]:
    """The user's metric definitions, and the estimator's own for objectives that have none."""
    given = _pairs("metric_definitions", definitions, "Name", "Regex")
    names = [name for name, _ in given]
    missing = [objective.metric for objective in problem.objectives if objective.metric not in names]
    return (*given, *estimator.metric_definitions(missing))


def _pairs(name: str, given: Any, first: str, second: str) -> list[tuple[str, str]]:
    """SageMaker's lists of small mappings, such as [{"Key": ..., "Value": ...}]."""
    pairs = []
    for body in validate.items(name, given):
        if not isinstance(body, Mapping) or first not in body or second not in body:
            raise InvalidInput(f'{name} has {body!r}; it takes [{{"{first}": ..., "{second}": ...}}, ...]')
        pairs.append((validate.text(f"{name}: {first}", body[first]), validate.text(f"{name}: {second}", body[second])))
    return pairs
