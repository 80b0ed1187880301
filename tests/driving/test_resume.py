"""Crash and resume: the same proposals, nothing lost, nothing run twice. `nox -s faults` does it at length."""

import os
import random
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from importlib import import_module
from pathlib import Path

import attrs
import pytest
from studies import attach, eventful, log_class, tune

from byohpo_core import (
    ContinuousParameter,
    Diverged,
    InvalidInput,
    Simulated,
    Simulation,
    StudyBusy,
    StudyExists,
    StudyLocked,
    Tuner,
    UnknownPlugin,
    UnknownStudy,
    hookimpl,
    register,
)
from byohpo_core.driving import manifest, next_step
from byohpo_core.journal import open_journal


def lose_its_driver():
    """Leave the journal as it would be if the driver had died early."""
    with closing(sqlite3.connect("studies.db")) as connection:
        connection.execute("DELETE FROM events WHERE sequence > 5")
        connection.commit()


def outcome(study):
    """All that must be the same after a crash: proposals, statuses, values, times."""
    return [
        (trial.number, dict(trial.hyperparameters), str(trial.status), trial.values, trial.attempt, trial.ended)
        for trial in study.trials
    ]


class Killed(BaseException):
    """Stands for the driver's death."""


@pytest.mark.parametrize("strategy", ["random", "pso"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_driver_that_dies_at_any_commit_resumes_as_if_nothing_had_happened(strategy, moment, monkeypatch):
    """At every boundary of the journal: what was not committed never happened, what was is not repeated."""
    whole = outcome(eventful(strategy, "whole.db").fit(job_name="s"))
    log_type = log_class()
    append = log_type.append
    boundary = 0
    while True:
        left = boundary

        def dying(log, events):
            nonlocal left
            left -= 1
            if left < 0 and moment == "before":
                raise Killed
            append(log, events)
            if left < 0:
                raise Killed

        monkeypatch.setattr(log_type, "append", dying)
        try:
            eventful(strategy).fit(job_name=f"s{boundary}")
        except Killed:
            pass
        else:
            break
        monkeypatch.setattr(log_type, "append", append)
        assert outcome(attach(f"s{boundary}").resume()) == whole
        boundary += 1
    assert boundary > 16


@register("reads-curves")
@attrs.define(eq=False)
class ReadsCurves:
    """An algorithm that goes by the curves of running trials and by the time."""

    problem: object

    @hookimpl
    def propose(self, study, count):
        points = sum(len(study.curve(trial.number)) for trial in study.running)
        return [{"x": (points + len(study.trials) / 3 + study.now / 7 + study.elapsed_seconds / 11) % 9 - 4}]

    @hookimpl
    def prune(self, study, trial):
        report = study.reports(trial).get("loss")
        assert report is None or len(study.curve(trial.number)) == report.count


@pytest.mark.parametrize("journal", ["studies.db", ":memory:"])
def test_what_a_plugin_reads_of_curves_and_of_the_time_is_replayed(journal, monkeypatch):
    """A prune hook sees every reported point; a replay sees none that was reported later, and the same time."""

    def creeping(backend):
        backend._now += 0.001
        return backend._now

    monkeypatch.setattr("byohpo_core.backends.simulated.SimulatedBackend.now", creeping)
    log_type = log_class(journal)
    append = log_type.append
    for boundary in (4, 8, 12, 16, 20):
        left = boundary

        def dying(log, events):
            nonlocal left
            left -= 1
            append(log, events)
            if left < 0:
                raise Killed

        monkeypatch.setattr(log_type, "append", dying)
        driven = eventful("reads-curves", journal, max_jobs=8)
        with pytest.raises(Killed):
            driven.fit(job_name=f"s{boundary}")
        monkeypatch.setattr(log_type, "append", append)
        assert driven.resume().stop_reason == "max_jobs (8) reached"


def test_a_study_that_dies_again_and_again_still_ends(monkeypatch):
    """Killed during every resume, it goes on from the last commit."""
    whole = outcome(eventful("pso", "whole.db").fit(job_name="s"))
    log_type = log_class()
    append = log_type.append
    left = 3

    def dying(log, events):
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        append(log, events)

    monkeypatch.setattr(log_type, "append", dying)
    run = eventful().fit
    with pytest.raises(Killed):
        run(job_name="s")
    deaths = 0
    while True:
        left = 3
        try:
            study = attach().resume()
        except Killed:
            deaths += 1
        else:
            break
    assert deaths > 5
    assert outcome(study) == whole


def test_an_evaluation_that_died_with_its_driver_runs_again_as_the_next_attempt():
    """A function's evaluation is lost with the process; its trial is not, and no limit counts the loss."""
    script = """
        import os, sys
        from byohpo_core import ContinuousParameter, Tuner

        def objective(hyperparameters):
            with open("ledger", "a") as ledger:
                ledger.write("started\\n")
            if len(sys.argv) > 1 and os.path.getsize("ledger") > 40:
                os.kill(os.getpid(), 9)
            return hyperparameters["x"]

        if len(sys.argv) > 1:
            Tuner(objective, "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", max_jobs=8,
                  max_attempts=1, progress=False).fit(job_name="s")
        study = Tuner.attach("s", estimator=objective, progress=False).resume()
        assert study.jobs == 8 and all(trial.status == "Completed" for trial in study.trials)
        assert [trial.attempt for trial in study.trials].count(1) == 1
    """
    Path("script.py").write_text(textwrap.dedent(script))
    first = subprocess.run([sys.executable, "script.py", "die"], capture_output=True, text=True, check=False)
    assert first.returncode == -signal.SIGKILL, first.stderr
    second = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert len(Path("ledger").read_text().splitlines()) == 9


def test_ctrl_c_waits_for_what_runs_and_resume_goes_on():
    """Once: nothing new is launched, running evaluations are journaled, and the user is told how to go on."""
    script = """
        import os, signal
        from byohpo_core import ContinuousParameter, Tuner

        def objective(hyperparameters):
            if not os.path.exists("pressed"):
                open("pressed", "w").close()
                os.kill(os.getpid(), signal.SIGINT)
            return hyperparameters["x"]

        try:
            Tuner(objective, "loss", {"x": ContinuousParameter(0, 1)}, strategy="random", max_jobs=8,
                  progress=False).fit(job_name="s")
        except KeyboardInterrupt as interrupt:
            print(interrupt)
        study = Tuner.attach("s", estimator=objective, progress=False).study
        print(study.finished_count, study.running, study.stop_reason)
        print(Tuner.attach("s", estimator=objective, progress=False).resume().stop_reason)
    """
    Path("script.py").write_text(textwrap.dedent(script))
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "study 's' is interrupted: `Tuner.attach('s', estimator=objective).resume()` goes on",
        "1 () None",
        "max_jobs (8) reached",
    ], done.stderr
    assert "Ctrl-C again stops them" in done.stderr


@attrs.define(eq=False)
class Fickle:
    """An algorithm that proposes what it is told to, whatever its seed."""

    problem: object
    offset = 0.0

    @hookimpl
    def propose(self, study, count):
        return [{"x": len(study.trials) / 4 + Fickle.offset}]


def test_a_plugin_that_changed_its_mind_is_named_and_can_be_restarted(monkeypatch):
    """Divergence stops loudly; `restart_algorithm` goes on from the results so far."""
    register("fickle", Fickle)
    log_type = log_class()
    append = log_type.append
    left = 6

    def dying(log, events):
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        append(log, events)

    monkeypatch.setattr(log_type, "append", dying)
    run = eventful("fickle").fit
    with pytest.raises(Killed):
        run(job_name="s")
    monkeypatch.setattr(log_type, "append", append)
    monkeypatch.setattr(Fickle, "offset", 1e-9)
    with pytest.raises(
        Diverged, match=r"'fickle'.*changed its mind about trial 0.*\{'x': 0.0\}.*byohpo resume s --restart-algorithm"
    ):
        attach().resume()
    before = len(attach().study.trials)
    with closing(sqlite3.connect("studies.db")) as studies, closing(sqlite3.connect("copy.db")) as copy:
        studies.backup(copy)
    stopped = attach(journal="copy.db")
    assert stopped.stop_tuning_job()  # which asks for no proposals
    assert (stopped.study.stop_reason, len(stopped.study.trials)) == ("stopped by stop_tuning_job", before)
    study = attach().resume(restart_algorithm=True)
    assert study.stop_reason == "max_jobs (16) reached"
    assert study.epoch_start == before
    assert all(trial.prior == (trial.number < before) for trial in study.trials)
    assert all(1e-10 < trial.hyperparameters["x"] % 0.25 < 1e-8 for trial in study.trials[before:])


def test_a_tiny_difference_of_floats_is_no_change_of_mind(monkeypatch):
    """Another machine's last digit is tolerated, and the journaled value is used."""
    register("fickle", Fickle)
    monkeypatch.setattr(Fickle, "offset", 1.0)
    eventful("fickle", max_jobs=5).fit(job_name="s")
    with sqlite3.connect("studies.db") as connection:
        connection.execute("DELETE FROM events WHERE kind = 'stopped' OR sequence > 20")
    connection.close()
    monkeypatch.setattr(Fickle, "offset", 1.0 + 2e-14)
    assert attach().resume().trials[0].hyperparameters["x"] == 1.0


def test_limits_are_raised_in_a_new_epoch():
    """The algorithm is built afresh for the new budget, and is told the earlier results as foreign ones."""
    seen = []

    class Listener:
        def __init__(self, problem):
            self.random = random.Random(problem.seed)
            self.told = seen.append

        @hookimpl
        def propose(self, study, count):
            return [{"x": self.random.uniform(-5, 5)} for _ in range(count)]

        @hookimpl
        def observe(self, study, trials):
            seen.append([(trial.number, trial.prior) for trial in trials])

    register("listener", Listener)
    eventful("listener", max_jobs=5).fit(job_name="s")
    seen.clear()
    study = attach().resume(max_jobs=9)
    assert study.jobs == 9
    assert study.problem.max_jobs == 9
    assert seen[0] == [(number, True) for number in range(5)]
    assert not any(foreign for batch in seen[1:] for _, foreign in batch)
    with pytest.raises(InvalidInput, match="max_jobs is 0"):
        attach().resume(max_jobs=0)


def test_a_resume_that_is_refused_changes_nothing(monkeypatch):
    """Neither a function that only another program has nor a backend that cannot be reached leaves a new epoch."""
    Tuner(
        lambda hyperparameters: hyperparameters["x"],
        "loss",
        {"x": ContinuousParameter(0, 1)},
        strategy="random",
        max_jobs=3,
        journal="studies.db",
        progress=False,
    ).fit(job_name="f")
    eventful(max_jobs=4).fit(job_name="s")
    before = [attach(name).study.sequence for name in ("f", "s")]

    def unreachable(*_):
        raise InvalidInput("no way there")

    with pytest.raises(InvalidInput, match="cannot import"):
        Tuner.attach("f", journal="studies.db").resume(max_jobs=20)
    with monkeypatch.context() as patch:
        patch.setattr(Simulated, "connect", unreachable)
        with pytest.raises(InvalidInput, match="no way there"):
            attach().resume(max_jobs=20)
    after = [attach(name).study for name in ("f", "s")]
    assert [study.sequence for study in after] == before
    assert [study.problem.max_jobs for study in after] == [3, 4]


def test_a_limit_as_it_is_is_no_new_epoch_and_one_below_the_jobs_so_far_is_refused():
    """An ended study is returned as it is."""
    before = eventful(max_jobs=5).fit(job_name="s")
    again = attach().resume(max_jobs=5, max_parallel_jobs=4)
    assert (again.sequence, again.problem) == (before.sequence, before.problem)
    with pytest.raises(InvalidInput, match="max_jobs is 4, and study 's' has had 5 jobs: it can only be raised"):
        attach().resume(max_jobs=4)
    assert attach().study.sequence == before.sequence


def test_a_raised_limit_gives_a_search_without_improvement_another_chance():
    """The finished trials since the incumbent are counted afresh."""
    Tuner(
        Simulated(lambda _: Simulation({"loss": 1.0}, 1)),
        "loss",
        {"x": ContinuousParameter(0, 1)},
        strategy="random",
        extensions=[("no-improvement", {"trials": 5})],
        max_jobs=40,
        journal="studies.db",
        progress=False,
    ).fit(job_name="s")
    constant = Simulated(lambda _: Simulation({"loss": 1.0}, 1))
    study = attach(estimator=constant).resume(max_jobs=80)
    assert study.stop_reason == "no improvement in 5 finished trials"
    assert study.jobs == 6 + 5


def test_an_epoch_is_told_to_those_who_listen():
    """Every journaled event, once: also one with which a driver begins."""
    told = []

    @register("telling", group="extensions")
    class Telling:
        def __init__(self, problem):
            pass

        @hookimpl
        def happened(self, study, event):
            told.append((event.sequence, str(event.kind)))

    eventful("random", max_jobs=4, extensions=["telling"]).fit(job_name="s")
    study = attach().resume(max_jobs=6)
    assert [number for number, _ in told] == list(range(study.sequence))
    assert [kind for _, kind in told].count("epoch") == 1


class Impatient:
    """Presses Ctrl-C three times."""

    presses = 3

    def __init__(self, problem):
        """As extensions are made."""

    @hookimpl
    def happened(self, study, event):
        for _ in range(self.presses):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("journal", "way_on"),
    [
        ("studies.db", "`byohpo resume s --journal studies.db`"),
        ("my studies.db", "`byohpo resume s --journal 'my studies.db'`"),
        ("byohpo.db", "`byohpo resume s`"),
        (":memory:", "`resume()` of this program's Tuner"),
    ],
)
def test_the_user_is_told_how_to_go_on_however_the_driver_is_left(journal, way_on, caplog, monkeypatch):
    """A third Ctrl-C leaves at once."""
    leaving = eventful("random", journal, extensions=[Impatient])
    with pytest.raises(KeyboardInterrupt, match=re.escape(f"study 's' is left at once: {way_on} goes on")):
        leaving.fit(job_name="s")
    assert f"Ctrl-C again stops them. {way_on} goes on with the study." in caplog.messages[0]
    stop = way_on.replace("byohpo resume", "byohpo stop").replace("`resume", "`stop_tuning_job")
    assert f"{stop} stops what runs, {way_on} goes on with the study." in caplog.messages[-1]
    monkeypatch.setattr(Impatient, "presses", 0)
    with pytest.raises(StudyExists, match=r"already has a study named 's'.*: choose another job_name"):
        leaving.fit(job_name="s")
    assert leaving.resume().stop_reason == "max_jobs (16) reached"


