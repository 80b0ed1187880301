"""Drivers of training jobs die at any moment, lose their disk, or meet another; the account is a process of its own."""

import json
import os
import random
import shutil
import signal
import threading
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from inside import SqliteLog
from sagemaker_account import METRICS, RANGES
from sagemaker_inside import Aws
from sagemaker_machines import INDEX_LAG, Account, in_child, told, training_job, wait_for_stop

from byohpo_core import Tuner
from byohpo_core.journal import open_journal

JOBS = 8
STRATEGIES = {"random": None, "pso": {"population": 4, "mode": "generational"}}
METHODS = {SqliteLog: "append", Aws: "call"}


@pytest.fixture
def account(monkeypatch, quick_clients):
    """The account, and the environment that leads to it."""
    account = Account()
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    yield account
    account.close()


def fit(account, strategy, name, path):
    Tuner(
        training_job(account),
        "loss",
        RANGES,
        METRICS,
        strategy,
        "Minimize",
        JOBS,
        3,
        random_seed=5,
        strategy_options=STRATEGIES[strategy],
        journal=path,
        progress=False,
    ).fit(job_name=name)


def resume(account, name, path):
    estimator = training_job(account)
    # By its place: a driver that dies early leaves no job whose tags lead there.
    Tuner.attach(name, journal=path, estimator=estimator, mirror="s3://bucket/out", progress=False).resume(trust=True)


def outcome(path, name):
    """All that must be the same, whatever died when."""
    study = Tuner.attach(name, journal=path).study
    trials = [[t.number, dict(t.hyperparameters), str(t.status), t.values, t.result_of] for t in study.trials]
    return json.loads(json.dumps([trials, study.jobs, study.stop_reason]))


def check(account, path, name, check_jobs):
    """The jobs are those that the journal tells of, and none was created by two calls."""
    journal = open_journal(path)
    log = journal.find(name)
    jobs, created = account.ask(f"{log.id}-")
    check_jobs([*log.read()], jobs)
    assert set(created.values()) == {1}
    journal.close()


def at_moment(moment, number, owners=(SqliteLog, Aws)):
    """What makes a child send itself a signal: before or after one of its commits, or of its calls to AWS."""

    def before():
        left = [moment]
        lock = threading.Lock()

        def counted(function):
            def call(*arguments, **options):
                pass_moment()
                answer = function(*arguments, **options)
                pass_moment()
                return answer

            return call

        def pass_moment():
            with lock:
                left[0] -= 1
                if left[0] == -1:
                    os.kill(os.getpid(), number)

        for owner in owners:
            setattr(owner, METHODS[owner], counted(getattr(owner, METHODS[owner])))

    return before


