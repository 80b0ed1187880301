"""A study that a check drives step by step, without jobs or a journal."""

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from byohpo_core.errors import InvalidInput, PluginError
from byohpo_core.plugins.hooks import StudyPlugins
from byohpo_core.plugins.options import build
from byohpo_core.study.events import Event, EventKind
from byohpo_core.study.fold import Fold
from byohpo_core.study.naming import job_name
from byohpo_core.study.problem import Problem
from byohpo_core.study.trial import Proposal, Trial, TrialStatus
from byohpo_core.testing.algorithm import Judge, Outcome, Subject, sphere
from byohpo_core.testing.check import Finding, Remark


class Rehearsal:
    """One study of an algorithm; the check asks for trials, finishes them and lets the algorithm observe them."""

    def __init__(self, subject: Subject, problem: Problem, options: Mapping[str, Any], name: str = "kit") -> None:
        self.problem = problem
        self.study = Fold(f"{name}-0000", name, problem, self._curve)
        try:
            self.plugin = build(subject.found, problem, options)
        except InvalidInput as error:
            raise Remark(f"the constructor refuses the problem: {error}") from error
        spec = subject.found.spec(options)
        self._name = spec.name
        self.plugins = StudyPlugins([spec], [self.plugin])
        self.answers: list[list[tuple[Any, Any]]] = []
        """Each answer: its proposals as the algorithm returned them, each with a copy that was made at once."""
        self.calls: list[tuple[str, Any]] = []
        """The calls of `propose` and `observe` so far, for a replay."""
        self._curves: dict[int, tuple[float, ...]] = {}
        self.clock = 0.0
        self.seconds: Callable[[Trial], float] = lambda _: 60.0
        """The time that a trial takes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        try:
            getattr(self.plugin, "close", lambda: None)()
        except Exception as error:
            raise Finding(
                did="closed the algorithm",
                seen=f"{type(error).__name__}: {error}",
                expected="no error",
                mend="let close work at any time, also twice",
            ) from error

    @property
    def configurations(self) -> list[dict[str, Any]]:
        return [dict(trial.proposal.hyperparameters) for trial in self.study.trials if trial.plugin == self._name]

    def ask(self, count: int = 1) -> list[Trial]:
        """Ask the algorithm for up to *count* trials, and start them."""
        first = len(self.study.trials)
        asked = f"asked for {count} proposals, with {first} trials so far"
        answer = self._call(asked, self.plugins.answer, self._name, self.study, count)
        with suppress(Exception):  # the next line reports an answer that is not a list of proposals
            self.answers.append([(proposal, copy.deepcopy(proposal)) for proposal in answer])
        accepted = self._call(asked, self.plugins.accept, self._name, self.study, count, answer)
        self.calls.append(("ask", count))
        self._apply(
            EventKind.Asked, plugin=self._name, count=count, answer=[proposal.to_json() for proposal in accepted]
        )
        for trial in self.study.trials[first:]:
            self._intend(trial)
        return [self.study.trials[number] for number in range(first, len(self.study.trials))]

    def would_propose(self, count: int, study: Fold | None = None) -> list[dict[str, Any]]:
        """What the algorithm answers for this study, or for another one, without a trial coming of it."""
        study = study or self.study
        asked = f"asked for {count} proposals, with {len(study.trials)} trials so far"
        answer: list[Proposal] = self._call(asked, self.plugins.propose, self._name, study, count)
        return [dict(proposal.hyperparameters) for proposal in answer]

    def inject(self, configuration: Mapping[str, Any], *, key: Any = None) -> Trial:
        """Start a trial that another plugin proposed."""
        body = {"hyperparameters": dict(configuration), "key": key}
        self._apply(EventKind.Asked, plugin="another", count=1, answer=[body])
        self._intend(self.study.trials[-1])
        return self.study.trials[-1]

    def know(self, results: Sequence[tuple[Mapping[str, Any], Outcome]], *, key: Any = None) -> None:
        """Add results of an earlier study; `observe` gives them to the algorithm."""
        bodies = []
        for configuration, outcome in results:
            status, losses = _split(outcome)
            body = {"hyperparameters": dict(configuration), "plugin": "another", "status": status.value, "job": "old-0"}
            bodies.append({**body, "key": key, "metrics": self._metrics(losses), "reason": None})
        self._apply(EventKind.Imported, study="old", trials=bodies)

    def finish(self, trials: Sequence[Trial], judge: Judge = sphere) -> None:
        """Give trials their results; `observe` gives them to the algorithm."""
        for trial in trials:
            status, losses = _split(judge(self.problem, trial))
            started = self.clock
            self.clock += self.seconds(trial)
            self._apply(
                EventKind.Finished,
                trial=trial.number,
                status=status.value,
                metrics=self._metrics(losses),
                reason=None if status is TrialStatus.Completed else "the kit ended it",
                started=started,
                ended=self.clock,
            )

    def observe(self, order: Callable[[list[Trial]], Sequence[Trial]] = list) -> None:
        """Let the algorithm observe all trials that have finished since the last call."""
        trials = order(list(self.study.unobserved))
        if trials:
            self.calls.append(("observe", trials))
            self._apply(EventKind.Observed, trials=[trial.number for trial in trials])
            told = f"told it of {len(trials)} trials ({', '.join(sorted({str(trial.status) for trial in trials}))})"
            self._call(told, self.plugins.observe, self.study, trials)

    def stop(self) -> str | None:
        asked = f"called stop after {self.study.finished_count} results"
        reason: str | None = self._call(asked, self.plugins.stop, self.study)
        return reason

    def prune(self, trial: Trial, curve: Sequence[float]) -> str | None:
        """Ask whether to stop a running trial that has reported these losses in the first objective."""
        objective = self.problem.objectives[0]
        self._curves[trial.number] = tuple(map(objective.loss, curve))
        asked = f"called prune for a trial with the losses {[float(f'{loss:.3g}') for loss in curve]}"
        decision: tuple[str, str] | None = self._call(asked, self.plugins.prune, self.study, trial)
        return None if decision is None else decision[1]

    def tell(self, trials: Sequence[Trial], judge: Judge = sphere) -> None:
        """Finish trials and let the algorithm observe them."""
        self.finish(trials, judge)
        self.observe()

    def run(
        self,
        judge: Judge = sphere,
        *,
        order: str = "first",
        together: int = 1,
        asked: int = 64,
        until: int | None = None,
    ) -> int:
        """Run until the budget or *until* is spent, and return the number of the algorithm's trials.

        Each time, *together* running trials end: the `first`, the `last` or `random` ones, as *order* says. The
        algorithm is asked for at most *asked* trials at once. The study ends early if no trial runs and none is
        proposed.
        """
        generator = random.Random(7)  # noqa: S311 - not for cryptography
        running: list[Trial] = []
        jobs, most = len(self.configurations), self.problem.max_jobs if until is None else until
        while True:
            wanted = min(self.problem.max_parallel_jobs - len(running), most - jobs, asked)
            fresh = self.ask(wanted) if wanted > 0 else []
            running += fresh
            jobs += len(fresh)
            if not running:
                return jobs
            if order == "random":
                generator.shuffle(running)
            ended = running[-together:] if order == "last" else running[:together]
            running = running[:-together] if order == "last" else running[together:]
            self.tell(ended, judge)

    def replayed(self, subject: Subject, options: Mapping[str, Any], calls: int) -> "Rehearsal":
        """A new study that repeats the first *calls* calls of this one."""
        other = Rehearsal(subject, self.problem, options)
        for kind, argument in self.calls[:calls]:
            if kind == "ask":
                other.ask(argument)
            else:
                for trial in argument:
                    other.finish([other.study.trials[trial.number]], _always(_outcome(trial)))
                other.observe()
        return other

    def _curve(self, number: int, metric: str, _sequence: int) -> tuple[float, ...]:
        """The reported values of a trial: those that `prune` was called with, else its result, once."""
        if number in self._curves:
            return self._curves[number]
        metrics = self.study.trials[number].metrics
        return (metrics[metric],) if metric in metrics else ()

    def _metrics(self, losses: tuple[float, ...] | None) -> dict[str, float]:
        """The metrics that give these losses."""
        if losses is None:
            return {}
        return {
            objective.metric: objective.loss(loss)
            for objective, loss in zip(self.problem.objectives, losses, strict=True)
        }

    def _intend(self, trial: Trial) -> None:
        job = job_name(self.study.id, trial.number, 0)
        self._apply(EventKind.Intended, trial=trial.number, attempt=0, job=job)

    def _apply(self, kind: EventKind, **body: Any) -> None:
        self.study.apply(Event(self.study.sequence, kind, self.clock, body))

    def _call(self, did: str, hook: Callable[..., Any], *arguments: Any) -> Any:
        """Call a hook; an error of the plugin becomes the finding of the check."""
        try:
            return hook(*arguments)
        except PluginError as error:
            raise Finding(did=did, seen=str(error), expected="an answer as in the hooks' manual") from error


def rehearse(subject: Subject, problem: Problem | None = None, **options: Any) -> Rehearsal:
    """Begin a study of an algorithm; close it, or use it in a `with` statement."""
    return Rehearsal(subject, problem or subject.problem(), {**subject.options, **options})


def proposals(
    subject: Subject, problem: Problem | None = None, judge: Judge = sphere, **run: Any
) -> list[dict[str, Any]]:
    """Run a whole study and return its configurations in order."""
    with rehearse(subject, problem) as rehearsal:
        rehearsal.run(judge, **run)
        return rehearsal.configurations


def _split(outcome: Outcome) -> tuple[TrialStatus, tuple[float, ...] | None]:
    if isinstance(outcome, TrialStatus):
        return outcome, None
    if isinstance(outcome[0], TrialStatus):
        return outcome[0], outcome[1]
    return TrialStatus.Completed, outcome


def _always(outcome: Outcome) -> Judge:
    return lambda *_: outcome


def _outcome(trial: Trial) -> Outcome:
    return trial.status if trial.losses is None else (trial.status, trial.losses)
