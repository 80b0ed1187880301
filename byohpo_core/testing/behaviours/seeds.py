"""Checks of seeds: proposals depend on the seed, the problem and the results, and on nothing else."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from byohpo_core.study.trial import Trial
from byohpo_core.testing.algorithm import CUBE, MIXED, Subject
from byohpo_core.testing.check import NOT_SEEDED, NotApplicableError, applicable, check
from byohpo_core.testing.rehearsal import Rehearsal, proposals, rehearse

_DIFFERENT = "the proposals are different"


def _made(subject: Subject, seed: int = 1, jobs: int = 30) -> list[dict[str, Any]]:
    return proposals(subject, subject.problem(MIXED, seed=seed, jobs=jobs))


@check("seeds")
def repeats_itself_with_the_same_seed(subject: Subject) -> None:
    """The same seed gives the same proposals."""
    assert _made(subject) == _made(subject), f"{_DIFFERENT} the second time; draw from one random.Random(problem.seed)"


@check("seeds")
def proposes_something_else_with_another_seed(subject: Subject) -> None:
    """Different seeds give different proposals."""
    applicable(subject.traits.seeded, NOT_SEEDED)
    assert len({json.dumps(_made(subject, seed)) for seed in range(4)}) == 4, (
        "the proposals do not depend on the seed; use problem.seed, or declare Traits(seeded=False)"
    )


@check("seeds")
def accepts_any_seed(subject: Subject) -> None:
    """The algorithm works with seeds from 0 to 2**32 - 1."""
    for seed in (0, 2**31, 2**32 - 1):
        assert _made(subject, seed, 8), f"with the seed {seed} the algorithm proposes nothing"


@check("seeds")
def repeats_itself_in_another_process(subject: Subject) -> None:
    """The same seed gives the same proposals in processes with different hash seeds."""
    target = f"{subject.found.plugin.__module__}:{subject.found.plugin.__qualname__}"
    if "<locals>" in target or target.startswith("__main__"):
        raise NotApplicableError("the class of the algorithm cannot be imported by name")
    command = [sys.executable, "-m", "byohpo_core.testing.child", target, json.dumps(subject.options)]
    answers = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
        if "ModuleNotFoundError" in done.stderr:
            raise NotApplicableError("another process cannot import the module of the algorithm")
        assert done.returncode == 0, f"the algorithm fails in another process: {done.stderr.strip().splitlines()[-1:]}"
        answers.append(json.loads(done.stdout))
    assert answers[0] == answers[1] == _made(subject), (
        f"{_DIFFERENT} in another process; do not use hash(), the order of a set or the id of a process"
    )


@check("seeds")
def leaves_the_global_generator_alone(subject: Subject) -> None:
    """The algorithm does not change the global state of `random`."""
    random.seed(5)
    before = random.getstate()
    _made(subject)
    assert random.getstate() == before, (
        "the algorithm uses or seeds the global `random`; use a random.Random of its own"
    )


@check("seeds")
def does_not_use_the_global_generator(subject: Subject) -> None:
    """The global state of `random` and `numpy.random` does not change the proposals."""
    made = []
    for seed in (1, 2):
        random.seed(seed)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(seed)
        made.append(_made(subject))
    assert made[0] == made[1], f"{_DIFFERENT} with other global seeds; draw from one random.Random(problem.seed)"


@check("seeds")
def leaves_numpys_global_generator_alone(subject: Subject) -> None:
    """The algorithm does not change the global state of `numpy.random`."""
    applicable("numpy" in sys.modules, "the algorithm does not use NumPy")
    numpy = sys.modules["numpy"]
    numpy.random.seed(5)
    before = repr(numpy.random.get_state())
    _made(subject)
    assert repr(numpy.random.get_state()) == before, (
        "the algorithm uses or seeds the global `numpy.random`; use a numpy.random.default_rng of its own"
    )


@check("seeds")
def does_not_read_the_clock(subject: Subject) -> None:
    """The time of day does not change the proposals."""
    made = _made(subject)
    with (
        mock.patch("time.time", lambda now=time.time: now() + 3e7),
        mock.patch("time.time_ns", lambda now=time.time_ns: now() + 3 * 10**16),
        mock.patch("time.monotonic", lambda now=time.monotonic: now() * 3 + 1e6),
        mock.patch("time.perf_counter", lambda now=time.perf_counter: now() * 3 + 1e6),
    ):
        later = _made(subject)
    assert made == later, f"{_DIFFERENT} at another time; do not read the clock"


def _of_lengths(longest: int) -> Callable[[Trial], float]:
    """Trials that last from one to *longest* times ten minutes."""
    return lambda trial: 600.0 * (1 + trial.number % longest)


@check("seeds")
def does_not_depend_on_when_trials_ran(subject: Subject) -> None:
    """The time that trials take does not change the proposals if they end in the same order."""
    made = []
    for longest in (1, 7):
        with rehearse(subject, subject.problem(MIXED, jobs=30)) as rehearsal:
            rehearsal.seconds = _of_lengths(longest)
            rehearsal.run()
            made.append(rehearsal.configurations)
    assert made[0] == made[1], f"{_DIFFERENT} when trials take longer; do not use their times"


@check("seeds")
def does_not_depend_on_the_studys_name(subject: Subject) -> None:
    """The study's name and id, and BYOHPO_JOURNAL, do not change the proposals."""
    made = []
    for name in ("kit", "another"):
        os.environ["BYOHPO_JOURNAL"] = name
        with Rehearsal(subject, subject.problem(MIXED, jobs=30), subject.options, name) as rehearsal:
            rehearsal.run()
            made.append(rehearsal.configurations)
    assert made[0] == made[1], f"{_DIFFERENT} in a study of another name; use only problem.seed"