PROGRAM = """
    import sys

    import beside
    from byohpo_core import ContinuousParameter, Tuner, hookimpl

    def objective(hyperparameters):
        return beside.objective(hyperparameters)

    def inside():
        class Inside:
            def __init__(self, problem):
                self.space = problem.space

            @hookimpl
            def propose(self, study, count):
                return [self.space.decode([len(study.trials) / 10 + number / 100]) for number in range(count)]

        class Quiet:
            def __init__(self, problem):
                pass

            @hookimpl
            def stop(self, study):
                return None

        return Inside, Quiet

    TheClass = inside()[1]
    Mine = type("Mine", (inside()[0],), {})

    if len(sys.argv) > 1:
        exec(sys.argv[1])
    else:
        Tuner(FUNCTION, "loss", {"x": ContinuousParameter(0, 1)}, strategy=STRATEGY, extensions=EXTENSIONS, max_jobs=8,
              journal="my studies.db", progress=False).fit(job_name="s")
"""
BESIDE = """
    import os, signal

    def objective(hyperparameters):
        if not os.path.exists("pressed"):
            open("pressed", "w").close()
            os.kill(os.getpid(), signal.SIGINT)
        return hyperparameters["x"]
"""


@pytest.mark.parametrize(
    ("function", "strategy", "extensions", "before", "given"),
    [
        ("objective", "'random'", "[]", "", "estimator=objective"),
        ("beside.objective", "Mine", "[]", "", "strategy=Mine"),
        (
            "objective",
            "Mine",
            "[TheClass]",
            "from byohpo_core import register; register('Quiet', TheClass, group='extensions'); ",
            "estimator=objective, strategy=Mine",
        ),
        ("beside.objective", "'random'", "[]", None, None),
    ],
)
def test_what_the_user_is_told_to_type_works(function, strategy, extensions, before, given):
    """By the one who leaves it, and by the list of studies; the program is in another folder than the user."""
    way_on = f"{before}Tuner.attach('s', journal='my studies.db', {given}).resume()"
    if given is None:  # anybody can import what it takes
        way_on = "byohpo resume s --journal 'my studies.db'"
    program = Path("folder", "program.py")
    program.parent.mkdir()
    program.with_name("beside.py").write_text(textwrap.dedent(BESIDE))
    text = textwrap.dedent(PROGRAM).replace("FUNCTION", function).replace("EXTENSIONS", extensions)
    program.write_text(text.replace("STRATEGY", strategy))
    cli = [sys.executable, "-P", "-m", "byohpo_core.cli"]

    def run(*command):
        return subprocess.run(command, capture_output=True, text=True, check=False)

    left = run(sys.executable, str(program))
    assert left.stderr.splitlines()[-1].endswith(f"study 's' is interrupted: `{way_on}` goes on"), left.stderr
    assert f"not ended: `{way_on}`" in run(*cli, "studies", "--journal", "my studies.db").stdout
    typed = [*cli, *shlex.split(way_on)[1:]] if way_on.startswith("byohpo ") else [sys.executable, str(program), way_on]
    went_on = run(*typed)
    assert went_on.returncode == 0, went_on.stderr
    assert "max_jobs (8) reached" in run(*cli, "studies", "--journal", "my studies.db").stdout


