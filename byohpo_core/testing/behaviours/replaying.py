"""Checks of replays: an algorithm that is rebuilt from the journal goes on as before."""

from collections.abc import Mapping
from typing import Any

from byohpo_core.backends.simulated import Simulated, Simulation
from byohpo_core.journal import open_journal
from byohpo_core.study.trial import Trial
from byohpo_core.testing.algorithm import MIXED, Judge, Subject, sometimes_failing, sphere
from byohpo_core.testing.check import check
from byohpo_core.testing.rehearsal import Rehearsal, rehearse
from byohpo_core.tuner.tuner import Tuner

_ADVICE = "let proposals depend only on the seed, the problem and the observed trials"


def _at_every_prefix(subject: Subject, judge: Judge, slots: int, jobs: int = 24, order: str = "first") -> None:
    """Assert that the algorithm proposes the same after a replay of the first calls, for each number of calls."""
    options = subject.options
    with rehearse(subject, subject.problem(MIXED, jobs=jobs, slots=slots)) as whole:
        whole.run(judge, order=order)
        made = whole.configurations
    for prefix in range(len(whole.calls)):
        if whole.calls[prefix][0] != "ask":
            continue
        with whole.replayed(subject, options, prefix) as again:
            again.ask(whole.calls[prefix][1])
            there = again.configurations
        assert there == made[: len(there)], (
            f"rebuilt from the first {prefix} of {len(whole.calls)} calls, the algorithm proposes something else; "
            f"{_ADVICE}"
        )


@check("replay")
def is_the_same_after_a_replay_of_any_length(subject: Subject) -> None:
    """Rebuilt from the seed and any number of its first calls, the algorithm proposes the same."""
    _at_every_prefix(subject, sphere, 3)


@check("replay")
def is_the_same_after_a_replay_with_failures(subject: Subject) -> None:
    """Rebuilt from calls in which every third trial failed, the algorithm proposes the same."""
    _at_every_prefix(subject, sometimes_failing, 3)


@check("replay")
def is_the_same_after_a_replay_with_one_slot(subject: Subject) -> None:
    """Rebuilt from the calls of a study with one slot, the algorithm proposes the same."""
    _at_every_prefix(subject, sphere, 1, 16)


@check("replay")
def is_the_same_after_a_replay_of_results_out_of_order(subject: Subject) -> None:
    """Rebuilt from calls in which the newest trial always ended first, the algorithm proposes the same."""
    _at_every_prefix(subject, sphere, 5, 24, "last")


@check("replay")
def is_the_same_when_two_are_rebuilt_at_once(subject: Subject) -> None:
    """Two copies that are rebuilt from the same calls propose the same."""
    with rehearse(subject, subject.problem(MIXED, jobs=16)) as whole:
        whole.run()
    copies: list[Rehearsal] = [whole.replayed(subject, subject.options, len(whole.calls)) for _ in range(2)]
    answers = []
    for copy in copies:
        first = len(copy.configurations)
        copy.ask(4)
        answers.append(copy.configurations[first:])
        copy.close()
    assert answers[0] == answers[1], (
        f"two copies that were rebuilt from the same calls propose different things; {_ADVICE}"
    )


@check("replay")
def resumes_from_a_journal(subject: Subject) -> None:
    """A study resumed from half of its journal gives the same trials as the study that ran through."""

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
    whole = open_journal("whole.db")
    log = whole.find("s")
    events = [*log.read()]
    expected = _outcomes(Tuner.attach("s", journal="whole.db").study)
    half = open_journal("half.db")
    # Job names begin with the study's id, which is random, so they are not compared.
    half.create("s", log.record.manifest, events[: len(events) // 2])
    half.close()
    whole.close()
    tuner = Tuner.attach(
        "s", journal="half.db", estimator=Simulated(job), strategy=subject.found.plugin, progress=False
    )
    assert _outcomes(tuner.resume()) == expected, f"the resumed study gives other trials; {_ADVICE}"


def _outcomes(study: object) -> list[object]:
    """The configuration, the status and the values of each trial."""
    trials: list[Trial] = list(getattr(study, "trials", ()))
    return [(dict(trial.hyperparameters), str(trial.status), trial.values) for trial in trials]
