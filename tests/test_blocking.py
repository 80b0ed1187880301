"""Optimisers that call f(x) and wait, as propose and observe."""

import gc
import random
import threading
from contextlib import suppress

import attrs
import pytest

from byohpo_core import (
    Blocking,
    BlockingAlgorithm,
    ByohpoError,
    Chains,
    ContinuousParameter,
    Objective,
    Problem,
    Proposal,
    SearchSpace,
    Trial,
    TrialStatus,
    mode_option,
)


def problem(objectives=1):
    return Problem(
        SearchSpace({"x": ContinuousParameter(0, 1)}),
        tuple(Objective(f"loss{i}", "Minimize") for i in range(objectives)),
        seed=1,
        max_jobs=100,
        max_parallel_jobs=4,
    )


class Asked:
    """What an algorithm sees of its study: how many trials there are. Who knows a proposal knows its trial's number."""

    def __init__(self):
        self.trials = []

    def __call__(self, algorithm, count):
        proposals = algorithm.propose(self, count)
        for proposal in proposals:
            NUMBERS[id(proposal)] = len(self.trials)
            self.trials.append(proposal)
        return proposals


NUMBERS = {}
OTHERS = 1_000_000


@pytest.fixture
def ask():
    """A study that asks for proposals."""
    NUMBERS.clear()
    return Asked()


