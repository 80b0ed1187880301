"""The value of a secret stands in nothing that byohpo keeps or shows, and every job gets it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import traceback
from importlib import import_module
from pathlib import Path

import pytest
from byohpo_sagemaker_emulator import Emulator, Faults, SimulatedJob, VirtualClock
from inside import Manifest, Secrets, is_secret, trust
from studies import DEADLINE, JOURNAL, Killed, byohpo, dying, refused, tuned, tuner, wait_for

from byohpo_core import (
    ContinuousParameter,
    Estimator,
    InvalidInput,
    PythonFunction,
    Simulated,
    Simulation,
    StaticParameter,
    TrainingJob,
    TrainingScript,
    Tuner,
    Untrusted,
)
from byohpo_core.journal import open_journal

TOKEN, PHRASE = "hf-4Vt0kQ7zr", "rosebud-91c2"
VALUES = {"HF_TOKEN": TOKEN, "phrase": PHRASE}
X = {"x": ContinuousParameter(-5, 5)}
REQUEST = {
    "AlgorithmSpecification": {
        "TrainingImage": "123456789012.dkr.ecr.us-east-1.amazonaws.com/ours:1",
        "TrainingInputMode": "File",
    },
    "RoleArn": "arn:aws:iam::123456789012:role/training",
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
    "StoppingCondition": {"MaxRuntimeInSeconds": 7200},
    "HyperParameters": {"epochs": "3", "phrase": PHRASE},
    "Environment": {"HF_TOKEN": TOKEN, "MODE": "fast"},
}
MARKS = {"HF_TOKEN": {"secret": "HF_TOKEN"}, "phrase": {"secret": "phrase"}}


def digest(value):
    return hashlib.sha256(value.encode()).hexdigest()


def train(name="train.py", seconds=0.0):
    """A script whose loss is what it has got: 0 with both secrets. It holds only their digests."""
    Path(name).write_text(
        textwrap.dedent(f"""
        import argparse, hashlib, os, time
        parser = argparse.ArgumentParser()
        parser.add_argument("-x", "--x")
        parser.add_argument("--phrase", default="")
        phrase = parser.parse_args().phrase
        time.sleep({seconds})
        def wrong(value, right):
            return hashlib.sha256(value.encode()).hexdigest() != right
        token = os.environ.get("HF_TOKEN", "")
        print("loss=%d" % (wrong(token, {digest(TOKEN)!r}) + wrong(phrase, {digest(PHRASE)!r})))
        """)
    )
    return name


def function(hyperparameters):
    """The same as a function, for the phrase alone."""
    return {"loss": float(digest(hyperparameters["phrase"]) != digest(PHRASE))}


def simulated(hyperparameters):
    return Simulation(function(hyperparameters), 60)


def leaks(*places, but=()):
    """The files below these folders, and the texts, in which a value stands."""
    files = [path for place in places if isinstance(place, Path) for path in place.rglob("*") if path.is_file()]
    texts = [(str(path), path.read_bytes()) for path in files if path.name not in but]
    texts += [(place, place.encode()) for place in places if isinstance(place, str)]
    return [name for name, text in texts for value in (TOKEN, PHRASE) if value.encode() in text]


def shown(name="s", journal=JOURNAL):
    """What the commands and a tuner tell of a study."""
    told = [["results", name, "--raw"], ["results", name, "--format", "csv"], ["results", name, "--format", "json"]]
    done = [byohpo(*words, "--journal", journal) for words in [*told, ["studies"], ["trust", name]]]
    attached = Tuner.attach(name, journal=journal)
    return "\n".join(
        [*(it.stdout + it.stderr for it in done), json.dumps(attached.describe()), repr(attached.study.trials)]
    )


def elsewhere(**variables):
    """The environment of a machine that has no secrets but these."""
    return {**{name: it for name, it in os.environ.items() if name not in VALUES}, **variables}


@pytest.mark.parametrize(
    "name",
    ["API_KEY", "apiKey", "DB-PASSWORD", "api.secret", "TOKEN", "HFToken", "key_id", "AWS_SECRET_ACCESS_KEY", "APIKey"],
)
def test_a_whole_word_makes_a_variable_secret(name):
    """In any case, between underscores, hyphens, dots and the borders of camelCase."""
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["MONKEY", "KEYBOARD", "Monkey", "TOKENIZERS_PARALLELISM", "secretary", "PASSWORDS", ""]
)
def test_a_part_of_a_word_does_not(name):
    """Other words may contain one of the four."""
    assert not is_secret(name)


def test_an_empty_variable_hides_nothing_unless_it_is_named():
    """So no resume asks for it."""
    assert Secrets().hide_environment({"API_KEY": "", "TOKEN": "t"}) == {"API_KEY": "", "TOKEN": {"secret": "TOKEN"}}
    assert Secrets.of(["API_KEY"]).hide_environment({"API_KEY": ""}) == {"API_KEY": {"secret": "API_KEY"}}


def test_a_local_study_leaves_no_value_behind(own_folder, capfd, caplog):
    """Only the file of the container's contract has the hyperparameter, and only its owner can read that."""
    script = TrainingScript(train(), environment={"HF_TOKEN": TOKEN}, hyperparameters={"phrase": PHRASE})
    study = tuned(script, X, max_jobs=3, secrets=["phrase"]).study
    assert [trial.value for trial in study.trials] == [0, 0, 0]
    assert study.trials[0].hyperparameters["phrase"] == MARKS["phrase"]
    printed = capfd.readouterr()
    assert leaks(own_folder, shown(), printed.out, printed.err, caplog.text, but=["hyperparameters.json"]) == []
    files = [*own_folder.rglob("hyperparameters.json")]
    assert {(path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) for path in files} == {(0o600, 0o700)}
    assert all(PHRASE in path.read_text() for path in files)
    (order, *_) = own_folder.glob("byohpo-jobs/*/*.json")
    assert json.loads(order.read_text())["environment"] == {"HF_TOKEN": MARKS["HF_TOKEN"]}
    assert '{"secret": "phrase"}' in byohpo("results", "s", "--journal", JOURNAL).stdout


