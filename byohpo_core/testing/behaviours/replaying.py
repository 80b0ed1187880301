"""Checks of replays: an algorithm that is rebuilt from the journal goes on as before, or needs no replay."""

from functools import partial

from byohpo_core.study.problem import Problem
from byohpo_core.testing.algorithm import Judge, Subject, constant, sometimes_failing, sphere, tied
from byohpo_core.testing.check import NOT_MEMORYLESS, applicable, check, expect
from byohpo_core.testing.rehearsal import Rehearsal, rehearse

_MEND = "let proposals depend only on the seed, the problem and the observed trials"


def _at_every_prefix(subject: Subject, judge: Judge, slots: int, jobs: int = 24, order: str = "first") -> None:
    """Assert that the algorithm proposes the same after a replay of the first calls, for each number of calls."""
    same_at_every_prefix(subject, subject.problem(subject.mixed, jobs=jobs, slots=slots), judge, order)


def same_at_every_prefix(subject: Subject, problem: Problem, judge: Judge = sphere, order: str = "first") -> None:
    """Assert that the algorithm proposes the same for a problem after a replay of any number of its calls."""
    options = subject.options
    with rehearse(subject, problem) as whole:
        whole.run(judge, order=order)
        made = whole.configurations
    for prefix in range(len(whole.calls)):
        if whole.calls[prefix][0] != "ask":
            continue
        with whole.replayed(subject, options, prefix) as again:
            again.ask(whole.calls[prefix][1])
            there = again.configurations
        _same(there == made[: len(there)], f"rebuilt it from the first {prefix} of {len(whole.calls)} calls")


def _same(condition: bool, did: str) -> None:
    """Expect that the proposals are the same."""
    expect(condition, did=did, seen="different proposals", expected="the same as before", mend=_MEND)


@check("replay")
def is_the_same_after_a_replay_of_any_length(subject: Subject) -> None:
    """Rebuilt from the seed and any number of its first calls, the algorithm proposes the same."""
    _at_every_prefix(subject, sphere, 3)


@check("replay")
def is_the_same_after_a_replay_with_failures(subject: Subject) -> None:
    """Rebuilt from calls in which every third trial failed, the algorithm proposes the same."""
    _at_every_prefix(subject, sometimes_failing, 3)


@check("replay")
def is_the_same_after_a_replay_with_equal_losses(subject: Subject) -> None:
    """Rebuilt from calls in which many or all losses are equal, the algorithm proposes the same."""
    _at_every_prefix(subject, tied, 3, 16)
    _at_every_prefix(subject, constant, 3, 16)


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
    with rehearse(subject, subject.problem(subject.mixed, jobs=16)) as whole:
        whole.run()
    copies: list[Rehearsal] = [whole.replayed(subject, subject.options, len(whole.calls)) for _ in range(2)]
    answers = []
    for copy in copies:
        first = len(copy.configurations)
        copy.ask(4)
        answers.append(copy.configurations[first:])
        copy.close()
    _same(answers[0] == answers[1], "rebuilt two copies from the same calls")


_NO_STATE = "look at study.trials only, number trials from len(study.trials), or leave out Traits(memoryless=True)"


@check("replay")
def needs_no_earlier_calls_if_memoryless(subject: Subject) -> None:
    """A memoryless algorithm that knows nothing but the study proposes what the one that made the study proposes."""
    applicable(subject.traits.memoryless, NOT_MEMORYLESS)
    for judge, order in ((sphere, "last"), (sometimes_failing, "first"), (tied, "random")):
        with rehearse(subject, subject.problem(subject.mixed, jobs=32)) as whole:
            for until in (1, 3, 9, 20):
                whole.run(judge, order=order, until=subject.few(until))
                running = whole.ask(2)
                with rehearse(subject, whole.problem) as fresh:
                    there, mine = fresh.would_propose(3, whole.study), whole.would_propose(3)
                whole.tell(running, judge)
                expect(
                    there == mine,
                    did=f"asked a new instance, after {len(whole.study.trials)} trials of which {len(running)} run",
                    seen="different proposals",
                    expected="the same as from the one that proposed them",
                    mend=_NO_STATE,
                )


@check("replay")
def answers_a_question_again_if_memoryless(subject: Subject) -> None:
    """A memoryless algorithm that is asked twice, or about an earlier study in between, answers the same."""
    applicable(subject.traits.memoryless, NOT_MEMORYLESS)
    problem = subject.problem(subject.mixed, jobs=32)
    with rehearse(subject, problem) as early, rehearse(subject, problem) as late:
        early.run(until=subject.few(6))
        late.run(until=subject.few(20))
        ask = partial(late.would_propose, 3)
        answers = [ask(), ask(), early.would_propose(3), ask(early.study), ask()]
    expect(
        answers[0] == answers[1] == answers[4] and answers[2] == answers[3],
        did="asked one instance about a study, about an earlier one and about the first again",
        seen="different proposals",
        expected="the same for the same study",
        mend=_NO_STATE,
    )
