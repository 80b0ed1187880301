"""`Tuner`: what a user writes. It takes what SageMaker's `HyperparameterTuner` takes, in the same order."""

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import attrs

from byohpo_core import validate
from byohpo_core.backends.estimators import as_estimator, restore_estimator
from byohpo_core.backendspecs import Estimator
from byohpo_core.driving.detached import check_detachable, drive_detached
from byohpo_core.driving.manifest import Manifest
from byohpo_core.driving.policy import Policy
from byohpo_core.driving.session import Session, build_plugins, mirrored_or_forgotten
from byohpo_core.driving.stop_request import StopRequest
from byohpo_core.driving.trust import trust_study, trusting
from byohpo_core.driving.warm_start import imported
from byohpo_core.errors import InvalidInput, UnknownStudy
from byohpo_core.journal import open_journal
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.studies import Journal
from byohpo_core.logger import logger as _logger
from byohpo_core.plugins.automatic import AUTO
from byohpo_core.plugins.finding import Loaded, PluginFactory
from byohpo_core.results.analytics import Analytics, describe
from byohpo_core.secrets import Secrets
from byohpo_core.space.constraints import Constraint
from byohpo_core.study.naming import check_study_name
from byohpo_core.study.problem import OutcomeConstraint
from byohpo_core.study.study import Study
from byohpo_core.tuner import settings
from byohpo_core.tuner.drop_in import drop_in
from byohpo_core.tuner.news import News
from byohpo_core.tuner.turn import Turn