@pytest.mark.parametrize(
    "estimator", [lambda: PythonFunction(function), lambda: Simulated(simulated)], ids=["threads", "simulated"]
)
def test_a_function_gets_its_secret(own_folder, estimator):
    """In threads and in a simulation."""
    ranges = {**X, "phrase": StaticParameter(PHRASE)}
    study = tuned(estimator(), ranges, max_jobs=3, secrets=["phrase"]).study
    assert [trial.value for trial in study.trials] == [0, 0, 0]
    assert leaks(own_folder, shown()) == []


def test_a_function_in_processes_gets_its_secret(own_folder, monkeypatch):
    """By the pipe of each process."""
    Path("checked.py").write_text(
        "import hashlib\n\n\ndef phrase(given):\n"
        f"    return float(hashlib.sha256(given['phrase'].encode()).hexdigest() != {digest(PHRASE)!r})\n"
    )
    monkeypatch.syspath_prepend(str(own_folder))
    checked = import_module("checked")
    ranges = {**X, "phrase": StaticParameter(PHRASE)}
    study = tuned(PythonFunction(checked.phrase, processes=True), ranges, max_jobs=3, secrets=["phrase"]).study
    assert [trial.value for trial in study.trials] == [0, 0, 0]
    assert leaks(own_folder, shown()) == []