def test_another_function_is_taken_with_a_warning(caplog):
    """It may be renamed, or the wrong one."""
    eventful("random", max_jobs=4).fit(job_name="s")
    other = Simulated(lambda _: Simulation({"loss": 1.0}, 60))
    attach(estimator=other).resume(max_jobs=5)
    (told,) = caplog.messages
    assert told.startswith("the study has tuned the function studies:eventful_job, and goes on with ")
    attach().resume(max_jobs=6)
    assert caplog.messages == [told]  # the same one is no news


@pytest.mark.parametrize(
    ("backend", "targets", "resume", "stop"),
    [
        ({}, {}, "byohpo resume s", "byohpo stop s"),
        ({"kind": "function", "function": "work:job"}, {}, "byohpo resume s", "byohpo stop s"),
        (
            {"kind": "function", "function": "__main__:Model.score"},
            {},
            "Tuner.attach('s', estimator=Model.score).resume()",
            "Tuner.attach('s', estimator=Model.score).stop_tuning_job()",
        ),
        (
            {"kind": "simulated", "function": "__main__:<<lambda>>"},
            {},
            "Tuner.attach('s', estimator=Simulated(the_function)).resume()",
            "Tuner.attach('s', estimator=Simulated(the_function)).stop_tuning_job()",
        ),
        ({}, {"algorithms": "__main__:Mine"}, "Tuner.attach('s', strategy=Mine).resume()", "byohpo stop s"),
        ({}, {"algorithms": "work:f.<locals>.C"}, "Tuner.attach('s', strategy=TheClass).resume()", "byohpo stop s"),
        ({}, {"extensions": "__main__:Mine"}, "Tuner.attach('s').resume()", "byohpo stop s"),
        (
            {},
            {"extensions": "work:f.<locals>.C"},
            (
                "from byohpo_core import register; register('mine', TheClass, group='extensions'); "
                "Tuner.attach('s').resume()"
            ),
            "byohpo stop s",
        ),
    ],
    ids=str,
)
def test_what_to_type_follows_from_the_manifest(backend, targets, resume, stop, monkeypatch):
    """From its present plugins, by the names under which they are kept."""
    monkeypatch.setenv("BYOHPO_JOURNAL", "studies.db")
    eventful("random").fit(job_name="s")
    log = open_journal().find("s")
    plugins = [
        {"name": "mine", "group": f"byohpo.{group}", "target": target, "options": {}}
        for group, target in targets.items()
    ]
    present = manifest.Manifest.from_json({**log.manifest(), "backend": backend, "plugins": plugins})
    assert next_step.next_step("resume", log, present) == f"`{resume}`"
    assert next_step.next_step("stop", log, present) == f"`{stop}`"


