"""Optimisers that call f(x) and wait, as propose and observe."""

import gc
import random
import threading
from contextlib import suppress

import pytest

from byohpo_core import (
    Blocking,
    ByohpoError,
    ContinuousParameter,
    Objective,
    Problem,
    Proposal,
    SearchSpace,
    Trial,
    TrialStatus,
)
from byohpo_core.blocking import NOTHING_KNOWN


def problem(objectives=1):
    return Problem(
        SearchSpace({"x": ContinuousParameter(0, 1)}),
        tuple(Objective(f"loss{i}", "Minimize") for i in range(objectives)),
        seed=1,
        max_jobs=100,
        max_parallel_jobs=4,
    )


def finished(proposals, losses):
    return [
        Trial(
            number,
            proposal,
            "test",
            proposal.hyperparameters,
            TrialStatus.Failed if loss is None else TrialStatus.Completed,
            values=loss,
            losses=loss,
        )
        for number, (proposal, loss) in enumerate(zip(proposals, losses, strict=True))
    ]


@pytest.fixture
def blocking():
    """A factory of blocking algorithms, all closed at the end."""
    made = []

    def make(optimise, **options):
        made.append(Blocking(options.pop("problem", problem()), optimise, **options))
        return made[-1]

    make.forget = made.clear
    yield make
    for algorithm in made:
        algorithm.close()


def received(blocking, batches):
    """What the optimiser gets for batches of losses, each batch's results handed over in the given order."""
    got = []

    def optimise(evaluate):
        got.extend(evaluate([[0.5]] * len(losses)) for losses in batches)

    algorithm = blocking(optimise)
    for losses in batches:
        proposals = algorithm.propose(None, len(losses))
        trials = finished(proposals, losses)
        random.Random(3).shuffle(trials)
        algorithm.observe(None, trials)
    assert algorithm.propose(None, 1) == []
    return got


def test_failed_trials_are_worse_than_the_worst_by_the_range_seen(blocking):
    """Imputed when the batch is in, so the order of arrival does not matter; 1e30 while nothing is known."""
    batches = [[None, None], [(1.0,), None, (3.0,)], [None, (2.0,)]]
    assert received(blocking, batches) == [[NOTHING_KNOWN] * 2, [1.0, 5.0, 3.0], [5.0, 2.0]]


def test_huge_losses_do_not_make_a_failure_infinite(blocking):
    """The imputed loss stays finite and is the worst."""
    ((low, failed, high),) = received(blocking, [[(-1e308,), None, (1e308,)]])
    assert low < high < failed < float("inf")


def test_results_are_matched_by_key_whatever_their_order(blocking):
    """Equal points do not confuse it."""
    losses = [(float(i),) for i in range(20)]
    assert received(blocking, [losses]) == [[float(i) for i in range(20)]]


def test_several_objectives_give_tuples(blocking):
    """One loss per objective, also for a failed trial."""
    got = []
    algorithm = blocking(lambda evaluate: got.extend(evaluate([[0.1], [0.2], [0.3]])), problem=problem(2))
    proposals = algorithm.propose(None, 3)
    algorithm.observe(None, finished(proposals, [(1.0, 10.0), None, (2.0, 30.0)]))
    algorithm.propose(None, 1)
    assert got == [(1.0, 10.0), (3.0, 50.0), (2.0, 30.0)]


def test_trials_of_others_and_foreign_ones_are_ignored(blocking):
    """Only its own keys of this epoch count."""
    got = []
    algorithm = blocking(lambda evaluate: got.extend(evaluate([[0.1]])))
    (mine,) = algorithm.propose(None, 1)
    other, foreign = finished([Proposal({"x": 0.5}), mine], [(7.0,), (8.0,)])
    algorithm.observe(None, [other, foreign.but(foreign=True)])
    assert algorithm.propose(None, 1) == []
    algorithm.observe(None, finished([mine], [(9.0,)]))
    algorithm.propose(None, 1)
    assert got == [9.0]


def test_an_empty_batch_does_not_wait(blocking):
    """Nothing to evaluate is answered at once."""
    got = []

    def optimise(evaluate):
        got.append(evaluate([]))
        got.append(evaluate([[0.5]]))

    algorithm = blocking(optimise)
    assert len(algorithm.propose(None, 4)) == 1
    assert got == [[]]


def test_closing_unwinds_the_optimiser_even_if_every_exception_is_swallowed(blocking):
    """The unwinding is a BaseException, raised again at every further call; nothing of it is left."""
    left = []

    def stubborn(evaluate):
        for _ in range(10):
            try:
                while True:
                    evaluate([[0.5]])
            except BaseException:  # noqa: BLE001 - as stubborn as can be
                continue
        left.append("its end")

    before = threading.active_count()
    algorithm = blocking(stubborn)
    algorithm.propose(None, 1)
    algorithm.close()
    assert left == ["its end"]
    assert threading.active_count() == before


def test_an_optimiser_that_never_gives_up_is_parked_for_good(blocking):
    """Closing comes back all the same, and the garbage collector leaves it alone."""
    calls = []

    def immortal(evaluate):
        while True:
            calls.append("call")
            with suppress(BaseException):
                evaluate([[0.5]])

    algorithm = blocking(immortal)
    algorithm.propose(None, 1)
    algorithm.close()
    made = len(calls)
    del algorithm
    blocking.forget()
    gc.collect()
    assert len(calls) == made


def test_evaluating_from_another_thread_is_refused(blocking):
    """In one line that says what is wrong."""
    told = []

    def optimise(evaluate):
        def elsewhere():
            with pytest.raises(ByohpoError, match="another thread") as error:
                evaluate([[0.5]])
            told.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    assert blocking(optimise).propose(None, 1) == []
    assert len(told) == 1


def test_an_error_of_the_optimiser_is_raised_where_it_was_asked(blocking):
    """Where `propose` was called, with its own type."""

    def failing(evaluate):
        evaluate([[0.5]])
        raise ZeroDivisionError("no variance")

    algorithm = blocking(failing)
    (proposal,) = algorithm.propose(None, 1)
    algorithm.observe(None, finished([proposal], [(1.0,)]))
    with pytest.raises(ZeroDivisionError, match="no variance"):
        algorithm.propose(None, 1)