def test_a_listed_name_is_a_variable_of_the_jobs(own_folder, monkeypatch):
    """Its value comes from the environment, and a value that is given goes before it; a file has names only."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    train()
    study = """
        strategy = "random"
        objective_metric_name = "loss"
        objective_type = "Minimize"
        job_name = "s"
        secrets = ["HF_TOKEN"]
        [script]
        entry_point = "train.py"
        [hyperparameter_ranges]
        x = { type = "continuous", min_value = 0.0, max_value = 1.0 }
        phrase = { type = "static", value = { secret = "phrase" } }
    """
    Path("study.toml").write_text(study)
    assert refused(byohpo("tune", "study.toml", "--journal", JOURNAL), "phrase")
    nothing = {**os.environ, "phrase": PHRASE, "HF_TOKEN": ""}
    assert refused(byohpo("tune", "study.toml", "--journal", JOURNAL, env=nothing), "HF_TOKEN")
    assert not Path(JOURNAL).exists()
    done = byohpo("tune", "study.toml", "--journal", JOURNAL, env={**os.environ, "phrase": PHRASE})
    assert done.returncode == 0
    assert Tuner.attach("s", journal=JOURNAL).study.best.value == 0
    assert leaks(own_folder, shown(), done.stdout, done.stderr, but=["hyperparameters.json"]) == []
    Path("study.toml").write_text(study.replace('["HF_TOKEN"]', f'{{ HF_TOKEN = "{TOKEN}" }}'))
    done = byohpo("tune", "study.toml", "--journal", JOURNAL)
    assert refused(done, "study.toml", "secrets")
    assert leaks(done.stderr) == []


def test_a_detached_driver_is_told_through_a_pipe(own_folder, caplog):
    """Neither its environment, its command line nor its log has a value."""
    ranges = {**X, "phrase": StaticParameter(PHRASE)}
    script = TrainingScript(train(seconds=0.5), environment={"HF_TOKEN": "another"})
    tuning = tuner(script, ranges, max_jobs=2, max_parallel_jobs=2, secrets=VALUES)
    study = tuning.fit(job_name="s", wait=False)
    driver = wait_for(lambda: [path for path in Path("/proc").glob("[0-9]*") if drives(path, study.id)])[0]
    assert leaks(*((driver / name).read_text(errors="replace") for name in ("environ", "cmdline"))) == []
    wait_for(lambda: tuning.study.stop_reason)
    assert [trial.value for trial in tuning.study.trials] == [0, 0]
    assert leaks(own_folder, shown(), caplog.text, but=["hyperparameters.json"]) == []


def drives(process, study_id):
    try:
        words = (process / "cmdline").read_text().split("\0")
    except OSError:
        return False
    return study_id in words and "--handed-over" in words


def test_a_driver_that_was_killed_is_resumed_with_secrets_from_elsewhere(own_folder):
    """What is missing is told in one line before any job; a supervisor of the new driver is told anew."""
    train(seconds=1)
    Path("tune.py").write_text(
        textwrap.dedent(f"""
        import os
        from byohpo_core import ContinuousParameter, StaticParameter, TrainingScript, Tuner
        script = TrainingScript("train.py", environment={{"HF_TOKEN": os.environ["HF_TOKEN"]}})
        ranges = {{"x": ContinuousParameter(0, 1), "phrase": StaticParameter(os.environ["phrase"])}}
        settings = dict(strategy="random", objective_type="Minimize", max_jobs=6, max_parallel_jobs=2, random_seed=1)
        Tuner(script, "loss", ranges, secrets=["phrase"], journal={JOURNAL!r}, **settings).fit(job_name="s")
        """)
    )
    driver = subprocess.Popen([sys.executable, "tune.py"], env=elsewhere(**VALUES), stderr=subprocess.DEVNULL)
    wait_for(lambda: [*own_folder.glob("byohpo-jobs/*/*/ml")])
    driver.send_signal(signal.SIGKILL)
    driver.wait(DEADLINE)
    before = sorted(own_folder.glob("byohpo-jobs/*/*"))
    resume = ["resume", "s", "--journal", str(own_folder / JOURNAL), "--trust"]
    other = {"cwd": own_folder.parent, "env": elsewhere(XDG_STATE_HOME=str(own_folder / "state"))}
    done = byohpo(*resume, **other)
    trusted, error = done.stderr.splitlines()
    assert trusted.startswith("study s is trusted from now on to run: ")
    assert error.startswith("byohpo: error: ")
    assert "HF_TOKEN, phrase" in error
    assert done.returncode == 2
    assert refused(byohpo(*resume, **{**other, "env": elsewhere(HF_TOKEN=TOKEN)}), " phrase;")
    assert sorted(own_folder.glob("byohpo-jobs/*/*")) == before
    done = byohpo(*resume, **{**other, "env": elsewhere(**VALUES)})
    assert done.returncode == 0, done.stderr
    study = Tuner.attach("s", journal=JOURNAL).study
    assert [trial.value for trial in study.trials] == [0] * 6
    assert leaks(own_folder, shown(), done.stdout, done.stderr, but=["hyperparameters.json"]) == []


def test_a_given_script_keeps_the_variables_of_its_study(own_folder, monkeypatch):
    """A variable that was listed is one of the jobs' after a resume with the user's own object too."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    script = TrainingScript(train(), hyperparameters={"phrase": PHRASE})
    with dying(moment="after"), pytest.raises(Killed):
        tuner(script, X, max_jobs=3, secrets=["HF_TOKEN", "phrase"]).fit(job_name="s")
    monkeypatch.delenv("HF_TOKEN")
    study = Tuner.attach("s", journal=JOURNAL, progress=False, estimator=script, secrets=VALUES).resume()
    assert [trial.value for trial in study.trials] == [0, 0, 0]
    assert leaks(own_folder, but=["hyperparameters.json"]) == []


