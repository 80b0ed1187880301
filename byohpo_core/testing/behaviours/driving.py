"""Checks with a real driver, a journal and simulated jobs: resumes, repeats, reports and strict order."""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from byohpo_core.backends.simulated import Simulated, Simulation
from byohpo_core.errors import InvalidInput, PluginError
from byohpo_core.journal import open_journal
from byohpo_core.logger import logger
from byohpo_core.space.parameters import CategoricalParameter, IntegerParameter, Parameter
from byohpo_core.study.events import Event
from byohpo_core.study.study import Study
from byohpo_core.testing.algorithm import Subject
from byohpo_core.testing.check import (
    GO_ON,
    MAY_END_EARLY,
    NOT_MEMORYLESS,
    Finding,
    Remark,
    advise,
    applicable,
    check,
    expect,
)
from byohpo_core.testing.habits import advise_a_design
from byohpo_core.tuner.tuner import Tuner

_FEW_POINTS: Mapping[str, Parameter] = {
    "n": IntegerParameter(1, 8),
    "kind": CategoricalParameter(["a", "b", "c"]),
    "flag": CategoricalParameter([True, False]),
}
_FEW_NUMBERS: Mapping[str, Parameter] = {"n": IntegerParameter(1, 8), "m": IntegerParameter(1, 6)}


def _few_points(subject: Subject) -> Mapping[str, Parameter]:
    """A space of 48 points, without categories if the constructor refuses them."""
    return _FEW_POINTS if subject.accepts(subject.problem(_FEW_POINTS)) else _FEW_NUMBERS


def _simulated(subject: Subject) -> Simulated:
    """Jobs of different lengths that report three losses each; some fail."""

    def job(hyperparameters: Mapping[str, Any]) -> Simulation:
        number = hyperparameters.get("x", hyperparameters.get("n", 0))
        value = (number - 1) ** 2 + len(str(hyperparameters))
        curve = [
            {f"metric{place}": (value + step) * (place + 1) for place in range(subject.objectives)}
            for step in (5, 2, 0)
        ]
        return Simulation(curve, 60 + 10 * abs(number), "it diverged" if 2 < number < 2.5 else None)

    return Simulated(job)


def _tuner(subject: Subject, space: Mapping[str, Parameter], jobs: int, journal: str, **settings: Any) -> Tuner:
    resource = subject.resource
    amounts: dict[str, Any] = {"resource": resource.name, "max_resource": resource.most} if resource else {}
    return Tuner(
        _simulated(subject),
        [f"metric{number}" for number in range(subject.objectives)],
        dict(space),
        strategy=subject.found.plugin,
        strategy_options=subject.options,
        objective_type="Minimize",
        max_jobs=jobs,
        max_parallel_jobs=3,
        random_seed=3,
        journal=journal,
        progress=False,
        **amounts,
        **settings,
    )


@contextmanager
def _errors_are_findings(did: str) -> Iterator[None]:
    """Turn an error of the plugin into the finding of the check."""
    try:
        yield
    except InvalidInput as error:
        raise Remark(f"the constructor refuses the problem: {error}") from error
    except PluginError as error:
        raise Finding(did=did, seen=str(error), expected="no error") from error


def _spends(subject: Subject, study: Study, did: str, *, small: bool = False) -> None:
    """Expect that the study ended because its budget is spent."""
    jobs = study.problem.max_jobs
    applicable(study.jobs >= jobs or not subject.traits.finite, MAY_END_EARLY)
    if study.jobs < jobs:
        advise_a_design(subject)
    reason = str(study.stop_reason)
    # In a small space, an algorithm may repeat itself until the study ends. An algorithm may also stop it.
    core = reason.startswith(("max_jobs", "no more proposals", "nothing new" if not small else "max_jobs"))
    advise(core, f"the study ended after {study.jobs} of {jobs} jobs: {reason}")
    expect(study.jobs == jobs, did=did, seen=f"{study.jobs} jobs, then {reason!r}", expected=f"{jobs} jobs", mend=GO_ON)


@check("driving")
def goes_on_when_repeats_are_reused(subject: Subject) -> None:
    """In a space of 48 points, where repeats share a known result, the algorithm spends the whole budget."""
    did = "ran a study in a space of 48 points, in which repeats are reused"
    with _errors_are_findings(did):
        _spends(subject, _tuner(subject, _few_points(subject), 12, ":memory:").fit(job_name="s"), did, small=True)


