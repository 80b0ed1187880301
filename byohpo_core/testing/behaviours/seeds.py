"""What its proposals depend on: the seed, the problem and the results, and nothing else."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from byohpo_core.study import Trial
from byohpo_core.testing.algorithm import CUBE, MIXED, Subject
from byohpo_core.testing.check import NotApplicableError, applicable, check
from byohpo_core.testing.rehearsal import Rehearsal, proposals, rehearse

_DIFFERENT = "its proposals are different"


def _made(subject: Subject, seed: int = 1, jobs: int = 30) -> list[dict[str, Any]]:
    return proposals(subject, subject.problem(MIXED, seed=seed, jobs=jobs))


@check("seeds")
def repeats_itself_with_the_same_seed(subject: Subject) -> None:
    """Twice in one process: the same proposals."""
    assert _made(subject) == _made(subject), f"{_DIFFERENT} the second time"


@check("seeds")
def proposes_something_else_with_another_seed(subject: Subject) -> None:
    """Seeds that differ give proposals that differ."""
    applicable(subject.traits.seeded, "it does not draw at random")
    assert len({json.dumps(_made(subject, seed)) for seed in range(4)}) == 4, "its proposals do not depend on the seed"


@check("seeds")
def accepts_any_seed(subject: Subject) -> None:
    """From 0 to the largest of 32 bits."""
    for seed in (0, 2**31, 2**32 - 1):
        assert _made(subject, seed, 8), f"with the seed {seed} it proposes nothing"


@check("seeds")
def repeats_itself_in_another_process(subject: Subject) -> None:
    """With another hash seed: nothing depends on the order of a set."""
    target = f"{subject.found.plugin.__module__}:{subject.found.plugin.__qualname__}"
    if "<locals>" in target or target.startswith("__main__"):
        raise NotApplicableError("its class cannot be imported by name")
    command = [sys.executable, "-m", "byohpo_core.testing.child", target, json.dumps(subject.options)]
    answers = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
        if "ModuleNotFoundError" in done.stderr:
            raise NotApplicableError("its module cannot be imported elsewhere")
        assert done.returncode == 0, f"another process failed: {done.stderr.strip().splitlines()[-1:]}"
        answers.append(json.loads(done.stdout))
    assert answers[0] == answers[1] == _made(subject), f"{_DIFFERENT} in a process with another hash seed"


@check("seeds")
def leaves_the_global_generator_alone(subject: Subject) -> None:
    """`random` itself is in the same state before and after."""
    random.seed(5)
    before = random.getstate()
    _made(subject)
    assert random.getstate() == before, "it draws from or seeds the global generator of `random`"


@check("seeds")
def does_not_use_the_global_generator(subject: Subject) -> None:
    """Whatever `random.seed` was given, the proposals are the same."""
    made = []
    for seed in (1, 2):
        random.seed(seed)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(seed)
        made.append(_made(subject))
    assert made[0] == made[1], f"{_DIFFERENT} when the global generators are seeded otherwise"


@check("seeds")
def leaves_numpys_global_generator_alone(subject: Subject) -> None:
    """`numpy.random` is in the same state before and after."""
    applicable("numpy" in sys.modules, "it does not use NumPy")
    numpy = sys.modules["numpy"]
    numpy.random.seed(5)
    before = repr(numpy.random.get_state())
    _made(subject)
    assert repr(numpy.random.get_state()) == before, "it draws from or seeds NumPy's global generator"


@check("seeds")
def does_not_read_the_clock(subject: Subject) -> None:
    """A year later the proposals are the same."""
    made = _made(subject)
    with (
        mock.patch("time.time", lambda now=time.time: now() + 3e7),
        mock.patch("time.time_ns", lambda now=time.time_ns: now() + 3 * 10**16),
        mock.patch("time.monotonic", lambda now=time.monotonic: now() * 3 + 1e6),
        mock.patch("time.perf_counter", lambda now=time.perf_counter: now() * 3 + 1e6),
    ):
        later = _made(subject)
    assert made == later, f"{_DIFFERENT} when the clock is another"


def _of_lengths(longest: int) -> Callable[[Trial], float]:
    return lambda trial: 600.0 * (1 + trial.number % longest)


@check("seeds")
def does_not_depend_on_when_trials_ran(subject: Subject) -> None:
    """Trials of other lengths, that end in the same order, lead to the same proposals."""
    made = []
    for longest in (1, 7):
        with rehearse(subject, subject.problem(MIXED, jobs=30)) as rehearsal:
            rehearsal.seconds = _of_lengths(longest)
            rehearsal.run()
            made.append(rehearsal.configurations)
    assert made[0] == made[1], f"{_DIFFERENT} when the trials take longer"


@check("seeds")
def does_not_depend_on_the_studys_name(subject: Subject) -> None:
    """Another name, another id, another folder and other environment variables: the same proposals."""
    made = []
    for name in ("kit", "another"):
        os.environ["BYOHPO_JOURNAL"] = name
        with Rehearsal(subject, subject.problem(MIXED, jobs=30), subject.options, name) as rehearsal:
            rehearsal.run()
            made.append(rehearsal.configurations)
    assert made[0] == made[1], f"{_DIFFERENT} in a study of another name"


@check("seeds")
def is_not_disturbed_by_an_earlier_study(subject: Subject) -> None:
    """Nothing is left behind in the class or the module."""
    made = _made(subject)
    for seed in (2, 3):
        _made(subject, seed)
    assert _made(subject) == made, f"{_DIFFERENT} after other studies in the same process"


@check("seeds")
def is_not_disturbed_by_another_study(subject: Subject) -> None:
    """Two studies, a trial of one and a trial of the other: each as when alone."""
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
    assert [rehearsal.configurations for rehearsal in rehearsals] == alone, f"{_DIFFERENT} beside another study"


@check("seeds")
def many_studies_fit_in_one_process(subject: Subject) -> None:
    """Twenty at once, each as the first."""
    problem = subject.problem(CUBE, jobs=12, slots=2)
    alone = proposals(subject, problem)
    rehearsals = [rehearse(subject, problem) for _ in range(20)]
    for rehearsal in rehearsals:
        rehearsal.run()
    for rehearsal in rehearsals:
        rehearsal.close()
    assert all(rehearsal.configurations == alone for rehearsal in rehearsals), f"{_DIFFERENT} with twenty studies open"
