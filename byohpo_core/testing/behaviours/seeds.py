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
from byohpo_core.testing.algorithm import CUBE, Judge, Subject, constant, sometimes_failing, sphere, tied
from byohpo_core.testing.check import NOT_SEEDED, NotApplicableError, applicable, check, expect
from byohpo_core.testing.habits import advise_unseeded
from byohpo_core.testing.rehearsal import Rehearsal, proposals, rehearse

_DRAW = "draw from one random.Random(problem.seed)"
_IN_THE_INSTANCE = "keep state in the instance, not in the class, the module or a default argument"
_JUDGES: dict[str, Judge] = {
    "distinct losses": sphere,
    "failures": sometimes_failing,
    "tied losses": tied,
    "equal losses": constant,
}


def _made(subject: Subject, seed: int = 1, jobs: int = 30, judge: Judge = sphere) -> list[dict[str, Any]]:
    return proposals(subject, subject.problem(subject.mixed, seed=seed, jobs=jobs), judge)


def _same(condition: bool, did: str, mend: str = _DRAW) -> None:
    """Expect that the proposals are the same."""
    expect(condition, did=did, seen="different proposals", expected="the same proposals", mend=mend)


@check("seeds")
def repeats_itself_with_the_same_seed(subject: Subject) -> None:
    """The same seed and the same results give the same proposals, also with failures and equal losses."""
    for seed in (1, 0):
        for kind, judge in _JUDGES.items():
            twice = [_made(subject, seed, 30, judge) for _ in range(2)]
            _same(twice[0] == twice[1], f"ran two studies with the seed {seed} and {kind}")


@check("seeds")
def proposes_something_else_with_another_seed(subject: Subject) -> None:
    """Different seeds give different proposals."""
    applicable(subject.traits.seeded, NOT_SEEDED)
    different = len({json.dumps(_made(subject, seed)) for seed in range(4)})
    mend = "use problem.seed, or declare Traits(seeded=False)"
    advise_unseeded(subject)
    expect(different == 4, did="ran studies with four seeds", seen=f"{different} kinds", expected="four", mend=mend)


@check("seeds")
def draws_every_value_by_the_seed(subject: Subject) -> None:
    """With another seed, each parameter takes other values in the course of a study."""
    applicable(subject.traits.seeded, NOT_SEEDED)
    studies = [_made(subject, seed, 40) for seed in range(3)]
    advise_unseeded(subject)
    for name in ("x", "rate", "momentum"):
        expect(
            len({tuple(it[name] for it in made) for made in studies}) > 1,
            did="ran studies with three seeds",
            seen=f"the same values of {name}",
            expected="other values",
            mend=_DRAW,
        )


@check("seeds")
def accepts_any_seed(subject: Subject) -> None:
    """The algorithm works with seeds from 0 to 2**32 - 1."""
    for seed in (0, 2**31, 2**32 - 1):
        made = _made(subject, seed, 8)
        expect(made, did=f"ran a study with the seed {seed}", seen="no proposal", expected="8 trials")


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
        seen = " ".join(done.stderr.strip().splitlines()[-1:])
        expect(done.returncode == 0, did="ran a study in another process", seen=seen, expected="no error")
        answers.append(json.loads(done.stdout))
    _same(
        answers[0] == answers[1] == _made(subject),
        "ran a study in other processes",
        "do not use hash(), the order of a set or the id of a process",
    )


@check("seeds")
def leaves_the_global_generator_alone(subject: Subject) -> None:
    """The algorithm does not change the global state of `random`."""
    random.seed(5)
    before = random.getstate()
    _made(subject)
    _untouched(random.getstate() == before, "random", "random.Random")


def _untouched(condition: bool, module: str, own: str) -> None:
    did = f"compared the global state of {module} before and after a study"
    expect(condition, did=did, seen="a difference", expected="none", mend=f"use a {own} of its own")


@check("seeds")
def does_not_use_the_global_generator(subject: Subject) -> None:
    """The global state of `random` and `numpy.random` does not change the proposals."""
    made = []
    for seed in (1, 2):
        random.seed(seed)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(seed)
        made.append(_made(subject))
    _same(made[0] == made[1], "seeded the global generators differently")