@check("driving")
def goes_on_when_repeats_have_jobs(subject: Subject) -> None:
    """In a space of 48 points, where each repeat has a job of its own, the algorithm spends the whole budget."""
    did = 'ran a study with duplicates="run"'
    with _errors_are_findings(did):
        _spends(
            subject,
            _tuner(subject, _few_points(subject), 30, ":memory:", duplicates="run").fit(job_name="s"),
            did,
            small=True,
        )


@check("driving")
def works_in_strict_order(subject: Subject) -> None:
    """With `order="strict"`, the algorithm spends the whole budget."""
    did = 'ran a study with order="strict"'
    with _errors_are_findings(did):
        _spends(subject, _tuner(subject, subject.mixed, 16, ":memory:", order="strict").fit(job_name="s"), did)


@check("driving")
def resumes_from_a_journal(subject: Subject) -> None:
    """A study resumed from a part of its journal gives the same trials as the study that ran through."""
    with _errors_are_findings("ran a study"):
        _tuner(subject, subject.mixed, 16, "whole.db").fit(job_name="s")
    whole = open_journal("whole.db")
    log = whole.find("s")
    events = [*log.read()]
    expected = _outcomes(Tuner.attach("s", journal="whole.db").study)
    for third in (1, 2):
        part = open_journal(f"part{third}.db")
        part.take(log.record, events[: third * len(events) // 3])
        part.close()
        tuner = Tuner.attach(
            "s",
            journal=f"part{third}.db",
            estimator=_simulated(subject),
            strategy=subject.found.plugin,
            progress=False,
        )
        did = f"resumed a study from {third} of 3 parts of its journal"
        with _errors_are_findings(did):
            outcomes = _outcomes(tuner.resume())
        mend = "let proposals depend only on the seed, the problem and the observed trials"
        expect(outcomes == expected, did=did, seen="other trials", expected="the same trials", mend=mend)
    whole.close()


@check("driving")
def goes_on_with_the_arithmetic_of_another_machine_if_memoryless(subject: Subject) -> None:
    """A memoryless algorithm goes on from a journal whose numbers differ in their last digits from its own."""
    applicable(subject.traits.memoryless, NOT_MEMORYLESS)
    did = "resumed a study whose results and proposals differ in the last digit"
    with _errors_are_findings(did):
        _tuner(subject, subject.mixed, 8, "here.db").fit(job_name="s")
        log = open_journal("here.db").find("s")
        open_journal("there.db").take(log.record, [_from_elsewhere(event) for event in log.read()])
        tuner = Tuner.attach(
            "s", journal="there.db", estimator=_simulated(subject), strategy=subject.found.plugin, progress=False
        )
        _spends(subject, tuner.resume(max_jobs=16), did)


def _from_elsewhere(event: Event) -> Event:
    """The event as a processor would write it that rounds otherwise."""

    def changed(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: changed(it) for name, it in part.items()}
        if isinstance(part, list):
            return [changed(it) for it in part]
        return math.nextafter(part, 0.5) if isinstance(part, float) and 0 < abs(part) < 1e6 else part

    return attrs.evolve(event, body=changed(event.body))


def _outcomes(study: Study | None) -> list[object]:
    """The configuration, the status and the values of each trial."""
    return [(dict(trial.hyperparameters), str(trial.status), trial.values) for trial in study.trials] if study else []


@check("driving")
def bears_every_event(subject: Subject) -> None:
    """`happened`, if the algorithm has it, raises no error for any event of a study."""
    with _warnings() as warnings:
        _tuner(subject, subject.mixed, 8, ":memory:").fit(job_name="s")
    failed = [it.getMessage() for it in warnings if it.exc_info]
    expect(not failed, did="ran a study", seen="; ".join(failed), expected="no error in happened and close")


class _Collector(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self.emit = records.append  # type: ignore[assignment]


@contextmanager
def _warnings() -> Iterator[list[logging.LogRecord]]:
    """Collect what byohpo warns of."""
    records: list[logging.LogRecord] = []
    handler = _Collector(records)
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)