def test_two_drivers_of_one_study_are_refused_the_holder_is_named():
    """One driver at a time, across processes."""
    eventful(max_jobs=4).fit(job_name="s")
    code = """
        import sys
        from byohpo_core.journal import open_journal
        journal = open_journal("studies.db")
        with journal.find("s").hold():
            print("held", flush=True)
            sys.stdin.read()
    """
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StudyBusy, match=f"is being driven by process {holder.pid} on "):
            attach().resume()
        assert attach().study.jobs == 4
        holder.stdin.close()
    assert attach().resume().jobs == 4


def test_two_drivers_in_one_process_are_refused():
    """A POSIX lock would not hold against one's own process."""
    eventful(max_jobs=4).fit(job_name="s")
    journal = open_journal("studies.db")
    with journal.find("s").hold(), pytest.raises(StudyBusy, match="already being driven by this process"):
        attach().resume()


def test_a_lock_left_by_another_host_is_taken_over_only_on_request():
    """Nobody can tell from here whether the other host's driver lives."""
    study = eventful(max_jobs=4).fit(job_name="s")
    Path(f"studies.db.{study.id}.lock").write_text("process 1 on elsewhere")
    with pytest.raises(StudyBusy, match=r"left locked by process 1 on elsewhere.*--take-over"):
        attach().resume()
    assert attach().resume(take_over=True).jobs == 4


