"""A journal whose events somebody else has written: they name no other job and no other hyperparameter than allowed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from inside import Manifest, Secrets, trust
from studies import DEADLINE, Killed, byohpo, dying, refused, tuner

from byohpo_core import ContinuousParameter, Event, TrainingScript
from byohpo_core.journal import open_journal

LOG = "studies.db"


@pytest.fixture
def open_study(own_folder, monkeypatch):
    """A study of a script, created here, whose driver died with one trial on its way."""
    monkeypatch.setenv("XDG_STATE_HOME", str(own_folder / "state"))
    (own_folder / "train.py").write_text("import sys\nprint('loss=1', sys.argv)\n")
    with dying(1, LOG), pytest.raises(Killed):
        tuner(TrainingScript("train.py"), {"width": ContinuousParameter(0, 1)}, journal=LOG, max_jobs=4).fit(
            job_name="s"
        )
    return open_journal(LOG).find("s")


def append(log, *happenings):
    """Add events with valid checksums, and an epoch, since only proposals of the newest one are compared."""
    manifest = Manifest.of(log).to_json()
    happenings = [*happenings, ("epoch", {"problem": manifest["problem"], "plugins": manifest["plugins"]})]
    kind, first = type(next(log.read()).kind), log.last() + 1
    log.append([Event(first + it, kind(name), 1.0, body) for it, (name, body) in enumerate(happenings)])


def asked(**hyperparameters):
    return "asked", {"plugin": "random", "count": 1, "answer": [{"hyperparameters": hyperparameters}]}


def refuse_all(log):
    """Each command that folds the study refuses it in one line that names it, and starts nothing."""
    for words in (["results", "s"], ["resume", "s"], ["stop", "s"]):
        assert refused(byohpo(*words, "--journal", LOG), log.id), words


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {"width": 0.5, "load_from": "/attacker.pkl"},
        {"width": 0.5, "sagemaker_submit_directory": "s3://attacker/evil.tar.gz"},
        {"width": 7.0},
        {"width": "0.5; rm"},
        {"width": {"secret": "TOKEN"}},
        {},
    ],
    ids=str,
)
def test_a_proposal_stays_inside_the_search_space(hyperparameters, open_study):
    """Whoever trusts a study has agreed to its program, not to other arguments of it."""
    number = len(open_study.study().trials)
    append(open_study, asked(**hyperparameters))
    refuse_all(open_study)
    assert not [*Path("byohpo-jobs").glob(f"*/*-{number}-*")]


@pytest.mark.parametrize("continued", ["itself", "a later one", 99])
def test_a_trial_continues_an_earlier_one(continued, open_study):
    """Otherwise whoever looks for the origin of its checkpoints would search for ever, or in vain."""
    number = len(open_study.study().trials)
    origin = {"itself": number, "a later one": number + 1}.get(continued, continued)
    answer = [{"hyperparameters": {"width": 0.5}, "resume_from": origin}]
    append(open_study, ("asked", {"plugin": "random", "count": 1, "answer": answer}))
    refuse_all(open_study)


@pytest.mark.parametrize("job", ["absolute", "../../precious", "another-ab1c-0-0", "s-0-0", 5, None], ids=str)
def test_a_job_has_the_name_of_its_trial(job, open_study, own_folder):
    """Otherwise its folder could be anywhere, and to stop it would stop somebody else's."""
    (own_folder / "precious").mkdir()
    (own_folder / "precious.json").write_text("{}")
    given = str(own_folder / "precious") if job == "absolute" else job
    number = len(open_study.study().trials)
    append(open_study, asked(width=0.5), ("intended", {"trial": number, "attempt": 0, "job": given}))
    refuse_all(open_study)
    assert (own_folder / "precious.json").read_text() == "{}"
    assert [*(own_folder / "precious").iterdir()] == []


def test_an_epoch_keeps_the_search_space(open_study):
    """Limits may be raised; what is tuned stays."""
    manifest = Manifest.of(open_study).to_json()
    space = json.loads(json.dumps(manifest["problem"]).replace("width", "load_from"))
    append(open_study, ("epoch", {"problem": space, "plugins": manifest["plugins"]}))
    assert refused(byohpo("results", "s", "--journal", LOG), open_study.id)