@pytest.mark.parametrize("go_on", ["resume", "stop_tuning_job"])
def test_a_given_script_tells_no_value_of_a_variable_that_only_its_study_knows_as_secret(own_folder, go_on):
    """Its name has none of the four words, and `attach` is not told of it: the manifest has its mark."""
    script = TrainingScript(train(), environment={"ACCOUNT": TOKEN})
    with dying(moment="after"), pytest.raises(Killed):
        tuner(script, X, max_jobs=3, secrets=["ACCOUNT"]).fit(job_name="s")
    getattr(Tuner.attach("s", journal=JOURNAL, progress=False, estimator=script), go_on)()
    assert Tuner.attach("s", journal=JOURNAL).study.stop_reason
    assert leaks(own_folder) == []


def test_a_journal_of_an_earlier_release_is_resumed_with_its_own_values(own_folder):
    """What is written from now on has none of them."""
    script = TrainingScript(train(), environment={"HF_TOKEN": TOKEN}, hyperparameters={"phrase": PHRASE})
    with dying(1), pytest.raises(Killed):
        tuner(script, X, max_jobs=3, secrets=["phrase"]).fit(job_name="s")
    manifest = json.loads(json.dumps(open_journal(JOURNAL).find("s").record.manifest))
    manifest["backend"]["environment"] = {"HF_TOKEN": TOKEN}
    open_journal("old.db").create("old", manifest)
    tuning = Tuner.attach("old", journal="old.db", progress=False, secrets={"phrase": PHRASE})
    assert [trial.value for trial in tuning.resume(trust=True).trials] == [0, 0, 0]
    assert leaks(own_folder, but=["hyperparameters.json", "old.db", "old.db-wal"]) == []


def test_a_study_is_stopped_without_its_secrets(own_folder):
    """No value is needed to end a study whose job was never started."""
    script = TrainingScript(train(), environment={"HF_TOKEN": TOKEN})
    with dying(moment="after"), pytest.raises(Killed):
        tuner(script, X).fit(job_name="s")
    assert len(Tuner.attach("s", journal=JOURNAL).study.running) == 3
    assert byohpo("stop", "s", "--journal", JOURNAL, env=elsewhere()).returncode == 0
    assert [str(trial.status) for trial in Tuner.attach("s", journal=JOURNAL).study.trials] == ["Stopped"] * 3
    assert leaks(own_folder) == []