def test_a_study_left_locked_by_another_host_is_stopped_only_on_request():
    """Nobody is told that a driver was asked to stop, where none may be there to heed it."""
    eventful(max_jobs=4).fit(job_name="s")
    lose_its_driver()
    Path(f"studies.db.{attach().study.id}.lock").write_text("process 1 on elsewhere")
    with pytest.raises(StudyLocked, match=r"left locked by process 1 on elsewhere.*--take-over"):
        attach().stop_tuning_job()
    stopping = attach()
    assert stopping.stop_tuning_job(take_over=True)
    assert stopping.study.stop_reason == "stopped by stop_tuning_job"


def test_a_study_is_stopped_without_its_algorithm():
    """Who only stops asks for no proposals: a class of a program that is gone keeps no job running."""

    class Gone:
        def __init__(self, problem):
            self.problem = problem

        @hookimpl
        def propose(self, study, count):
            return [{"x": float(len(study.trials))}][:count]

    eventful(Gone, max_jobs=4).fit(job_name="s")
    lose_its_driver()
    with pytest.raises(UnknownPlugin):
        attach().resume()
    stopping = attach()
    assert stopping.stop_tuning_job()
    assert stopping.study.stop_reason == "stopped by stop_tuning_job"
    assert not stopping.study.running


def test_a_stale_driver_is_fenced_by_the_journal(monkeypatch):
    """If another driver has written meanwhile, the stale one stops at its next commit."""
    log_type = log_class()
    append = log_type.append
    commits = 0

    def overtaken(log, events):
        nonlocal commits
        commits += 1
        append(log, events)
        if commits == 3:
            append(log, [attrs.evolve(events[-1], sequence=events[-1].sequence + 1)])

    monkeypatch.setattr(log_type, "append", overtaken)
    run = eventful().fit
    with pytest.raises(StudyBusy, match="another driver has taken over study"):
        run(job_name="s")


