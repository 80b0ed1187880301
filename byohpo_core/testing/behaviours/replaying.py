"""Rebuilt from the journal, it is where it was."""

from collections.abc import Mapping
from typing import Any

from byohpo_core.backends.simulated import Simulated, Simulation
from byohpo_core.journal import Journal
from byohpo_core.study import Trial
from byohpo_core.testing.algorithm import MIXED, Judge, Subject, sometimes_failing, sphere
from byohpo_core.testing.check import check
from byohpo_core.testing.rehearsal import Rehearsal, rehearse
from byohpo_core.tuner import Tuner


def _at_every_prefix(subject: Subject, judge: Judge, slots: int, jobs: int = 24, order: str = "first") -> None:
    options = subject.options
    with rehearse(subject, subject.problem(MIXED, jobs=jobs, slots=slots)) as whole:
        whole.run(judge, order=order)
        answers = [argument for kind, argument in whole.calls if kind == "ask"]
        made = whole.configurations
    for prefix in range(len(whole.calls)):
        if whole.calls[prefix][0] != "ask":
            continue
        with whole.replayed(subject, options, prefix) as again:
            again.ask(whole.calls[prefix][1])
            there = again.configurations
        assert there == made[: len(there)], (
            f"rebuilt from the first {prefix} calls it proposes something else (of {len(answers)} questions)"
        )


@check("replay")
def is_the_same_after_a_replay_of_any_length(subject: Subject) -> None:
    """Rebuilt from the seed and the first calls, whatever their number, it proposes the same."""
    _at_every_prefix(subject, sphere, 3)


@check("replay")
def is_the_same_after_a_replay_with_failures(subject: Subject) -> None:
    """Every third trial has failed."""
    _at_every_prefix(subject, sometimes_failing, 3)


@check("replay")
def is_the_same_after_a_replay_with_one_slot(subject: Subject) -> None:
    """One trial at a time."""
    _at_every_prefix(subject, sphere, 1, 16)


@check("replay")
def is_the_same_after_a_replay_of_results_out_of_order(subject: Subject) -> None:
    """The last trial to begin was the first to end."""
    _at_every_prefix(subject, sphere, 5, 24, "last")


@check("replay")
def is_the_same_when_two_are_rebuilt_at_once(subject: Subject) -> None:
    """Two copies, rebuilt side by side, propose the same."""
    with rehearse(subject, subject.problem(MIXED, jobs=16)) as whole:
        whole.run()
    copies: list[Rehearsal] = [whole.replayed(subject, subject.options, len(whole.calls)) for _ in range(2)]
    answers = []
    for copy in copies:
        first = len(copy.configurations)
        copy.ask(4)
        answers.append(copy.configurations[first:])
        copy.close()
    assert answers[0] == answers[1], "two copies that were rebuilt alike propose different things"


@check("replay")
def resumes_from_a_journal(subject: Subject) -> None:
    """A real study on disk, left by its driver in the middle, goes on as the one that was not."""

    def job(hyperparameters: Mapping[str, Any]) -> Simulation:
        value = (hyperparameters["x"] - 1) ** 2 + hyperparameters["layers"]
        metrics = {f"metric{number}": value * (number + 1) for number in range(subject.objectives)}
        return Simulation(metrics, 60 + 10 * abs(hyperparameters["x"]))

    names = [f"metric{number}" for number in range(subject.objectives)]
    Tuner(
        Simulated(job),
        names,
        dict(MIXED),
        strategy=subject.found.plugin,
        strategy_options=subject.options,
        objective_type="Minimize",
        max_jobs=12,
        max_parallel_jobs=3,
        random_seed=3,
        journal="whole.db",
        progress=False,
    ).fit(job_name="s")
    whole = Journal("whole.db")
    record = whole.find("s")
    events = list(whole.read(record.id))
    expected = _outcomes(Tuner.attach("s", journal="whole.db").study)
    half = Journal("half.db")
    copied = half.create("s", record.manifest)
    # The study's id is drawn, and job names begin with it.
    half.append(copied.id, events[: len(events) // 2])
    half.close()
    whole.close()
    tuner = Tuner.attach(
        "s", journal="half.db", estimator=Simulated(job), strategy=subject.found.plugin, progress=False
    )
    assert _outcomes(tuner.resume()) == expected, "resumed in the middle, the study went another way"


def _outcomes(study: object) -> list[object]:
    trials: list[Trial] = list(getattr(study, "trials", ()))
    return [(dict(trial.hyperparameters), str(trial.status), trial.values) for trial in trials]