@check("seeds")
def leaves_numpys_global_generator_alone(subject: Subject) -> None:
    """The algorithm does not change the global state of `numpy.random`."""
    applicable("numpy" in sys.modules, "the algorithm does not use NumPy")
    numpy = sys.modules["numpy"]
    numpy.random.seed(5)
    before = repr(numpy.random.get_state())
    _made(subject)
    _untouched(repr(numpy.random.get_state()) == before, "numpy.random", "numpy.random.default_rng")


@check("seeds")
def does_not_read_the_clock(subject: Subject) -> None:
    """The time of day does not change the proposals."""
    made = _made(subject, seed=0)
    with (
        mock.patch("time.time", lambda now=time.time: now() + 3e7),
        mock.patch("time.time_ns", lambda now=time.time_ns: now() + 3 * 10**16),
        mock.patch("time.monotonic", lambda now=time.monotonic: now() * 3 + 1e6),
        mock.patch("time.perf_counter", lambda now=time.perf_counter: now() * 3 + 1e6),
    ):
        later = _made(subject, seed=0)
    _same(made == later, "ran a study at another time of day", "do not read the clock")


def _of_lengths(longest: int) -> Callable[[Trial], float]:
    """Trials that last from one to *longest* times ten minutes."""
    return lambda trial: 600.0 * (1 + trial.number % longest)


@check("seeds")
def does_not_depend_on_when_trials_ran(subject: Subject) -> None:
    """The time that trials take does not change the proposals if they end in the same order."""
    made = []
    for longest in (1, 7):
        with rehearse(subject, subject.problem(subject.mixed, jobs=30)) as rehearsal:
            rehearsal.seconds = _of_lengths(longest)
            rehearsal.run()
            made.append(rehearsal.configurations)
    _same(made[0] == made[1], "let trials take longer", "do not use their times")


@check("seeds")
def does_not_depend_on_the_studys_name(subject: Subject) -> None:
    """The study's name and id, and BYOHPO_JOURNAL, do not change the proposals."""
    made = []
    for name in ("kit", "another"):
        os.environ["BYOHPO_JOURNAL"] = name
        with Rehearsal(subject, subject.problem(subject.mixed, jobs=30), subject.options, name) as rehearsal:
            rehearsal.run()
            made.append(rehearsal.configurations)
    _same(made[0] == made[1], "ran a study of another name", "use only problem.seed")


@check("seeds")
def is_not_disturbed_by_an_earlier_study(subject: Subject) -> None:
    """Earlier studies in the same process do not change the proposals."""
    made = _made(subject)
    for seed in (2, 3):
        _made(subject, seed)
    _same(_made(subject) == made, "ran a study again after others", _IN_THE_INSTANCE)


@check("seeds")
def is_not_disturbed_by_another_study(subject: Subject) -> None:
    """A second study that runs at the same time does not change the proposals."""
    problems = [subject.problem(CUBE, seed=seed, jobs=30, slots=2) for seed in (1, 2)]
    alone = [proposals(subject, problem) for problem in problems]
    rehearsals = [rehearse(subject, problem) for problem in problems]
    running: list[list[Trial]] = [[], []]
    for _ in range(400):
        for rehearsal, trials in zip(rehearsals, running, strict=True):
            problem = rehearsal.problem
            wanted = min(problem.max_parallel_jobs - len(trials), problem.max_jobs - len(rehearsal.study.trials))
            trials.extend(rehearsal.ask(wanted) if wanted > 0 else [])
            if trials:
                rehearsal.tell([trials.pop(0)])
    for rehearsal in rehearsals:
        rehearsal.close()
    together = [rehearsal.configurations for rehearsal in rehearsals]
    _same(together == alone, "ran a study beside another one", _IN_THE_INSTANCE)


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
    same = all(rehearsal.configurations == alone for rehearsal in rehearsals)
    _same(same, "ran a study beside 19 open ones", _IN_THE_INSTANCE)