def test_a_disk_that_is_full_ends_with_one_line_and_resumes(monkeypatch):
    """What was committed is safe; when there is room again the study goes on as if nothing had happened."""
    whole = outcome(eventful("pso", "whole.db").fit(job_name="s"))
    log_type = log_class()
    append = log_type.append
    commits = 0

    def filling(log, events):
        nonlocal commits
        commits += 1
        if commits == 4:
            pages = log._journal._connection.execute("PRAGMA page_count").fetchone()[0]
            log._journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        append(log, events)

    monkeypatch.setattr(log_type, "append", filling)
    run = eventful().fit
    with pytest.raises(Exception, match="database or disk is full; what was committed is safe") as raised:
        run(job_name="s")
    assert type(raised.value).__name__ == "JournalError"
    monkeypatch.setattr(log_type, "append", append)
    assert outcome(attach().resume()) == whole


def test_an_ended_study_is_returned_as_it_is_without_its_function_or_plugin():
    """No estimator, no algorithm and no driver is needed to look at what is over."""
    first = eventful(max_jobs=4).fit(job_name="s")
    again = Tuner.attach("s", journal="studies.db").resume()
    assert outcome(again) == outcome(first)


def test_names_are_unique_in_a_journal_and_unknown_ones_list_the_known():
    """A taken name and an unknown one are told with the way out."""
    eventful(max_jobs=4).fit(job_name="known")
    with pytest.raises(StudyExists, match="already has a study named 'known'"):
        eventful().fit(job_name="known")
    with pytest.raises(UnknownStudy, match=r"no study named 'unknown' \(known: known\)"):
        attach("unknown")


def test_looking_creates_nothing(own_folder):
    """A missing journal stays missing."""
    with pytest.raises(UnknownStudy, match="known: none"):
        Tuner.attach("s", journal="nowhere.db")
    assert not list(own_folder.iterdir())


def test_a_function_whose_module_fails_is_told_in_one_line(tmp_path, monkeypatch):
    """Whatever the module raises when it is imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "broken_objective.py"
    module.write_text("def f(hyperparameters):\n    return 1.0\n")
    tune(import_module("broken_objective").f, max_jobs=1, max_parallel_jobs=1)
    monkeypatch.delitem(sys.modules, "broken_objective")
    module.write_text("raise RuntimeError('no such\\ndevice')")
    with pytest.raises(InvalidInput, match=r"broken_objective:f.*RuntimeError: no such device"):
        Tuner.attach("s", journal="studies.db", progress=False).resume(max_jobs=2)