@pytest.fixture
def account(monkeypatch):
    """An account in which jobs take no time, and lose by 1 for each secret that they have not got."""

    def job(request):
        found = [request["Environment"].get("HF_TOKEN"), request["HyperParameters"].get("phrase")]
        return SimulatedJob(60, [{"loss": float(sum(it not in VALUES.values() for it in found))}])

    with Emulator(clock=VirtualClock(), job=job) as emulator:
        for name, value in emulator.environment.items():
            monkeypatch.setenv(name, value)
        emulator.client("s3").create_bucket(Bucket="bucket")
        yield emulator


def training(account, request=REQUEST, **settings):
    metrics = [{"Name": "loss", "Regex": r"loss=(\S+);"}]
    return tuner(TrainingJob(request, clock=account.clock), X, metric_definitions=metrics, **settings)


def on_s3(account):
    s3 = account.client("s3")
    keys = [it["Key"] for it in s3.list_objects_v2(Bucket="bucket")["Contents"]]
    return [s3.get_object(Bucket="bucket", Key=key)["Body"].read().decode(errors="replace") for key in keys]


def created(account):
    return [call for call in account.calls if call.operation == "CreateTrainingJob"]


def test_a_study_on_sagemaker_leaves_no_value_behind(account, own_folder, caplog):
    """Neither in its journal nor in the mirror; the jobs get their values."""
    tuning = training(account, max_jobs=3, secrets=["phrase"])
    study = tuning.fit(job_name="s")
    assert [trial.value for trial in study.trials] == [0, 0, 0]
    request = tuning.describe()["Manifest"]["backend"]["request"]
    assert request["Environment"] == {"HF_TOKEN": MARKS["HF_TOKEN"], "MODE": "fast"}
    assert request["HyperParameters"] == {"epochs": "3", "phrase": MARKS["phrase"]}
    mirrored = on_s3(account)
    assert '"secret"' in "".join(mirrored)
    assert leaks(own_folder, shown(), caplog.text, *mirrored) == []


@pytest.mark.parametrize("name", ["HF_TOKEN", "phrase"])
def test_a_value_that_is_too_long_is_refused_before_aws_would_show_it(account, own_folder, name, monkeypatch):
    """AWS repeats what it refuses. The value is known only at the launch, so `fit` could not check it earlier."""
    job = TrainingJob({**REQUEST, "Environment": {}, "HyperParameters": {}}, clock=account.clock)
    ranges = {**X, "phrase": StaticParameter({"secret": "phrase"})}
    metrics = [{"Name": "loss", "Regex": r"loss=(\S+);"}]
    for variable, value in {**VALUES, name: f"{TOKEN}-{PHRASE}" * 200}.items():
        monkeypatch.setenv(variable, value)
    tuning = tuner(job, ranges, metric_definitions=metrics, secrets=["HF_TOKEN"])
    with pytest.raises(InvalidInput, match=rf"{name}.* characters") as raised:
        tuning.fit(job_name="s")
    assert created(account) == []
    assert leaks(own_folder, "".join(traceback.format_exception(raised.value))) == []


def test_another_machine_needs_the_secrets_of_a_study_on_sagemaker(account, own_folder, monkeypatch):
    """It says which before it creates a job, and takes them from the call or from its environment."""
    with dying(3, "there.db"), pytest.raises(Killed):
        training(account, max_jobs=5, journal="there.db", secrets=["phrase"]).fit(job_name="s")
    before = len(created(account))
    here = {"journal": "here.db", "mirror": "s3://bucket/out", "progress": False}
    other = {**here, "estimator": TrainingJob({**REQUEST, "Environment": {}}, clock=account.clock)}
    with pytest.raises(InvalidInput, match="HF_TOKEN, phrase"):
        Tuner.attach("s", **other).resume(trust=True)
    monkeypatch.setenv("phrase", PHRASE)
    with pytest.raises(InvalidInput, match=r"values are missing: HF_TOKEN;"):
        Tuner.attach("s", **other).resume(trust=True)
    assert len(created(account)) == before
    study = Tuner.attach("s", **other, secrets={"HF_TOKEN": TOKEN}).resume(trust=True)
    assert [trial.value for trial in study.trials] == [0] * 5
    assert leaks(own_folder, shown(journal="here.db"), *on_s3(account)) == []


