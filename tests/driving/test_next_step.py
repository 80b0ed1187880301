"""What the user is told to type works."""

import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from inside import manifest, next_step, trust
from studies import eventful

from byohpo_core.journal import open_journal

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
    assert left.returncode != 0
    assert f"`{way_on}`" in left.stderr.splitlines()[-1], left.stderr
    assert f"`{way_on}`" in run(*cli, "studies", "--journal", "my studies.db").stdout
    typed = [*cli, *shlex.split(way_on)[1:]] if way_on.startswith("byohpo ") else [sys.executable, str(program), way_on]
    went_on = run(*typed)
    assert went_on.returncode == 0, went_on.stderr
    assert "max_jobs (8) reached" in run(*cli, "studies", "--journal", "my studies.db").stdout


LOCAL = {"kind": "local"}


@pytest.mark.parametrize(
    ("backend", "targets", "resume", "stop"),
    [
        (LOCAL, {}, "byohpo resume s", "byohpo stop s"),
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
        (
            LOCAL,
            {"algorithms": "__main__:Mine"},
            "Tuner.attach('s', strategy=Mine).resume()",
            "byohpo stop s",
        ),
        (
            LOCAL,
            {"algorithms": "work:f.<locals>.C"},
            "Tuner.attach('s', strategy=TheClass).resume()",
            "byohpo stop s",
        ),
        (LOCAL, {"extensions": "__main__:Mine"}, "Tuner.attach('s').resume()", "byohpo stop s"),
        (
            LOCAL,
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
    installed = log.manifest()["plugins"][:1]
    present = manifest.Manifest.from_json({**log.manifest(), "backend": backend, "plugins": [*plugins, *installed]})
    trust.trust(log.id, trust.digest(log.id, present))
    assert next_step.next_step("resume", log, present) == f"`{resume}`"
    assert next_step.next_step("stop", log, present) == f"`{stop}`"
