"""The live, read-only view of a study that plugins and users hold. `study/fold.py` updates it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import overload

from byohpo_core.study.duplicates import Duplicates
from byohpo_core.study.outage import Outage
from byohpo_core.study.problem import Problem
from byohpo_core.study.ranking import by_domination
from byohpo_core.study.trial import Report, Trial, TrialStatus


class Trials(Sequence[Trial]):
    """A read-only view of a study's trials."""

    __slots__ = ("_trials",)

    def __init__(self, trials: list[Trial]) -> None:
        self._trials = trials

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Trial, ...]: ...
    def __getitem__(self, index: int | slice) -> Trial | tuple[Trial, ...]:
        return tuple(self._trials[index]) if isinstance(index, slice) else self._trials[index]

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def __repr__(self) -> str:
        return f"<{len(self)} trials>"


class Study:
    """The state of a study: read-only for plugins and users, and up to date while a driver runs.

    Reading `trials` or `best` copies nothing, so it is cheap at every step.
    """

    def __init__(
        self,
        study_id: str,
        name: str,
        problem: Problem,
        read_curve: Callable[[int, str, int], Sequence[float]],
    ) -> None:
        self.id = study_id
        """The name plus four random characters. Every job's name starts with it."""
        self.name = name
        self.problem = problem
        self.stop_reason: str | None = None
        """Why nothing more is proposed; None while the study can continue."""
        self.left_by_user = False
        """True if the user interrupted it, by Ctrl-C or `stop_tuning_job`, and it has not continued since."""
        self.jobs = 0
        """How many trials had a job of their own. `max_jobs` limits this number."""
        self.epoch_start = 0
        """The number of the first trial of the current epoch."""
        self.reused_in_a_row = 0
        """How many observed trials in a row reused a known result."""
        self.finished_since_best = 0
        """How many trials finished since the incumbent."""
        self.sequence = 0
        """How many events the journal holds."""
        self.cost = 0.0
        """The cost of all attempts of all trials, as far as the backend reports it."""
        self.now = 0.0
        """The current time, in seconds on the backend's clock."""
        self.outage = Outage()
        """The infrastructure's failures in a row."""
        self.trials = Trials([])
        self._trials = self.trials._trials  # noqa: SLF001 - the list behind the view
        self._read_curve = read_curve
        self._best: int | None = None
        self._waiting: dict[int, None] = {}
        self._running: dict[int, None] = {}
        self._unobserved: dict[int, None] = {}
        self._silent: set[str] = set()
        self._not_before: dict[int, float] = {}
        self._duplicates = Duplicates(problem)
        self._reports: dict[int, dict[str, Report]] = {}
        self._pruning: dict[int, str] = {}
        self._stopping: set[int] = set()
        self._driven_seconds = 0.0
        self._last_time: float | None = None

    def __repr__(self) -> str:
        return f"<Study {self.id!r}: {len(self._trials)} trials, {self.stop_reason or 'not ended'}>"

    @property
    def best(self) -> Trial | None:
        """The incumbent: the completed trial with the lowest loss in the first objective, the earliest if several.

        A trial within the outcome constraints goes before all others, and then one that is less beyond them. With a
        resource, only trials that had the most of it so far are compared.
        """
        return None if self._best is None else self._trials[self._best]

    @property
    def pareto_front(self) -> tuple[Trial, ...]:
        """The Pareto front: completed trials that no other trial dominates, sorted by number.

        A trial dominates those that are further beyond the outcome constraints (Deb 2000). With a resource, only trials
        that had the most of it so far are compared.
        """
        completed = [it for it in self._trials if it.status is TrialStatus.Completed and it.losses is not None]
        most = max((self.problem.amount(trial.proposal) for trial in completed), default=0)
        front, _ = by_domination(trial for trial in completed if self.problem.amount(trial.proposal) == most)
        return tuple(sorted(front, key=lambda trial: trial.number))

    @property
    def running(self) -> tuple[Trial, ...]:
        """Trials whose jobs should be running now."""
        return tuple(map(self._trials.__getitem__, self._running))

    @property
    def waiting(self) -> tuple[Trial, ...]:
        """Trials without a job. They wait for a slot, or for the result of the trial that they repeat."""
        return tuple(map(self._trials.__getitem__, self._waiting))

    @property
    def unobserved(self) -> tuple[Trial, ...]:
        """Finished trials that the plugins have not observed yet, in journal order."""
        return tuple(map(self._trials.__getitem__, self._unobserved))

    @property
    def finished_count(self) -> int:
        """How many trials have ended, whatever their status."""
        return len(self._trials) - len(self._waiting) - len(self._running)

    @property
    def finished(self) -> int:
        """The old name of `finished_count`."""
        return self.finished_count

    @property
    def interrupted(self) -> bool:
        """The old name of `left_by_user`."""
        return self.left_by_user

    @property
    def elapsed_seconds(self) -> float:
        """How long drivers have worked on this study. The time between a crash and the resume does not count."""
        return self._driven_seconds + max(0.0, self.now - (self.now if self._last_time is None else self._last_time))

    def silent(self, plugin: str) -> bool:
        """True if this plugin has nothing more to propose until new results are observed."""
        return plugin in self._silent

    def not_before(self, trial: Trial) -> float:
        """Return the time before which this waiting trial must not start, because the infrastructure failed it."""
        return self._not_before.get(trial.number, 0.0)

    def duplicate_of(self, trial: Trial) -> Trial | None:
        """Return the earlier trial, not failed, whose configuration this unfinished trial repeats, or None."""
        number = self._duplicates.of(trial.number)
        return None if number is None else self._trials[number]

    def twin(self, trial: Trial) -> Trial | None:
        """The old name of `duplicate_of`."""
        return self.duplicate_of(trial)

    def pruning(self, trial: Trial) -> str | None:
        """Return why this running trial was asked to stop early, or None if it was not."""
        return self._pruning.get(trial.number)

    def stopping(self, trial: Trial) -> bool:
        """True if this running trial's job was asked to stop, by a plugin or by the user."""
        return trial.number in self._pruning or trial.number in self._stopping

    def reports(self, trial: Trial) -> Mapping[str, Report]:
        """Return what this running trial has reported so far, by metric."""
        return self._reports.get(trial.number, {})

    def curve(self, number: int, metric: str | None = None) -> Sequence[float]:
        """Return all values that a trial reported for a metric (default: the first objective's), oldest first."""
        return self._read_curve(number, metric or self.problem.objectives[0].metric, self.sequence)

    def is_own(self, trial: Trial) -> bool:
        """True if a trial belongs to this study: results of its earlier epochs are prior ones, but no strangers'."""
        return not trial.prior or str(trial.job_name).startswith(f"{self.id}-")

    def excerpt(self, problem: Problem, trials: Sequence[Trial]) -> "Study":
        """Return a study of another problem and of these trials alone, without their curves.

        Those that have not finished count as running.
        """
        excerpt = Study(self.id, self.name, problem, lambda *_: ())
        excerpt._trials.extend(trials)
        excerpt._running = {trial.number: None for trial in trials if not trial.finished}
        completed = [it for it in trials if it.status is TrialStatus.Completed and it.losses is not None]
        excerpt._best = min(completed, key=problem.rank).number if completed else None
        excerpt.now, excerpt.cost, excerpt.jobs = self.now, self.cost, len(trials)
        return excerpt

    def history(self, number: int, metric: str | None = None) -> Sequence[float]:
        """Return what a trial and, before it, the trials that it continues have reported: one value for each step."""
        curves = [self.curve(number, metric)]
        before = self.continued(self._trials[number])
        while before is not None:
            curves.append(self.curve(before.number, metric))
            before = self.continued(before)
        return [value for curve in reversed(curves) for value in curve]

    def continued(self, trial: Trial) -> Trial | None:
        """Return the trial whose job left the checkpoint from which this one goes on, or None if it starts afresh."""
        number = trial.proposal.resume_from
        return None if number is None else self.ran(self._trials[number])

    def ran(self, trial: Trial) -> Trial:
        """Return the trial whose job gave this one its result: itself, unless it shares another's."""
        while trial.result_of is not None:
            trial = self._trials[trial.result_of]
        return trial
