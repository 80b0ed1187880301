"""The live, read-only view of a search that plugins and users hold; `study/fold.py` keeps it up to date."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import overload

from byohpo_core.study.duplicates import Duplicates
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
    """A search as its journal tells it: read-only for plugins and users, and always up to date while a driver runs.

    Reading it costs no copy; `trials` and `best` may be asked for at every step.
    """

    def __init__(
        self,
        study_id: str,
        name: str,
        problem: Problem,
        read_curve: Callable[[int, str, int], Sequence[float]],
    ) -> None:
        self.id = study_id
        """The name plus four characters drawn at creation: the beginning of every job's name."""
        self.name = name
        self.problem = problem
        self.stop_reason: str | None = None
        """Why nothing more is proposed; None while the study can go on."""
        self.left_by_user = False
        """Whether the user cut it short, by Ctrl-C or `stop_tuning_job`, and it has not gone on since."""
        self.jobs = 0
        """Trials that had a job of their own: what `max_jobs` limits."""
        self.epoch_start = 0
        """The number of the first trial of the present epoch."""
        self.reused_in_a_row = 0
        """Trials observed since the last that had a job of its own: they repeated what was known."""
        self.finished_since_best = 0
        """Finished trials since the incumbent."""
        self.sequence = 0
        """How many events the journal holds."""
        self.cost = 0.0
        """What all attempts of all trials have cost, as far as their backend tells."""
        self.now = 0.0
        """The present, in seconds on the backend's clock."""
        self.trials = Trials([])
        self._trials = self.trials._trials  # noqa: SLF001 - the view's list is ours
        self._read_curve = read_curve
        self._best: int | None = None
        self._waiting: dict[int, None] = {}
        self._running: dict[int, None] = {}
        self._unobserved: dict[int, None] = {}
        self._silent: set[str] = set()
        self._duplicates = Duplicates()
        self._reports: dict[int, dict[str, Report]] = {}
        self._pruning: dict[int, str] = {}
        self._stopping: set[int] = set()
        self._driven_seconds = 0.0
        self._last_time: float | None = None

    def __repr__(self) -> str:
        return f"<Study {self.id!r}: {len(self._trials)} trials, {self.stop_reason or 'not ended'}>"

    @property
    def best(self) -> Trial | None:
        """The incumbent: the completed trial with the lowest loss in the first objective, the earliest among equals."""
        return None if self._best is None else self._trials[self._best]

    @property
    def pareto_front(self) -> tuple[Trial, ...]:
        """Completed trials that no other beats in one objective and equals in the rest, by number."""
        completed = (trial for trial in self._trials if trial.status is TrialStatus.Completed)
        front, _ = by_domination(trial for trial in completed if trial.losses is not None)
        return tuple(sorted(front, key=lambda trial: trial.number))

    @property
    def running(self) -> tuple[Trial, ...]:
        """Trials whose jobs are meant to run now."""
        return tuple(map(self._trials.__getitem__, self._running))

    @property
    def waiting(self) -> tuple[Trial, ...]:
        """Trials that have no job yet: for a slot, or for the running trial that they repeat."""
        return tuple(map(self._trials.__getitem__, self._waiting))

    @property
    def unobserved(self) -> tuple[Trial, ...]:
        """Finished trials that the plugins have not been told of, in journal order."""
        return tuple(map(self._trials.__getitem__, self._unobserved))

    @property
    def finished_count(self) -> int:
        """How many trials are over, however they ended."""
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
        """How long drivers have been at work on this study; the time between a crash and its resume is not counted."""
        return self._driven_seconds + max(0.0, self.now - (self.now if self._last_time is None else self._last_time))

    def silent(self, plugin: str) -> bool:
        """Whether this plugin has nothing more to propose until something new is observed."""
        return plugin in self._silent

    def duplicate_of(self, trial: Trial) -> Trial | None:
        """The earlier trial, not failed, that has or waits for the job of this unfinished one's configuration."""
        number = self._duplicates.of(trial.number)
        return None if number is None else self._trials[number]

    def twin(self, trial: Trial) -> Trial | None:
        """The old name of `duplicate_of`."""
        return self.duplicate_of(trial)

    def pruning(self, trial: Trial) -> str | None:
        """Why this running trial was asked to stop early, if it was."""
        return self._pruning.get(trial.number)

    def stopping(self, trial: Trial) -> bool:
        """Whether this running trial's job was asked to stop, by a plugin or by the user."""
        return trial.number in self._pruning or trial.number in self._stopping

    def reports(self, trial: Trial) -> Mapping[str, Report]:
        """What this running trial has published so far, by metric."""
        return self._reports.get(trial.number, {})

    def curve(self, number: int, metric: str | None = None) -> Sequence[float]:
        """Every value that a trial reported of a metric (the first objective's if none is named), oldest first."""
        return self._read_curve(number, metric or self.problem.objectives[0].metric, self.sequence)
