"""How often does an algorithm end with a better result than random search? In half of the studies, if no better."""

import json
import math
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs

from byohpo_core.study.problem import Problem
from byohpo_core.study.trial import Trial
from byohpo_core.testing.algorithm import Outcome, Subject
from byohpo_core.testing.benchmarks import BENCHMARKS, Benchmark, Instance
from byohpo_core.testing.isolation import isolated
from byohpo_core.testing.rehearsal import rehearse

JOBS = 100
SHELF = Path(__file__).with_name("strength.json")
"""The strength of the project's own algorithms, as `nox -s strength` measured it."""
_NEAR = 0.05
_Z = 1.96
_BATCH_SECONDS = 10.0
_STUDY_SECONDS = 300.0
"""A study hangs if it uses more processor time than this: 3 s for each trial."""


@attrs.frozen
class Tally:
    """In how many studies an algorithm beat random search; a draw counts as half."""

    EVEN: ClassVar[float] = 0.5
    wins: float = 0.0
    seeds: int = 0
    trouble: str = ""
    """Why there are no more studies."""

    @property
    def probability(self) -> float:
        return self.wins / self.seeds if self.seeds else self.EVEN

    @property
    def interval(self) -> tuple[float, float]:
        """The probability's 95 % interval (Wilson 1927, JASA 22)."""
        if not self.seeds:
            return 0.0, 1.0
        p, n, z = self.probability, self.seeds, _Z
        middle, reach = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (middle - reach) / (1 + z * z / n), (middle + reach) / (1 + z * z / n)

    @property
    def is_near(self) -> bool:
        """Whether the interval reaches no farther than 0.05 from its middle."""
        low, high = self.interval
        return high - low <= 2 * _NEAR

    def plus(self, outcomes: list[float]) -> "Tally":
        """The tally with more studies."""
        return attrs.evolve(self, wins=self.wins + sum(outcomes), seeds=self.seeds + len(outcomes))

    def to_json(self) -> dict[str, Any]:
        return attrs.asdict(self)


def measure(subject: Subject, objectives: int, seconds: float) -> Iterator[Mapping[str, Tally]]:
    """Tallies by benchmark, again and again, until all intervals are narrow or the time is over.

    Each benchmark gets at least one study, however short the time is.
    """
    ends = time.monotonic() + seconds
    table = {benchmark.name: Tally() for benchmark in BENCHMARKS}
    open_ones = list(BENCHMARKS)
    while open_ones:
        for benchmark in tuple(open_ones):
            left, tally = max(0.0, ends - time.monotonic()), table[benchmark.name]
            if left == 0 and tally.seeds:
                return
            share = min(_BATCH_SECONDS, left / len(open_ones))
            table[benchmark.name] = tally = _more(subject, objectives, benchmark, tally, share)
            if tally.trouble or tally.is_near:
                open_ones.remove(benchmark)
            yield dict(table)


def _more(subject: Subject, objectives: int, benchmark: Benchmark, tally: Tally, seconds: float) -> Tally:
    """The tally with the studies of some seconds more, at least one, which run in a process of their own."""
    answer = isolated(lambda: _batch(subject, objectives, benchmark, tally.seeds, seconds), seconds + _STUDY_SECONDS)
    return attrs.evolve(tally, trouble=answer.complaint) if answer.value is None else tally.plus(answer.value)


def _batch(subject: Subject, objectives: int, benchmark: Benchmark, first: int, seconds: float) -> list[float]:
    ends = time.monotonic() + seconds
    outcomes: list[float] = []
    while not outcomes or time.monotonic() < ends:
        outcomes.append(duel(subject, objectives, benchmark, first + len(outcomes)))
    return outcomes


def duel(subject: Subject, objectives: int, benchmark: Benchmark, seed: int) -> float:
    """1 if a study ends with a better result than random search on the same problem, 0 with a worse, else a half."""
    problem = subject.problem(benchmark.parameters, objectives=objectives, seed=seed)
    problem = attrs.evolve(problem, max_jobs=JOBS, max_parallel_jobs=benchmark.slots)
    instance = Instance(benchmark, seed, objectives)
    mine, its = _study(subject, problem, instance, benchmark.order), _random_search(instance, seed)
    return 0.5 if mine == its else float(mine < its)


def _study(subject: Subject, problem: Problem, instance: Instance, order: str) -> float:
    noise = random.Random(problem.seed)  # noqa: S311 - not for cryptography

    def judge(_: Problem, trial: Trial) -> Outcome:
        return instance.observed(trial.proposal.hyperparameters, noise)

    with rehearse(subject, problem) as rehearsal:
        rehearsal.run(judge, order=order)
        trials = rehearsal.study.trials
        return instance.score([(it.proposal.hyperparameters, it.losses) for it in trials if it.losses is not None])


def _random_search(instance: Instance, seed: int) -> float:
    generator = random.Random(f"the rival {seed}")  # noqa: S311 - not for cryptography
    sampled = [instance.space.sample(generator) for _ in range(JOBS)]
    return instance.score([(it, instance.observed(it, generator)) for it in sampled])


def shelf(objectives: int) -> dict[str, dict[str, Tally]]:
    """The stored tallies of the project's algorithms for so many objectives, by algorithm and benchmark."""
    if not SHELF.exists():
        return {}
    stored = json.loads(SHELF.read_text(encoding="utf-8"))["objectives"].get(str(objectives), {})
    return {name: {of: Tally(**tally) for of, tally in row.items()} for name, row in stored.items()}