class Tuner:
    """Searches for good hyperparameters of a training job with an algorithm of the user's choice.

    All settings are checked here and in `fit`, before any job starts; a wrong one raises `InvalidInput`.

    Args:
        estimator: What is tuned: a Python function, a `TrainingScript` or a script's path, a `Simulated` job, any
            other `Estimator`, or what SageMaker is to run: an SDK's Estimator, ModelTrainer or HyperparameterTuner, a
            CreateTrainingJob request, or a `TrainingJob` around one of them.
        objective_metric_name: The metric to optimise, or a list of several.
        hyperparameter_ranges: Ranges by hyperparameter: `ContinuousParameter(0.01, 0.2)` and the like, or the SDK's.
        metric_definitions: How metrics stand in a job's log: `[{"Name": ..., "Regex": ...}]`, with one group in each
            expression. Scripts may go without for `name=value`, functions return their metrics.
        strategy: The name of an installed or registered algorithm, or a class; "auto" chooses one and says why.
        objective_type: "Maximize" or "Minimize", for all objectives or as a list with one for each.
        max_jobs: How many jobs the study may start. Repeats of known configurations and retries count as none.
        max_parallel_jobs: How many jobs run at once: the number of slots.
        max_runtime_in_seconds: How many seconds drivers may be at work on the study; then its jobs are stopped.
        tags: Tags of all jobs, as `[{"Key": ..., "Value": ...}]`.
        base_tuning_job_name: The study's name where `fit` gives none, numbered on; by default the estimator's.
        early_stopping_type: "Auto" stops jobs whose results so far are worse than the median; "Off" lets all finish.
        constraints: What every configuration obeys: `Constraint({"layers": 64, "batch_size": 1}, at_most=1024)`, and
            what a good result does: `OutcomeConstraint("latency", at_most=50)`.
        random_seed: A whole number from 0, with which the same results give the same proposals; drawn by default.
        strategy_options: The algorithm's options by name; `byohpo info NAME` lists them.
        resource: The hyperparameter that says how long a job trains, such as "num_epoch". It is not tuned: each trial
            gets as much of it as "hyperband" says, from *min_resource* to *max_resource*; else *max_resource*.
        initial_configurations: Whole configurations that are tried first.
        extensions: Stop rules and other plugins: names, classes, or pairs (name or class, options).
        failure_limit: Whether the study ends when its first max(3, slots) trials have all failed.
        duplicates: "reuse" lets a repeated configuration share the known result, "run" gives it a job of its own.
        max_attempts: How many attempts of one trial the infrastructure may fail before the trial fails.
        max_cost: What all jobs together may cost, in the currency of the estimator's prices.
        order: "arrival" observes results as they come; "strict" in the order of their trials, so that how long each
            job takes changes nothing of the search, at the price of some idle slots.
        warm_start_from: Names or ids of studies in the same journal whose results are known from the beginning.
        secrets: Names of variables of the jobs' environment, or of fixed hyperparameters, whose values only the jobs
            get: a list (values come from the environment) or a mapping. KEY, TOKEN and the like are secret anyway.
        shared: Whether the files and folders that the study creates are for your group too (0660 and 0770).
        journal: The journal's path, by default `BYOHPO_JOURNAL` or `byohpo.db`; ":memory:" keeps nothing.
        progress: Whether progress is shown on standard error.
    """

    _plan: Manifest | None
    """The manifest of a new study, before `fit` prepares it; None for an attached tuner."""
    _base_name: str | None
    """The base of the study's name if the user gives none."""

    @drop_in
    def __init__(
        self,
        estimator: Any,
        objective_metric_name: str | Sequence[str],
        hyperparameter_ranges: Mapping[str, Any],
        metric_definitions: Sequence[Mapping[str, str]] | None = None,
        strategy: str | PluginFactory = AUTO,
        objective_type: str | Sequence[str] = "Maximize",
        max_jobs: int = 1,
        max_parallel_jobs: int = 1,
        max_runtime_in_seconds: float | None = None,
        tags: Sequence[Mapping[str, str]] | None = None,
        base_tuning_job_name: str | None = None,
        *,
        early_stopping_type: str = "Off",
        constraints: Sequence[Constraint | OutcomeConstraint] = (),
        random_seed: int | None = None,
        strategy_options: Mapping[str, Any] | None = None,
        resource: str | None = None,
        max_resource: int | None = None,
        min_resource: int = 1,
        initial_configurations: Sequence[Mapping[str, Any]] = (),
        extensions: Sequence[settings.Extension] = (),
        failure_limit: bool = True,
        duplicates: str = "reuse",
        max_attempts: int = 3,
        max_cost: float | None = None,
        order: str = "arrival",
        warm_start_from: Sequence[str] = (),
        secrets: Sequence[str] | Mapping[str, str] = (),
        shared: bool = False,
        journal: str | os.PathLike[str] | None = None,
        progress: bool = True,
    ) -> None:
        hidden = Secrets.of(secrets)
        self._set_up(open_journal(journal), as_estimator(estimator), {}, hidden, progress=progress)
        tuned: Estimator = self._estimator
        self._base_name = check_study_name(base_tuning_job_name or tuned.name)
        amounts = settings.resource_of(resource, max_resource, min_resource)
        inputs, outcomes = settings.constraints_of(constraints)
        space = settings.space_of(tuned, hyperparameter_ranges, inputs, amounts, hidden)
        goals = (settings.objectives_of(objective_metric_name, objective_type), outcomes)
        problem = settings.problem_of(space, *goals, random_seed, max_jobs, max_parallel_jobs, amounts)
        automatic = settings.automatic(strategy, strategy_options, problem)
        chosen = [
            *settings.algorithm_of(automatic.name if automatic else strategy, strategy_options, initial_configurations),
            *settings.extensions_of(extensions, failure_limit, max_runtime_in_seconds, early_stopping_type, tuned),
        ]
        self._loaded = settings.by_name(chosen)
        plan = Manifest(
            problem,
            tuple(loaded.spec(options) for loaded, options in chosen),
            {},
            settings.job_settings_of(self._journal.folder, metric_definitions, tags, shared, problem, tuned),
            Policy(duplicates, max_attempts, max_cost, order=order),
            settings.parents_of(self._journal, warm_start_from, problem),
            automatic.reason if automatic else None,
        )
        with closing(build_plugins(plan, [loaded for loaded, _ in chosen])) as built:
            self._plan = attrs.evolve(plan, settings=attrs.evolve(plan.settings, curves=built.prunes))

    def _set_up(
        self,
        journal: Journal,
        estimator: Estimator | None,
        loaded: Mapping[str, Loaded],
        secrets: Secrets,
        *,
        news: News | None = None,
        progress: bool,
    ) -> None:
        """Set every attribute, for a new tuner and an attached one alike."""
        self._journal = journal
        self._estimator: Any = estimator
        self._prepared: Any = None
        """The estimator as `fit` prepared it; the study goes on with that one."""
        self._loaded = dict(loaded)
        self._secrets = secrets
        self._progress = progress
        self._plan = self._base_name = None
        self._news = news
        self._turn = Turn()

    @property
    def study(self) -> Study | None:
        """The study, or None before `fit`: live while this tuner drives it, else as its journal now tells it.

        If a driver elsewhere went on, and the estimator or the mirror's place is known, it is as the mirror tells it.
        """
        return None if self._news is None else self._known_study()

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
        on. With *wait* False another process drives the study. *include_cls_metadata* can only be False.
        """
        if include_cls_metadata:
            raise InvalidInput("include_cls_metadata is for jobs that SageMaker's own tuner starts; leave it out")
        validate.flag("wait", wait)
        if self._plan is None:
            raise InvalidInput("this tuner is attached to a study: resume() goes on; for a new study make a Tuner")
        with self._turn.taken() as stop_request:
            manifest, estimator = settings.prepare(self._estimator, self._plan, inputs, self._secrets)
            if not wait:
                check_detachable(self._journal.path, estimator, self._loaded.values())
            new = manifest.to_json(), imported(self._journal, manifest.warm_start_from), trusting(manifest)
            if job_name is None:
                log = self._journal.create_numbered(str(self._base_name), *new)
            else:
                log = self._journal.create(job_name, *new)
            if not wait:
                return self._detached(log, estimator)
            with log.hold():
                mirrored = mirrored_or_forgotten(estimator, log, self._journal.forget)
                self._news, self._prepared = News(log, estimator), estimator
                return self._session(log, stop_request).begin(mirrored, manifest, estimator)

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
        mirror: str | None = None,
        secrets: Mapping[str, str] | None = None,
        progress: bool = True,
    ) -> "Tuner":
        """Attach to an existing study by its name or id, even while another driver runs it. Nothing is created.

        *estimator* and *strategy* are needed to resume a study of a function or a class that cannot be imported by
        name. A study that this journal lacks, and what a driver elsewhere has added to one, is looked for only where
        *estimator*, *mirror* (the `s3://...` place of its jobs' outputs) or the variable BYOHPO_MIRROR say where;
        `resume` brings it into the journal. *secrets* are values by name. Raises `UnknownStudy`.
        """
        validate.text("the study's name", name)
        given = None if estimator is None else as_estimator(estimator)
        if mirror is not None:
            validate.text("mirror", mirror)
        opened = open_journal(journal)
        log = settings.find_study(opened, name, given, mirror or os.environ.get("BYOHPO_MIRROR") or None)
        tuner = cls.__new__(cls)
        loaded = {} if strategy is None else settings.as_algorithm_of(log, strategy)
        values = Secrets.with_values(secrets or {})
        tuner._set_up(opened, given, loaded, values, news=News(log, given, mirror), progress=progress)  # noqa: SLF001
        return tuner

    def resume(
        self,
        *,
        restart_algorithm: bool = False,
        max_jobs: int | None = None,
        max_parallel_jobs: int | None = None,
        take_over: bool = False,
        trust: bool = False,
    ) -> Study:
        """Resume the study exactly where it was. One that has ended is returned as it is.

        Limits may be raised, and *restart_algorithm* builds the algorithm afresh from the results so far, where a
        changed plugin would otherwise raise `Diverged`. *take_over* breaks a lock that another host left behind. A
        study that somebody else created, or this user elsewhere, runs what its journal names only where the user
        trusts it: *trust* says so, `byohpo trust NAME` does too, and otherwise this raises `Untrusted`. Raises
        `StudyBusy` while another driver is at work.
        """
        limits = {
            name: validate.whole(name, value)
            for name, value in (("max_jobs", max_jobs), ("max_parallel_jobs", max_parallel_jobs))
            if value is not None
        }
        news = self._known_news()
        log = news.latest()
        if trust:
            trust_study(log, tell=True)
            trust_study(news.log, tell=True)
        with self._turn.taken() as stop_request:
            if news.log.path != self._journal.path:  # it was read from its mirror
                self._session(log, stop_request).check_trust(Manifest.of(log))
                news.log = log = self._journal.bring(log)
            session = self._session(news.log, stop_request)
            return session.go_on(
                limits, restart_algorithm=restart_algorithm, take_over=take_over, behind=log is not news.log
            )

    def stop_tuning_job(self, *, take_over: bool = False) -> bool:
        """End the study and stop its jobs: from another thread while `fit` runs, or after `attach`.

        Returns True when that is done, False if a driver at work, in this process or another, was asked to do it. A
        driver has 10 seconds to obey; if it leaves meanwhile, the study is ended here. No algorithm is needed.
        *take_over* breaks a lock that another host left behind; without it such a study raises `StudyLocked`.
        """
        while (working := self._turn.stop_request) is not None:
            if working.is_made_in_time():
                return False
        news = self._known_news()
        behind = news.latest() is not news.log
        with self._turn.taken() as stop_request:
            return self._session(news.log, stop_request).end(take_over=take_over, behind=behind)

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
        estimator = restore_estimator(Manifest.of(self._known_news().known).backend, self._prepared or self._estimator)
        return estimator.attached_to(best)

    def describe(self) -> dict[str, Any]:
        """The study's state and settings, in the words of SageMaker's DescribeHyperParameterTuningJob.

        "Driver" is the process that drives the study now, and its host; None if there is none.
        """
        study, news = self._known_study(), self._known_news()
        return {**describe(study), "Driver": news.driver(), "Manifest": Manifest.of(news.known).to_json()}

    def _session(self, log: EventLog, stop_request: StopRequest) -> Session:
        """A new session for a study."""
        given = self._prepared or self._estimator
        publish = self._known_news().publish
        return Session(log, given, self._loaded, self._secrets, stop_request, publish, progress=self._progress)

    def _detached(self, log: EventLog, estimator: Estimator) -> Study:
        """Let another process drive the new study."""
        mirrored_or_forgotten(estimator, log, self._journal.forget)  # fail here rather than in the other process
        self._news, self._prepared = News(log, estimator), estimator
        output = drive_detached(log, self._secrets)
        _logger.warning("study %s is driven by another process, which writes to %s", log.name, output)
        return log.study()

    def _known_news(self) -> News:
        if self._news is None:
            raise UnknownStudy("this tuner has no study yet: call fit first, or attach to one")
        return self._news

    def _known_study(self) -> Study:
        return self._known_news().study(driven_here=self._turn.stop_request is not None)
