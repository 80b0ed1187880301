"""`Tuner`: what a user writes. It takes what SageMaker's `HyperparameterTuner` takes, in the same order."""

import os
import random
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import attrs

from byohpo_core import checks
from byohpo_core.backends import Estimator, JobSettings, as_estimator, restore_estimator
from byohpo_core.driver import Driver, Policy
from byohpo_core.errors import InvalidInput, UnknownStudy
from byohpo_core.journal import StudyRecord, check_study_name, open_journal
from byohpo_core.manifest import Manifest
from byohpo_core.plugins import (
    ALGORITHMS,
    EXTENSIONS,
    Found,
    PluginFactory,
    PluginSpec,
    StudyPlugins,
    build,
    find,
    restore,
)
from byohpo_core.progress import Progress
from byohpo_core.replay import manifest_now, read_study, replay
from byohpo_core.results import Analytics
from byohpo_core.space import SearchSpace
from byohpo_core.study import Direction, Event, EventKind, Objective, Problem, Study
from byohpo_core.warmstart import check_parents, imported

_TO_BE_CHOSEN: Any = object()
_Extension = str | PluginFactory | tuple[str | PluginFactory, Mapping[str, Any]]


class Tuner:
    """Searches for good hyperparameters of a training job with an algorithm of the user's choice.

    *estimator* is a Python function, a `TrainingScript` (or a script's path) or a `Simulated` job; *strategy* the name
    of an installed algorithm or a class. All settings are checked here and in `fit`, before any job starts; a wrong one
    raises `InvalidInput`. With `journal=":memory:"` nothing is kept; by default the journal is `BYOHPO_JOURNAL` or
    `byohpo.db` in the working folder.
    """

    study: Study | None
    """The study, once there is one."""
    _estimator: Any
    _manifest: Manifest
    _found: dict[str, Found]
    _record: StudyRecord | None
    _driver: Driver | None
    _stop_request: str | None

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
            SearchSpace.of(
                checks.mapping("hyperparameter_ranges", hyperparameter_ranges), self._estimator.hyperparameters
            ),
            _objectives(objective_metric_name, objective_type),
            secrets.randbits(32) if random_seed is None else checks.whole("random_seed", random_seed),
            checks.whole("max_jobs", max_jobs),
            checks.whole("max_parallel_jobs", max_parallel_jobs),
        )
        plugins: list[tuple[Found, Mapping[str, Any]]] = [
            (find(strategy, ALGORITHMS), {} if strategy_options is None else strategy_options)
        ]
        if configurations := checks.items("initial_configurations", initial_configurations):
            first = {"configurations": [checks.mapping("an initial configuration", it) for it in configurations]}
            plugins.insert(0, (find("initial-configurations", EXTENSIONS), first))
        plugins += [_extension(extension) for extension in checks.items("extensions", extensions)]
        if failure_limit:
            plugins.append((find("failure-limit", EXTENSIONS), {}))
        if max_runtime_in_seconds is not None:
            plugins.append((find("wall-time", EXTENSIONS), {"seconds": max_runtime_in_seconds}))
        if checks.choice("early_stopping_type", early_stopping_type, ("Off", "Auto")) == "Auto":
            plugins.append((find("median", EXTENSIONS), {}))
        self._found = {found.name: found for found, _ in plugins}
        if len(self._found) < len(plugins):
            names = [found.name for found, _ in plugins]
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidInput(f"the plugin {twice!r} is named twice (failure_limit=False leaves out the core's own)")
        self._manifest = Manifest(
            problem,
            tuple(found.spec(options) for found, options in plugins),
            self._estimator.describe(),
            JobSettings(
                self._journal.folder,
                _metrics(() if metric_definitions is None else metric_definitions, problem, self._estimator),
                tags=tuple(_pairs("tags", () if tags is None else tags, "Key", "Value")),
            ),
            Policy(
                checks.choice("duplicates", duplicates, ("reuse", "run")),
                checks.whole("max_attempts", max_attempts, at_least=1),
            ),
            check_parents(
                self._journal,
                [checks.text("warm_start_from", name) for name in checks.items("warm_start_from", warm_start_from)],
                problem,
            ),
        )
        self._build(self._manifest).close()

    def fit(self, inputs: Mapping[str, str] | None = None, job_name: str | None = None, wait: bool = True) -> Study:
        """Run a new study to its end.

        *inputs* maps channels to where their data lies; *job_name* names the study in its journal (by default after
        the estimator). Raises `KeyboardInterrupt` if the user stops it; `resume` goes on.
        """
        if not wait:
            raise InvalidInput("fit(wait=False) is not possible yet: run the program in the background instead")
        channels = checks.mapping("inputs", {} if inputs is None else inputs)
        places = {
            channel: str(place) if isinstance(place, os.PathLike) else place for channel, place in channels.items()
        }
        settings = attrs.evolve(
            self._manifest.settings,
            inputs={channel: checks.text(f"channel {channel!r}", place) for channel, place in places.items()},
        )
        self._estimator.check(settings)
        manifest = attrs.evolve(self._manifest, settings=settings)
        name = self._journal.free_name(self._base_name) if job_name is None else job_name
        self._record = record = self._journal.create(name, manifest.to_json())
        with self._journal.driver(record.id):
            return self._drive(manifest)

    @classmethod
    def attach(
        cls,
        name: str,
        *,
        journal: str | os.PathLike[str] | None = None,
        estimator: Any = None,
        strategy: PluginFactory | None = None,
        progress: bool = True,
    ) -> "Tuner":
        """A study that exists, by its name or id, even while another driver runs it. Nothing is created.

        *estimator* and *strategy* are needed to resume a study of a function or a class that cannot be imported by
        name. Raises `UnknownStudy`.
        """
        checks.text("the study's name", name)
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
        record = self._known_record()
        with self._journal.driver(record.id, take_over=take_over):
            manifest = manifest_now(self._journal, record)
            limits = {
                name: checks.whole(name, value)
                for name, value in (("max_jobs", max_jobs), ("max_parallel_jobs", max_parallel_jobs))
                if value is not None
            }
            study = read_study(self._journal, record)
            if restart_algorithm or limits:
                manifest = self._new_epoch(study, manifest, limits)
            elif study.stop_reason is not None and not study.running and not study.waiting:
                self.study = study
                return study
            if self._estimator is None:
                self._estimator = restore_estimator(manifest.backend)
            return self._drive(manifest)

    def stop_tuning_job(self) -> None:
        """End the study and stop its jobs: from another thread while `fit` runs, or after `attach`."""
        self._stop_request = "stopped by stop_tuning_job"
        if self._driver is not None:
            self._driver.request_stop(self._stop_request)
        else:
            self.resume()

    def analytics(self) -> Analytics:
        """The results as a table: `analytics().dataframe()` has one row a trial."""
        return Analytics(self._known_study())

    def best_training_job(self) -> str | None:
        """The name of the incumbent's job, None while there is no result."""
        best = self._known_study().best
        return None if best is None else best.job_name

    def describe(self) -> dict[str, Any]:
        """The study's state and settings, in the words of SageMaker's DescribeHyperParameterTuningJob."""
        study = self._known_study()
        best = study.best
        return {
            "HyperParameterTuningJobName": study.name,
            "HyperParameterTuningJobStatus": "InProgress" if study.stop_reason is None else "Completed",
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
        self._estimator = estimator
        self._progress = progress
        self._record = self._driver = self._stop_request = None
        self.study = None

    def _attach(
        self,
        name: str,
        journal: str | os.PathLike[str] | None,
        estimator: Any,
        strategy: PluginFactory | None,
        *,
        progress: bool,
    ) -> None:
        self._begin(journal, None if estimator is None else as_estimator(estimator), progress=progress)
        self._record = record = self._journal.find(name)
        self._manifest = manifest_now(self._journal, record)
        self._base_name = record.name
        algorithm = next(spec for spec in self._manifest.plugins if spec.group == ALGORITHMS)
        self._found = {} if strategy is None else {algorithm.name: Found(strategy, algorithm.name, ALGORITHMS)}
        self.study = read_study(self._journal, record)

    def _known_record(self) -> StudyRecord:
        if self._record is None:
            raise UnknownStudy("this tuner has no study yet: call fit first, or attach to one")
        return self._record

    def _known_study(self) -> Study:
        self._known_record()
        if self.study is None:
            raise UnknownStudy("this tuner has no study yet: call fit first, or attach to one")
        return self.study

    def _new_epoch(self, study: Study, manifest: Manifest, limits: Mapping[str, int]) -> Manifest:
        specs = tuple(self._class_of(spec).spec(spec.options) for spec in manifest.plugins)
        problem = manifest.problem
        problem = attrs.evolve(
            problem,
            # Another seed: with the old one the algorithm would first propose again what is known.
            seed=random.Random(f"{problem.seed}-{study.sequence}").getrandbits(32),  # noqa: S311
            max_jobs=limits.get("max_jobs", problem.max_jobs),
            max_parallel_jobs=limits.get("max_parallel_jobs", problem.max_parallel_jobs),
        )
        manifest = attrs.evolve(manifest, problem=problem, plugins=specs)
        self._build(manifest).close()
        epoch = Event(study.sequence, EventKind.Epoch, study.now, manifest.epoch())
        self._journal.append(study.id, [epoch])
        return manifest

    def _drive(self, manifest: Manifest) -> Study:
        with ExitStack() as stack:
            self._know_earlier_results(manifest)
            plugins = self._build(manifest)
            stack.callback(plugins.close)
            self.study = study = replay(self._journal, self._known_record(), plugins)
            backend = self._estimator.connect(study, manifest.settings)
            stack.callback(backend.close)
            if self._progress:
                plugins.listen("progress", stack.enter_context(Progress()))
            self._driver = driver = Driver(study, self._journal, plugins, backend, manifest.policy)
            stack.callback(self._forget_driver)
            if self._stop_request is not None:
                driver.request_stop(self._stop_request)
            driver.run()
            return study

    def _know_earlier_results(self, manifest: Manifest) -> None:
        """A study's first events, also where its first driver died before them."""
        record = self._known_record()
        if manifest.warm_start_from and next(self._journal.read(record.id), None) is None:
            bodies = imported(self._journal, manifest.warm_start_from)
            self._journal.append(
                record.id, [Event(number, EventKind.Imported, 0.0, body) for number, body in enumerate(bodies)]
            )

    def _forget_driver(self) -> None:
        self._driver, self._stop_request = None, None

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


def _objectives(names: Any, types: Any) -> tuple[Objective, ...]:
    names = [names] if isinstance(names, str) else checks.items("objective_metric_name", names)
    types = [types] * len(names) if isinstance(types, str) else checks.items("objective_type", types)
    if len(types) != len(names):
        raise InvalidInput(f"{len(names)} objective metrics but {len(types)} objective types: give as many")
    if len(set(map(str, names))) < len(names):
        raise InvalidInput(f"an objective metric is named twice: {', '.join(map(str, names))}")
    return tuple(
        Objective(
            checks.text("objective_metric_name", name),
            Direction(checks.choice("objective_type", direction, list(Direction))),
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
    for body in checks.items(name, given):
        if not isinstance(body, Mapping) or first not in body or second not in body:
            raise InvalidInput(f'{name} has {body!r}; it takes [{{"{first}": ..., "{second}": ...}}, ...]')
        pairs.append((checks.text(f"{name}: {first}", body[first]), checks.text(f"{name}: {second}", body[second])))
    return pairs
