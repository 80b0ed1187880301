"""A misbehaving plugin cannot corrupt a study; the message names it and who ships it."""

import threading

import numpy as np
import pytest
import studies

from byohpo_core import (
    Blocking,
    ContinuousParameter,
    IntegerParameter,
    PluginError,
    Proposal,
    Simulated,
    Simulation,
    Tuner,
    UnknownStudy,
    hookimpl,
)
from byohpo_core.journal import open_journal

RANGES = {"x": ContinuousParameter(0, 1), "n": IntegerParameter(1, 5)}
GOOD = {"x": 0.5, "n": 3}


def tune(strategy, ranges=RANGES, **settings):
    estimator = Simulated(lambda h: Simulation({"loss": h["x"] + h["n"]}, 1 + h["x"]))
    return studies.tune(estimator, ranges, strategy=strategy, **{"max_jobs": 6, "max_parallel_jobs": 2, **settings})


def intact():
    """The journal still tells a study, and can be read by anybody."""
    return Tuner.attach("s", journal="studies.db").study


class Good:
    """Two good proposals, then whatever `then` gives."""

    then = list

    def __init__(self, problem):
        self.calls = 0

    @hookimpl
    def propose(self, study, count):
        self.calls += 1
        return [{"x": self.calls / 10 + i / 100, "n": 3} for i in range(count)] if self.calls == 1 else self.then()


def raising(hook):
    class Raising(Good):
        pass

    def fail(self, study):
        raise RuntimeError("out of ideas")

    def fail_with_trials(self, study, trials):
        raise RuntimeError("out of ideas")

    def fail_with_trial(self, study, trial):
        raise RuntimeError("out of ideas")

    def fail_with_count(self, study, count):
        raise RuntimeError("out of ideas")

    bodies = {"propose": fail_with_count, "observe": fail_with_trials, "stop": fail, "prune": fail_with_trial}
    body = bodies[hook]
    body.__name__ = hook
    setattr(Raising, hook, hookimpl(body))
    return Raising


@pytest.mark.parametrize("hook", ["propose", "observe", "stop", "prune"])
def test_a_hook_that_raises_ends_the_study_with_its_name(hook):
    """The four decisions end the study; what was journaled stays."""
    with pytest.raises(PluginError, match=rf"plugin 'Raising' \(.*\) .*{hook}.*RuntimeError: out of ideas"):
        tune(raising(hook))
    assert intact().stop_reason is None


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda: [GOOD] * 3, "3 configurations"),
        (lambda: [{**GOOD, "y": 1}], "'y'"),
        (lambda: [{"x": 0.5}], "n"),
        (lambda: [{**GOOD, "x": 1.5}], "x: 1.5"),
        (lambda: [{**GOOD, "x": "0.5"}], "'0.5'"),
        (lambda: [{**GOOD, "x": float("nan")}], "nan"),
        (lambda: [{**GOOD, "n": 2.5}], "2.5"),
        (lambda: [{**GOOD, "n": True}], "True"),
        (lambda: None, "None"),
        (lambda: GOOD, "list of proposals"),
        (lambda: [3], "3"),
        (lambda: [Proposal(GOOD, key={1, 2})], "key {1, 2}"),
        (lambda: [Proposal(GOOD, key=float("nan"))], "key nan"),
        (lambda: [Proposal(GOOD, fidelity=-1)], "fidelity is -1"),
        (lambda: [Proposal(GOOD, resume_from=7)], "7"),
    ],
    ids=[
        "too many",
        "unknown name",
        "missing name",
        "out of range",
        "text",
        "nan",
        "fraction",
        "bool",
        "none",
        "mapping",
        "number",
        "set as key",
        "nan as key",
        "negative fidelity",
        "no such trial",
    ],
)
def test_nonsense_is_refused_with_the_plugins_name(answer, complaint):
    """A proposal is checked before it is journaled."""

    class Nonsense(Good):
        then = staticmethod(answer)

    with pytest.raises(PluginError, match=r"plugin 'Nonsense' \(.*\) ") as raised:
        tune(Nonsense)
    assert complaint in str(raised.value)
    assert [trial.number for trial in intact().trials] == [0, 1]


@pytest.mark.parametrize("answer", [False, True, 0, "", ["enough"]], ids=repr)
@pytest.mark.parametrize("hook", ["stop", "prune"])
def test_a_reason_is_a_text_or_none(hook, answer):
    """`stop` returning False is a mistake, not a no."""

    class Unreasonable(Good):
        pass

    if hook == "stop":
        Unreasonable.stop = hookimpl(lambda self, study: answer)
    else:
        Unreasonable.prune = hookimpl(lambda self, study, trial: answer)
    getattr(Unreasonable, hook).__name__ = hook
    with pytest.raises(PluginError, match=rf"plugin 'Unreasonable' \(.*\) .*{hook}.*reason"):
        tune(Unreasonable)


def test_numpy_scalars_become_plain_python():
    """What algorithms compute with is accepted; what is kept is plain."""
    proposals = iter([{"x": np.float32(0.25), "n": np.int64(2)}, {"x": np.float64(0.75), "n": np.float64(4)}])

    class Numpy(Good):
        then = staticmethod(lambda: [next(proposals)])

    study = tune(Numpy, max_jobs=4)
    assert [dict(trial.hyperparameters) for trial in study.trials[2:]] == [{"x": 0.25, "n": 2}, {"x": 0.75, "n": 4}]
    assert {type(value) for trial in study.trials for value in trial.hyperparameters.values()} == {float, int}