@check("seeds")
def is_not_disturbed_by_an_earlier_study(subject: Subject) -> None:
    """Earlier studies in the same process do not change the proposals."""
    made = _made(subject)
    for seed in (2, 3):
        _made(subject, seed)
    assert _made(subject) == made, (
        f"{_DIFFERENT} after other studies; keep state in the instance, not in the class or the module"
    )


@check("seeds")
def is_not_disturbed_by_another_study(subject: Subject) -> None:
    """A second study that runs at the same time does not change the proposals."""
    problems = [subject.problem(CUBE, seed=seed, jobs=30, slots=2) for seed in (1, 2)]
    alone = [proposals(subject, problem) for problem in problems]
    rehearsals = [rehearse(subject, problem) for problem in problems]
    running: list[list[Trial]] = [[], []]
    for _ in range(400):
        for rehearsal, trials in zip(rehearsals, running, strict=True):
            wanted = min(2 - len(trials), 30 - len(rehearsal.study.trials))
            trials.extend(rehearsal.ask(wanted) if wanted > 0 else [])
            if trials:
                rehearsal.tell([trials.pop(0)])
    for rehearsal in rehearsals:
        rehearsal.close()
    assert [rehearsal.configurations for rehearsal in rehearsals] == alone, (
        f"{_DIFFERENT} beside another study; keep state in the instance, not in the class or the module"
    )


@check("seeds")
def many_studies_fit_in_one_process(subject: Subject) -> None:
    """Twenty open studies with the same seed each give the same proposals as one alone."""
    problem = subject.problem(CUBE, jobs=12, slots=2)
    alone = proposals(subject, problem)
    rehearsals = [rehearse(subject, problem) for _ in range(20)]
    for rehearsal in rehearsals:
        rehearsal.run()
    for rehearsal in rehearsals:
        rehearsal.close()
    assert all(rehearsal.configurations == alone for rehearsal in rehearsals), (
        f"{_DIFFERENT} with twenty open studies; keep state in the instance, not in the class or the module"
    )