def test_a_job_is_known_again_although_its_secrets_have_changed(account):
    """A driver that died before it learnt of its job is followed by one that finds the job, and creates no other."""
    account.faults = Faults(rates={"search_lag": 1.0}, seconds={"search_lag": 300.0})
    with dying(1), pytest.raises(Killed):
        training(account, max_jobs=1, secrets=["phrase"], max_parallel_jobs=1).fit(job_name="s")
    assert len(created(account)) == 1
    job = TrainingJob(REQUEST, clock=account.clock)
    secrets = {"HF_TOKEN": "new", "phrase": "new"}
    study = Tuner.attach("s", journal=JOURNAL, progress=False, estimator=job, secrets=secrets).resume()
    assert len(created(account)) == 2  # the second try is refused, since the first was not
    assert [trial.value for trial in study.trials] == [0]


def test_a_warm_start_does_not_compare_secrets(own_folder):
    """Neither with another secret, nor with the value in a journal of an earlier release."""
    ranges = {**X, "phrase": StaticParameter(PHRASE)}
    tuned(function, ranges, max_jobs=3, job_name="plain", journal="old.db")
    tuned(function, ranges, max_jobs=3, job_name="plain-again", journal="old.db", secrets=["phrase"])
    for parent in ("plain", "plain-again"):
        other = tuned(
            function,
            {**X, "phrase": StaticParameter("another")},
            max_jobs=3,
            job_name=f"from-{parent}",
            journal="old.db",
            secrets={"phrase": PHRASE},
            warm_start_from=[parent],
        )
        assert other.study.best.value == 0