@pytest.mark.parametrize("owner", METHODS, ids=["at a commit", "at a call"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_driver_killed_at_any_moment_leaves_no_job_behind_and_makes_none_twice(
    strategy, owner, account, long, counts, check_jobs
):
    """A driver is killed before or after each commit or call to AWS, and its resume once; none is lost or doubled."""
    draw = random.Random(1)
    assert told(in_child(lambda: fit(account, strategy, "whole", "whole.db"))) == "ended"
    expected = outcome("whole.db", "whole")
    step = {SqliteLog: 1, Aws: 3}[owner] * (1 if long else 19)
    kills = 0
    for moment in count(0 if long else 1, step):
        name, path = f"study-{moment}", f"{moment}.db"
        first = told(
            in_child(
                lambda n=name, p=path: fit(account, strategy, n, p), at_moment(moment, signal.SIGKILL, owners=[owner])
            )
        )
        account.clock.sleep_until(account.clock.now() + draw.choice([0, 0, 3, 100, 1000]))
        then = at_moment(draw.randrange(80), signal.SIGKILL)
        second = told(in_child(lambda n=name, p=path: going_on(account, strategy, n, p), then))
        last = told(in_child(lambda n=name, p=path: going_on(account, strategy, n, p)))
        ends = [first, second, last]
        assert set(ends[:2]) <= {"ended", None}, ends
        assert last == "ended", ends
        assert outcome(path, name) == expected, f"killed at moment {moment}"
        check(account, path, name, check_jobs)
        kills += ends.count(None)
        if first == "ended":
            break
    counts[f"drivers of training jobs killed, and their studies ended as undisturbed: {strategy}"] += kills
    assert kills >= (30 if long else 2)


def going_on(account, strategy, name, path):
    """Resume the study, or begin it if it had not begun."""
    if any(log.name == name for log in open_journal(path).logs()):
        resume(account, name, path)
    else:
        fit(account, strategy, name, path)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_lost_laptop_loses_nothing(strategy, account, long, counts, check_jobs):
    """The driver is killed and its folder deleted; another machine finds the study by the tag of its jobs."""
    assert told(in_child(lambda: fit(account, strategy, "whole", "whole.db"))) == "ended"
    expected = outcome("whole.db", "whole")
    lost = 0
    for moment in range(20, 140, 6 if long else 70):
        name, mine, other = f"study-{moment}", Path(f"mine-{moment}"), Path(f"other-{moment}")
        mine.mkdir()
        other.mkdir()
        ended = told(
            in_child(
                lambda n=name, p=mine / "byohpo.db": fit(account, strategy, n, p), at_moment(moment, signal.SIGKILL)
            )
        )
        assert ended is None, ended
        shutil.rmtree(mine)
        account.clock.sleep_until(account.clock.now() + INDEX_LAG + 1)
        path = other / "byohpo.db"
        ended = told(in_child(lambda n=name, p=path: resume(account, n, p)))
        assert ended == "ended", ended
        assert outcome(path, name) == expected, f"lost at moment {moment}"
        check(account, path, name, check_jobs)
        lost += 1
    counts["laptops lost, whose studies ended as undisturbed on another machine"] += lost
    assert lost >= (10 if long else 2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_of_two_machines_with_one_study_one_goes_on_and_the_other_stops(strategy, account, long, counts, check_jobs):
    """A driver sleeps while another machine takes the study over, and wakes before or after that one's end."""
    assert told(in_child(lambda: fit(account, strategy, "whole", "whole.db"))) == "ended"
    expected = outcome("whole.db", "whole")
    busy = Counter()
    for number, moment in enumerate(range(20, 110, 6 if long else 50)):
        name = f"study-{moment}"
        paths = [Path(f"{machine}-{moment}") / "byohpo.db" for machine in ("mine", "other")]
        for path in paths:
            path.parent.mkdir()
        sleeper = in_child(lambda n=name, p=paths[0]: fit(account, strategy, n, p), at_moment(moment, signal.SIGSTOP))
        wait_for_stop(sleeper)
        account.clock.sleep_until(account.clock.now() + INDEX_LAG + 1)
        if number % 2:
            # Both are about to write, and go on at the same time.
            writing = at_moment(0, signal.SIGSTOP, owners=[SqliteLog])
            other = in_child(lambda n=name, p=paths[1]: resume(account, n, p), writing)
            wait_for_stop(other)
            for driver in (other, sleeper) if number % 4 == 1 else (sleeper, other):
                os.kill(driver, signal.SIGCONT)
            ends = [told(sleeper), told(other)]
        else:
            second = told(in_child(lambda n=name, p=paths[1]: resume(account, n, p)))
            os.kill(sleeper, signal.SIGCONT)
            ends = [told(sleeper), second]
        assert sorted(text.partition(":")[0] for text in ends) == ["StudyBusy", "ended"], ends
        winner = paths[ends.index("ended")]
        assert outcome(winner, name) == expected
        check(account, winner, name, check_jobs)
        busy["the machine that had slept" if ends[1] == "ended" else "the machine that came second"] += 1
        # The loser's journal, too, is no way to do anything twice.
        loser = paths[1 - ends.index("ended")]
        again = told(in_child(lambda n=name, p=loser: resume(account, n, p)))
        assert again == "ended" or again.startswith("StudyBusy: study"), again
        check(account, winner, name, check_jobs)
    for who, times in busy.items():
        counts[f"two machines at one study: stopped was {who}"] += times