def test_a_mapping_that_is_mutated_later_does_not_change_the_trial():
    """The core copies what it is given."""

    class Mutating(Good):
        @hookimpl
        def propose(self, study, count):
            self.calls += 1
            self.given = {"x": self.calls / 10, "n": 3}
            return [self.given]

        @hookimpl
        def observe(self, study, trials):
            self.given["x"] = 0.99

    study = tune(Mutating, max_jobs=3, max_parallel_jobs=1)
    assert [trial.hyperparameters["x"] for trial in study.trials] == [0.1, 0.2, 0.3]


def test_what_a_plugin_is_given_cannot_be_changed():
    """Trials are frozen, and so are their hyperparameters."""
    study = tune(Good, max_jobs=2)
    with pytest.raises(AttributeError):
        study.trials[0].number = 7
    with pytest.raises(TypeError):
        study.trials[0].hyperparameters["x"] = 7
    with pytest.raises(TypeError):
        study.trials[0] = study.trials[1]


def test_a_misspelt_hook_is_refused():
    """pluggy alone would accept it silently."""

    class Misspelt(Good):
        @hookimpl
        def obsreve(self, study, trials):
            return None

    expected = r".*'obsreve'.*did you mean 'observe'\? hooks: propose, observe, stop,"
    with pytest.raises(PluginError, match=rf"plugin 'Misspelt' \(.*\) {expected}"):
        tune(Misspelt)


def test_a_hook_with_an_argument_that_there_is_not_is_refused():
    """By the argument's name."""

    class Inventive(Good):
        @hookimpl
        def propose(self, study, how_many):
            return []

    with pytest.raises(PluginError, match=r"plugin 'Inventive' \(.*\): .*'propose'.*'how_many'"):
        tune(Inventive)


def test_a_strategy_that_cannot_propose_is_refused():
    """A forgotten @hookimpl would end a study without a word; an extension need not propose."""

    class Forgetful:
        def __init__(self, problem):
            pass

        def propose(self, study, count):
            return [GOOD]

    with pytest.raises(PluginError, match=r"plugin 'Forgetful' \(.*\) .*propose.*@hookimpl"):
        tune(Forgetful)
    with pytest.raises(UnknownStudy):
        intact()
    assert tune("random", extensions=[Forgetful]).jobs == 6


@pytest.mark.parametrize("failure", [RuntimeError("no network"), SystemExit("bye")], ids=["error", "exit"])
def test_a_failing_reporter_breaks_nothing(failure, caplog):
    """`happened` is for people: a failure is told of once, and the reporter is dropped."""

    class Chatty:
        def __init__(self, problem):
            pass

        @hookimpl
        def happened(self, study, event):
            raise failure

    assert tune("random", extensions=[Chatty]).jobs == 6
    assert len([record for record in caplog.records if "'Chatty'" in record.getMessage()]) == 1


def test_a_plugin_that_cannot_close_takes_nothing_with_it(caplog):
    """The study is over: its result is returned, and the others are closed."""
    closed = []

    class Stuck(Good):
        def close(self):
            if self.calls:
                raise RuntimeError("stuck")

    class Closing:
        def __init__(self, problem):
            pass

        def close(self):
            closed.append(self)

    study = tune(Stuck, max_jobs=2, extensions=[Closing])
    assert study.stop_reason == "max_jobs (2) reached"
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith("plugin 'Stuck' (")
    assert "close" in told
    assert len(closed) == 2  # also the one that was built to check its options


def test_every_event_happens_once():
    """A tracker sees what the journal holds, in order."""
    seen = []

    class Tracker:
        def __init__(self, problem):
            pass

        @hookimpl
        def happened(self, study, event):
            seen.append((event.sequence, event.kind))

    study = tune("random", extensions=[Tracker])
    journal = open_journal("studies.db")
    assert seen == [(event.sequence, event.kind) for event in journal.find(study.id).read()]
    journal.close()


def test_an_optimiser_that_swallows_exceptions_is_unwound():
    """Closing a study ends the optimiser, even if it catches every Exception."""

    def stubborn(evaluate):
        while True:
            try:
                evaluate([[0.5, 0.5]])
            except Exception:  # noqa: BLE001 - that is its fault
                continue

    class Stubborn(Blocking):
        def __init__(self, problem):
            super().__init__(problem, stubborn)

    before = threading.active_count()
    study = tune(Stubborn, max_jobs=3, duplicates="run")
    assert study.jobs == 3
    assert threading.active_count() == before


def test_an_optimiser_that_fails_ends_the_study_with_its_error():
    """An exception in the optimiser reaches the user."""

    class Failing(Blocking):
        def __init__(self, problem):
            super().__init__(problem, self.optimise)

        def optimise(self, evaluate):
            evaluate([[0.1, 0.1], [0.2, 0.2]])
            raise ZeroDivisionError("no variance")

    with pytest.raises(PluginError, match=r"'Failing' .*propose.*ZeroDivisionError: no variance"):
        tune(Failing)


def test_results_of_running_evaluations_are_kept_when_a_plugin_fails():
    """An evaluation in this process would be lost with it, so it is waited for and journaled."""
    waiting = threading.Event()

    def slow(hyperparameters):
        if hyperparameters["n"] == 5:
            waiting.wait(10)
        return hyperparameters["x"]

    class FailsOnFirst(Good):
        @hookimpl
        def propose(self, study, count):
            return [{"x": 0.1, "n": 5}, {"x": 0.2, "n": 1}][:count]

        @hookimpl
        def observe(self, study, trials):
            waiting.set()
            raise RuntimeError("cannot learn")

    with pytest.raises(PluginError, match=r"'FailsOnFirst'.*observe.*RuntimeError: cannot learn"):
        studies.tune(slow, RANGES, strategy=FailsOnFirst, max_jobs=2, max_parallel_jobs=2)
    assert [str(trial.status) for trial in intact().trials] == ["Completed", "Completed"]