REFUSED = {
    "a name that nothing uses": (
        lambda: tuner(TrainingScript(train(), environment={"HF_TOKEN": TOKEN}), X, secrets={"HF_TOKN": PHRASE}),
        "'HF_TOKN'.*HF_TOKEN",
    ),
    "a function's environment": (lambda: tuner(function, X, secrets=["HF_TOKEN"]), "'HF_TOKEN'"),
    "a tuned parameter": (
        lambda: tuner(TrainingScript(train(), environment={"x": TOKEN}), X, secrets=["x"]),
        "'x'",
    ),
    "a number": (lambda: tuner(function, {**X, "phrase": StaticParameter(4711)}, secrets=["phrase"]), "'phrase'.*int"),
    "a value that is no text": (lambda: tuner(function, X, secrets={"phrase": 4711}), "'phrase'.*int"),
    "a text": (lambda: tuner(function, X, secrets="phrase"), "secrets"),
    "a value that is missing": (lambda: tuner(train(), X, secrets=["HF_TOKEN"]), "HF_TOKEN"),
    "a variable that is no text": (
        lambda: tuner(TrainingScript(train(), environment={"HF_TOKEN": [TOKEN]}), X),
        "HF_TOKEN.*list",
    ),
    "variables that are no mapping": (
        lambda: tuner(TrainingScript(train(), environment=[f"HF_TOKEN={TOKEN}"]), X),
        "list, not a mapping",
    ),
    "an initial configuration": (
        lambda: tuner(
            function,
            {**X, "phrase": StaticParameter(PHRASE)},
            secrets=["phrase"],
            initial_configurations=[{"x": 1, "phrase": PHRASE}],
        ),
        "phrase",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(case, own_folder):
    """It names the secret and shows no value, and there is no study."""
    make, words = REFUSED[case]
    with pytest.raises(InvalidInput, match=words) as raised:
        make().fit(job_name="s")
    assert leaks(str(raised.value), own_folder) == []
    assert "4711" not in str(raised.value)
    assert not Path(JOURNAL).exists()


def test_a_request_is_refused_without_its_values(account):
    """Also where botocore would show them."""
    with pytest.raises(InvalidInput, match="HF_TOKEN") as raised:
        training(account, {**REQUEST, "Environment": {"HF_TOKEN": [TOKEN]}}).fit(job_name="s")
    assert leaks(str(raised.value)) == []


def test_a_name_that_a_study_does_not_know_is_refused_when_it_is_resumed():
    """A typo beside a value from the environment would go unnoticed."""
    ranges = {**X, "phrase": StaticParameter(PHRASE)}
    with dying(1), pytest.raises(Killed):
        tuner(function, ranges, secrets=["phrase"]).fit(job_name="s")
    with pytest.raises(InvalidInput, match=r"'phrsae'.*phrase"):
        Tuner.attach("s", journal=JOURNAL, progress=False, secrets={"phrase": PHRASE, "phrsae": PHRASE}).resume()


class Careless(Estimator):
    """A backend that knows of no secrets."""

    kind = "careless"

    def describe(self):
        return {"kind": self.kind}

    def connect(self, study, settings):
        raise NotImplementedError


def test_a_backend_that_does_not_keep_secrets_gets_none():
    """It would hand a mark to the job, or write the value down."""
    with pytest.raises(InvalidInput, match=r"'careless'.*phrase"):
        tuner(Careless(), {**X, "phrase": StaticParameter(PHRASE)}, secrets=["phrase"]).fit(job_name="s")


def test_a_foreign_journal_takes_no_variable_unasked(own_folder, monkeypatch):
    """A hyperparameter's mark could name any variable, also where the user gives the function."""
    monkeypatch.setenv("phrase", PHRASE)
    ranges = {**X, "phrase": StaticParameter({"secret": "phrase"})}
    with dying(1), pytest.raises(Killed):
        tuner(function, ranges).fit(job_name="s")
    monkeypatch.setenv("XDG_STATE_HOME", str(own_folder / "state"))
    manifest = open_journal(JOURNAL).find("s").record.manifest
    foreign = open_journal("foreign.db").create("s", manifest)
    given = {"journal": "foreign.db", "estimator": function, "progress": False}
    with pytest.raises(Untrusted, match="phrase"):
        Tuner.attach("s", **given).resume()
    fixed = manifest["problem"]["space"]["StaticHyperParameters"]
    digests = [trust.digest(foreign.id, Manifest.from_json(manifest))]
    fixed["phrase"] = {"secret": "AWS_SECRET_ACCESS_KEY"}
    digests.append(trust.digest(foreign.id, Manifest.from_json(manifest)))
    assert digests[0] != digests[1]
    assert Tuner.attach("s", **given, secrets={"phrase": PHRASE}).resume().id == foreign.id


def test_a_shared_study_is_for_the_group_too(own_folder, caplog):
    """0660 and 0770 under any umask, on resume too, without a warning; secret hyperparameters stay the owner's."""
    before = os.umask(0o077)
    try:
        script = TrainingScript(train(), environment={"HF_TOKEN": TOKEN})
        ranges = {**X, "phrase": StaticParameter(PHRASE)}
        study = tuned(script, ranges, max_jobs=2, max_parallel_jobs=2, secrets=["phrase"], shared=True).study
        Path(JOURNAL + f".{study.id}.lock").unlink()
        again = Tuner.attach("s", journal=JOURNAL, progress=False, secrets=VALUES)
        again.resume(max_jobs=3)
        assert again.describe()["Driver"] is None
        open_journal(JOURNAL).find("s").request_stop()
    finally:
        os.umask(before)
    found = {path: path.stat().st_mode & 0o777 for path in [*own_folder.rglob("*")] if not is_the_scripts(path)}
    assert len(found) > 40
    other = {
        str(path): oct(mode)
        for path, mode in found.items()
        if mode != (0o770 if path.is_dir() else 0o600 if path.name == "hyperparameters.json" else 0o660)
    }
    assert other == {}
    assert "others may write" not in caplog.text


def is_the_scripts(path):
    return path.name == "train.py" and path.parent.name != "code"