@pytest.mark.parametrize("changed", ["space", "inputs", "folder of a class"])
def test_a_changed_study_is_asked_about_again(changed, open_study):
    """What its jobs are given, and where its classes are imported from, are part of what the user agreed to."""
    before = Manifest.of(open_study)
    body = json.loads(json.dumps(before.to_json()))
    if changed == "space":
        body["problem"]["space"]["ContinuousParameterRanges"][0]["MaxValue"] = "9.0"
    elif changed == "inputs":
        body["settings"]["inputs"] = {"training": "/etc"}
    else:
        body["plugins"][0] |= {"distribution": None, "target": "house:House", "folder": "/here"}
        before = Manifest.from_json(json.loads(json.dumps(body)))
        body["plugins"][0]["folder"] = "/elsewhere"
    assert trust.digest(open_study.id, Manifest.from_json(body)) != trust.digest(open_study.id, before)


@pytest.mark.parametrize("channel", ["../../x", "/etc", "a/b", "", "."])
def test_a_channel_stays_inside_its_job(channel, open_study):
    """Its name is that of a folder."""
    body = {**open_study.record.manifest, "settings": {**open_study.record.manifest["settings"]}}
    body["settings"]["inputs"] = {channel: "/etc"}
    open_journal("other.db").take(attrs.evolve(open_study.record, manifest=body), [*open_study.read()])
    for words in (["resume", "s"], ["stop", "s"], ["trust", "s"]):
        done = byohpo(*words, "--journal", "other.db")
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_tag_reveals_no_secret():
    """Only marks that the study's user has seen are revealed."""
    secrets = Secrets.with_values({"TOKEN": "t"})
    secrets.expect({"environment": {"TOKEN": {"secret": "TOKEN"}}}, {})
    assert secrets.reveal({"secret": "TOKEN"}) == "t"
    with pytest.raises(Exception, match="PATH"):
        secrets.reveal({"secret": "PATH"})


@pytest.mark.parametrize("tags", [[["x", {"secret": "TOKEN"}]], [["x", 5]], [[{"secret": "TOKEN"}, "x"]]], ids=str)
def test_tags_are_texts(tags, open_study):
    """No mark can hide in them."""
    body = {**open_study.record.manifest, "settings": {**open_study.record.manifest["settings"], "tags": tags}}
    open_journal("other.db").take(attrs.evolve(open_study.record, manifest=body), [*open_study.read()])
    done = byohpo("resume", "s", "--journal", "other.db")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


HOUSE = """
from byohpo_core import hookimpl
open({mark!r}, "w").close()

class House:
    '''An algorithm of one's own.'''
    def __init__(self, problem):
        self.space = problem.space

    @hookimpl
    def propose(self, study, count):
        return [self.space.decode([(len(study.trials) + it) % 7 / 7]) for it in range(count)]
"""
PROGRAM = """
import sys
sys.path.insert(0, {folder!r})
from house import House
from work import f
from byohpo_core import ContinuousParameter, Tuner
Tuner(f, "loss", {{"x": ContinuousParameter(0, 1)}}, strategy=House, objective_type="Minimize", max_jobs=5,
      journal={journal!r}, progress=False).fit(job_name="s")
"""


def test_a_class_is_imported_from_where_it_was(own_folder, monkeypatch):
    """Not from whatever folder one resumes in, where another module may have its name."""
    monkeypatch.setenv("XDG_STATE_HOME", str(own_folder / "state"))
    project, elsewhere = own_folder / "project", own_folder / "elsewhere"
    for folder in (project, elsewhere):
        folder.mkdir()
        (folder / "house.py").write_text(HOUSE.format(mark=str(folder / "imported")))
    (project / "work.py").write_text("def f(h): return {'loss': h['x']}\n")
    journal = str(own_folder / LOG)
    program = PROGRAM.format(folder=str(project), journal=journal)
    subprocess.run([sys.executable, "-P", "-c", program], check=True, timeout=DEADLINE)
    (project / "imported").unlink()

    def resume(jobs):
        words = ["resume", "s", "--max-jobs", jobs, "--journal", journal]
        command = [sys.executable, "-P", "-m", "byohpo_core.cli", *words]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(it for it in sys.path if it)}
        return subprocess.run(
            command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False, timeout=DEADLINE
        )

    done = resume("7")
    assert done.returncode == 0, done.stderr
    assert (project / "imported").exists()
    (project / "house.py").unlink()
    assert refused(resume("9"), "house:House")
    assert not (elsewhere / "imported").exists()