def finished(proposals, losses):
    return [
        Trial(
            NUMBERS.get(id(proposal), OTHERS),
            proposal,
            "test",
            proposal.hyperparameters,
            TrialStatus.Failed if loss is None else TrialStatus.Completed,
            values=loss,
            losses=loss,
        )
        for proposal, loss in zip(proposals, losses, strict=True)
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


def received(blocking, batches, ask):
    """What the optimiser gets for batches of losses, each batch's results handed over in the given order."""
    got = []

    def optimise(evaluate):
        got.extend(evaluate([[0.5]] * len(losses)) for losses in batches)

    algorithm = blocking(optimise)
    for losses in batches:
        proposals = ask(algorithm, len(losses))
        trials = finished(proposals, losses)
        random.Random(3).shuffle(trials)
        algorithm.observe(None, trials)
    assert ask(algorithm, 1) == []
    return got


def test_failed_trials_are_worse_than_the_worst_by_the_range_seen(blocking, ask):
    """Imputed when the batch is in, so the order of arrival does not matter; 1e30 while nothing is known."""
    batches = [[None, None], [(1.0,), None, (3.0,)], [None, (2.0,)]]
    assert received(blocking, batches, ask) == [[1e30] * 2, [1.0, 5.0, 3.0], [5.0, 2.0]]


def test_huge_losses_do_not_make_a_failure_infinite(blocking, ask):
    """The imputed loss stays finite and is the worst."""
    ((low, failed, high),) = received(blocking, [[(-1e308,), None, (1e308,)]], ask)
    assert low < high < failed < float("inf")


def test_results_are_matched_by_key_whatever_their_order(blocking, ask):
    """Equal points do not confuse it."""
    losses = [(float(i),) for i in range(20)]
    assert received(blocking, [losses], ask) == [[float(i) for i in range(20)]]


def test_several_objectives_give_tuples(blocking, ask):
    """One loss per objective, also for a failed trial."""
    got = []
    algorithm = blocking(lambda evaluate: got.extend(evaluate([[0.1], [0.2], [0.3]])), problem=problem(2))
    proposals = ask(algorithm, 3)
    algorithm.observe(None, finished(proposals, [(1.0, 10.0), None, (2.0, 30.0)]))
    ask(algorithm, 1)
    assert got == [(1.0, 10.0), (3.0, 50.0), (2.0, 30.0)]


def test_trials_of_others_and_foreign_ones_are_ignored(blocking, ask):
    """Only its own keys of this epoch count."""
    got = []
    algorithm = blocking(lambda evaluate: got.extend(evaluate([[0.1]])))
    (mine,) = ask(algorithm, 1)
    other, foreign = finished([Proposal({"x": 0.5}), mine], [(7.0,), (8.0,)])
    algorithm.observe(None, [other, foreign.but(prior=True)])
    assert ask(algorithm, 1) == []
    algorithm.observe(None, finished([mine], [(9.0,)]))
    ask(algorithm, 1)
    assert got == [9.0]


def test_an_empty_batch_does_not_wait(blocking, ask):
    """Nothing to evaluate is answered at once."""
    got = []

    def optimise(evaluate):
        got.append(evaluate([]))
        got.append(evaluate([[0.5]]))

    algorithm = blocking(optimise)
    assert len(ask(algorithm, 4)) == 1
    assert got == [[]]


def test_closing_unwinds_the_optimiser_even_if_every_exception_is_swallowed(blocking, ask):
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
    ask(algorithm, 1)
    algorithm.close()
    assert left == ["its end"]
    assert threading.active_count() == before


def test_an_optimiser_that_never_gives_up_is_parked_for_good(blocking, ask):
    """Closing comes back all the same, and the garbage collector leaves it alone."""
    calls = []

    def immortal(evaluate):
        while True:
            calls.append("call")
            with suppress(BaseException):
                evaluate([[0.5]])

    algorithm = blocking(immortal)
    ask(algorithm, 1)
    algorithm.close()
    made = len(calls)
    del algorithm
    blocking.forget()
    gc.collect()
    assert len(calls) == made


def test_evaluating_from_another_thread_is_refused(blocking, ask):
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

    assert ask(blocking(optimise), 1) == []
    assert len(told) == 1


def evolving(turns, born=2, first=6):
    """An optimiser that goes by the list that it hands over, as inspyred's does, and keeps what each turn gave."""

    def optimise(evaluate):
        number = 0
        while True:
            points = [[(number + place) / 1000] for place in range(first if not turns else born)]
            number += len(points)
            made = [point[0] for point in points]
            losses = evaluate(points)
            turns.append((made, [point[0] for point in points], losses))

    return optimise


def loss(proposal):
    return (proposal.hyperparameters["x"] * 1000,)


def test_late_results_come_with_later_turns_each_with_its_point(blocking, ask):
    """Three may be late: the first of six candidates needs three results, then each turn as many as it made."""
    turns = []
    algorithm = blocking(evolving(turns), pending_allowed=3)
    proposals = ask(algorithm, 10)
    assert len(proposals) == 6
    algorithm.observe(None, finished(proposals[4:], map(loss, proposals[4:])))
    assert (ask(algorithm, 10), turns) == ([], [])
    algorithm.observe(None, finished(proposals[1:2], map(loss, proposals[1:2])))
    assert [it.hyperparameters["x"] for it in ask(algorithm, 10)] == [0.006, 0.007]
    assert turns == [([0.0, 0.001, 0.002, 0.003, 0.004, 0.005], [0.001, 0.004, 0.005], [1.0, 4.0, 5.0])]
    assert ask(algorithm, 10) == []
    late = [proposals[3], proposals[0]]
    algorithm.observe(None, finished(late, map(loss, late)))
    assert len(ask(algorithm, 10)) == 2
    assert turns[1] == ([0.006, 0.007], [0.0, 0.003], [0.0, 3.0])


@pytest.mark.parametrize("born", [1, 2, 5])
@pytest.mark.parametrize("together", [1, 3, 4])
def test_no_slot_waits_and_every_result_is_returned_once(blocking, born, together, ask):
    """Whatever the order of arrival, and also when the study ends: what is still out comes with the last turns."""
    turns, generator, running, told = [], random.Random(born), [], []
    algorithm = blocking(evolving(turns, born), pending_allowed=3)
    for _ in range(60):
        running += ask(algorithm, 4 - len(running))
        assert len(running) == 4
        generator.shuffle(running)
        done, running = running[:together], running[together:]
        told += done
        algorithm.observe(None, finished(done, map(loss, done)))
    algorithm.observe(None, finished(running, map(loss, running)))
    algorithm.close()
    returned = [point for _, points, losses in turns for point in points]
    assert sorted(returned) == sorted(it.hyperparameters["x"] for it in told + running)
    assert all([1000 * point for point in points] == pytest.approx(losses) for _, points, losses in turns)


def test_closing_comes_back_from_an_optimiser_that_asks_for_nothing(blocking, ask):
    """Results that it has no place for do not keep it running."""

    def optimise(evaluate):
        evaluate([[0.1], [0.2], [0.3], [0.4]])
        evaluate([[0.5]])
        while True:
            evaluate([])

    algorithm = blocking(optimise, pending_allowed=2)
    proposals = ask(algorithm, 4)
    algorithm.observe(None, finished(proposals, map(loss, proposals)))
    ask(algorithm, 1)
    algorithm.close()
    assert ask(algorithm, 1) == []


def test_without_late_results_the_list_is_left_alone(blocking, ask):
    """Generational is the library's own: what it handed over is not even written to."""

    class Untouched(list):
        def __setitem__(self, *_):
            raise AssertionError("written to")

    got = []
    algorithm = blocking(lambda evaluate: got.extend(evaluate(Untouched([[0.1], [0.2]]))))
    proposals = ask(algorithm, 2)
    algorithm.observe(None, finished(proposals[::-1], [(2.0,), (1.0,)]))
    ask(algorithm, 1)
    assert got == [1.0, 2.0]


def test_the_order_within_a_batch_does_not_matter_to_late_results_either(blocking, ask):
    """Only what came with which call does."""
    made = []
    for turn in (1, -1):
        turns = []
        algorithm = blocking(evolving(turns), pending_allowed=3)
        running = ask(algorithm, 4)
        for _ in range(20):
            algorithm.observe(
                None,
                finished(running[::turn], [None if i % 3 == 0 else loss(it) for i, it in enumerate(running)][::turn]),
            )
            running = ask(algorithm, 4)
        made.append(turns)
    assert made[0] == made[1]


def test_a_point_that_is_being_evaluated_or_known_is_not_proposed_again(blocking, ask):
    """Its result is on its way or in, and a trial for it would be a slot that does nothing."""
    turns = []

    def optimise(evaluate):
        for values in ([0.1, 0.2, 0.3], [0.2], [0.1], [0.4], [0.2], [0.3], [0.5]):
            points = [[value] for value in values]
            turns.append((points, evaluate(points)))

    algorithm = blocking(optimise, pending_allowed=2)
    first, *rest = ask(algorithm, 3)
    algorithm.observe(None, finished([first], [(1.0,)]))
    (next_,) = ask(algorithm, 1)
    assert next_.hyperparameters["x"] == 0.4
    assert turns == [([[0.1]], [1.0]), ([], []), ([], [])]
    algorithm.observe(None, finished(rest, [(2.0,), None]))
    assert [it.hyperparameters["x"] for it in ask(algorithm, 1)] == [0.5]
    assert turns[3:] == [([[0.2]], [2.0]), ([], []), ([], [])], "nor is one that failed"


@pytest.mark.parametrize("status", [TrialStatus.Failed, TrialStatus.Pruned])
def test_a_point_that_must_come_back_gets_the_known_result(status, blocking, ask):
    """At once when there is one, without a trial; while there is none of a completed trial, it is tried again."""
    turns = []

    def optimise(evaluate):
        for values in ([0.1, 0.2, 0.3], [0.1], [0.2], [0.2], [0.3], [0.5]):
            points = [[value] for value in values]
            turns.append((points, evaluate(points)))

    algorithm = blocking(optimise, pending_allowed=2, answered=True)
    first, *rest = ask(algorithm, 3)
    algorithm.observe(None, finished([first], [(1.0,)]))
    (again,) = ask(algorithm, 1)
    assert again.hyperparameters["x"] == 0.2, "0.1 is known, 0.2 is not yet"
    assert turns == [([[0.1]], [1.0]), ([[0.1]], [1.0])]
    good, bad = finished(rest, [(2.0,), None if status is TrialStatus.Failed else (3.0,)])
    algorithm.observe(None, [good, attrs.evolve(bad, status=status)])
    assert [it.hyperparameters["x"] for it in ask(algorithm, 1)] == [0.3], "0.2 is known by now; 0.3 did not complete"
    assert turns[2:] == [([[0.2]], [2.0]), ([[0.3]], [3.0])]


def test_an_optimiser_that_only_repeats_itself_may_do_so_in_the_end(blocking, ask):
    """It is not run for ever in search of something new."""
    calls = []

    def optimise(evaluate):
        evaluate([[0.1], [0.1]])
        while len(calls) < 100:
            calls.append(evaluate([[0.1]]))

    algorithm = blocking(optimise, pending_allowed=1)
    proposals = ask(algorithm, 2)
    algorithm.observe(None, finished(proposals[:1], [(1.0,)]))
    assert [it.hyperparameters["x"] for it in ask(algorithm, 1)] == [0.1]
    assert len(calls) == 50


def test_late_failures_are_worse_than_the_worst_that_was_returned(blocking, ask):
    """By the range seen until the turn in which they are returned."""
    turns = []
    algorithm = blocking(evolving(turns, born=1, first=3), late=1)  # by its old name
    a, b, c = ask(algorithm, 3)
    algorithm.observe(None, finished([a, b], [None, (4.0,)]))
    ask(algorithm, 1)
    algorithm.observe(None, finished([c], [None]))
    ask(algorithm, 1)
    assert [losses for _, _, losses in turns] == [[4.0, 4.0], [4.0]]
    algorithm.close()


def test_of_several_chains_the_longest_waiting_is_first(blocking, ask):
    """Not always the first in the list: nobody starves where there are more chains than slots."""

    def chain(number):
        def optimise(evaluate):
            while True:
                evaluate([[number / 10]])

        return blocking(optimise, chain=number, chains=3)

    chains = Chains([chain(number) for number in range(3)])
    order, running = [], []
    for _ in range(9):
        running += ask(chains, 2 - len(running))
        order += [it.key % 3 for it in running[-1:]]
        chains.observe(None, finished(running[:1], [(1.0,)]))
        del running[0]
    assert order == [1, 2, 0, 1, 2, 0, 1, 2, 0]


@attrs.define(eq=False)
class Hurried(BlockingAlgorithm):
    problem: Problem
    mode: str = mode_option()

    def search(self):
        return Blocking(self.problem, lambda evaluate: None)


@attrs.define(eq=False)
class Unhurried(Hurried):
    mode: str = mode_option(possible=False)


def test_the_mode_follows_the_slots():
    """Asynchronous where there are several, if it can be."""
    one = attrs.evolve(problem(), max_parallel_jobs=1)
    assert (Hurried(problem()).mode, Hurried(one).mode) == ("asynchronous", "generational")
    assert (Unhurried(problem()).mode, Unhurried(one).mode) == ("generational", "generational")


@pytest.mark.parametrize(
    ("plugin", "mode", "told"),
    [
        (Hurried, "async", "mode is 'async'.*asynchronous or generational"),
        (Unhurried, "asynchronous", "mode is 'asynchronous'.*generational"),
    ],
)
def test_another_mode_is_refused(plugin, mode, told):
    """In one line with those there are."""
    with pytest.raises(ValueError, match=f"^{told}$"):
        plugin(problem(), mode=mode)


def test_an_error_of_the_optimiser_is_raised_where_it_was_asked(blocking, ask):
    """Where `propose` was called, with its own type."""

    def failing(evaluate):
        evaluate([[0.5]])
        raise ZeroDivisionError("no variance")

    algorithm = blocking(failing)
    (proposal,) = ask(algorithm, 1)
    algorithm.observe(None, finished([proposal], [(1.0,)]))
    with pytest.raises(ZeroDivisionError, match="no variance"):
        ask(algorithm, 1)
