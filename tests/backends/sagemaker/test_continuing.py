"""Trials that continue another each have a copy of its checkpoints, made once, before their jobs start."""

import json

import pytest
from byohpo_sagemaker_emulator import Faults, SimulatedJob
from sagemaker_account import RANGES, REQUEST, Leave
from sagemaker_inside import Aws, Continuing, Template, continuing

from byohpo_core import Objective, Problem, Proposal, SearchSpace, Study, StudyBusy, Trial, TrialStatus, hookimpl

STATE = {**REQUEST, "CheckpointConfig": {"S3Uri": "s3://bucket/state/"}}


class Continues:
    """Proposes one trial, then two that continue it, then one that continues the last."""

    plan = (None, 0, 0, 2)

    def __init__(self, problem):
        self.finished = 0

    @hookimpl
    def propose(self, study, count):
        number = len(study.trials)
        ready = self.finished > (self.plan[number] if self.plan[number] is not None else -1)
        return [Proposal({"x": float(number), "n": 1}, resume_from=self.plan[number])] if ready else []

    @hookimpl
    def observe(self, study, trials):
        self.finished += len(trials)


@pytest.fixture
def account(make_account):
    """An account whose jobs add their trial's number to the trail that they find among their checkpoints."""
    account = make_account(job=lambda request: leave_a_mark(account, request))
    account.tuner_of_trials = lambda request=STATE, **settings: account.tuner(
        account.training_job(request),
        **{"strategy": Continues, "max_jobs": 4, "max_parallel_jobs": 2, "duplicates": "run", **settings},
    )
    return account


def places(request):
    given = request["HyperParameters"].get("model_dir")
    return [it for it in (request.get("CheckpointConfig", {}).get("S3Uri"), given and json.loads(given)) if it]


def leave_a_mark(account, request):
    number = request["TrainingJobName"].split("-")[-2]
    for place in places(request):
        found = objects(account, f"{place}/")
        account.emulator._training_jobs._storage.write(
            f"{place}/deep/trail", found.get("deep/trail", b"") + number.encode()
        )
        account.emulator._training_jobs._storage.write(f"{place}/of-{number}", b"1")
    return SimulatedJob(600, {"loss": float(number)})


def objects(account, place):
    return dict(account.emulator._training_jobs._storage.read(place))


def trails(account, study, place="s3://bucket/state"):
    return [objects(account, f"{place}/{study.id}-{it.number}/").get("deep/trail", b"").decode() for it in study.trials]


def copies(account):
    return sum(call.operation == "CopyObject" for call in account.emulator.calls)


def test_each_child_continues_its_parent_and_no_other(account):
    """Two children of one trial each begin with its checkpoints, and neither loses its own."""
    study = account.tuner_of_trials().fit(job_name="study")
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 4
    assert trails(account, study) == ["0", "01", "02", "023"]
    assert objects(account, f"s3://bucket/state/{study.id}-3/").keys() == {"deep/trail", "of-0", "of-2", "of-3"}


def test_the_buckets_of_checkpoints_must_be_this_account_s_own(account, monkeypatch):
    """Every read and write says whose bucket it expects, and whose it copies from."""
    call, owners = Aws.call, set()

    def called(self, service, operation, *before, **parameters):
        key = parameters.get("Key", parameters.get("Prefix", ""))
        if service == "s3" and ("state/" in key or "/continued/" in key):
            owners.add(parameters.get("ExpectedBucketOwner"))
        if operation == "copy_object":
            owners.add(parameters.get("ExpectedSourceBucketOwner"))
        return call(self, service, operation, *before, **parameters)

    monkeypatch.setattr(Aws, "call", called)
    account.tuner_of_trials().fit(job_name="study")
    assert owners == {"123456789012"}


def test_the_model_dir_is_continued_too(account):
    """Both places of a trial that a script may continue are copied."""
    given = {"model_dir": json.dumps("s3://bucket/models"), "sagemaker_program": json.dumps("train.py")}
    study = account.tuner_of_trials({**STATE, "HyperParameters": given}).fit(job_name="study")
    assert trails(account, study) == trails(account, study, "s3://bucket/models") == ["0", "01", "02", "023"]


def test_without_checkpoints_nothing_is_copied(account):
    """A trial that continues another has no more calls than any other then."""
    study = account.tuner_of_trials(REQUEST).fit(job_name="study")
    assert len(study.trials) == 4
    assert copies(account) == 0


@pytest.mark.parametrize("moment", ["CopyObject", "PutObject", "CreateTrainingJob", "after"])
def test_a_driver_that_dies_as_it_copies_is_followed_by_one_that_copies_no_more_than_it_must(
    account, monkeypatch, moment
):
    """Wherever the first driver dies, each trial finds its parent's checkpoints, and its own are never overwritten."""
    account.emulator.faults = Faults(rates={"search_lag": 1.0}, seconds={"search_lag": 300.0})
    call = Aws.call
    children = set()

    def dying(self, service, operation, *before, **parameters):
        name = "".join(word.title() for word in operation.split("_"))
        continued = "/continued/" in parameters.get("Key", "") or name == "CopyObject"
        child = parameters.get("TrainingJobName", "").endswith("-1-0") and operation == "create_training_job"
        reached = (continued and name == moment) or (child and moment in ("CreateTrainingJob", "after"))
        if reached and not children:
            children.add(moment)
            if moment in ("after", "CopyObject"):
                call(self, service, operation, *before, **parameters)
            raise Leave
        return call(self, service, operation, *before, **parameters)

    monkeypatch.setattr(Aws, "call", dying)
    with pytest.raises(Leave):
        account.tuner_of_trials(max_parallel_jobs=1).fit(job_name="study")
    study = account.attach().resume()
    assert trails(account, study) == ["0", "01", "02", "023"]
    assert len(account.emulator.jobs) == 4
    assert copies(account) == 2 + 2 + 3 + (1 if moment == "CopyObject" else 2 if moment == "PutObject" else 0)


@pytest.mark.parametrize("written", range(3))
def test_a_driver_that_was_paused_as_it_copied_writes_over_nothing(account, monkeypatch, written):
    """Another has taken over, copied, and created the job, which has written its own checkpoints since."""
    call, writes = Aws.call, []

    def paused(self, service, operation, *before, **parameters):
        if operation == "copy_object" or (operation == "put_object" and "/continued/" in parameters["Key"]):
            writes.append(operation)
            if len(writes) == written + 1:
                account.attach(journal="other.db", mirror="s3://bucket/out").resume()
        return call(self, service, operation, *before, **parameters)

    monkeypatch.setattr(Aws, "call", paused)
    with pytest.raises(StudyBusy, match="study"):
        account.tuner_of_trials(max_parallel_jobs=1).fit(job_name="study")
    study = account.attach(journal="other.db").study
    assert trails(account, study) == ["0", "01", "02", "023"]
    assert copies(account) == written + 2 + 2 + 3
    puts = [str(call.parameters) for call in account.emulator.calls if call.operation == "PutObject"]
    assert sum("/continued/" in it for it in puts) == 3


def test_a_further_attempt_goes_on_where_the_first_has_stopped(account):
    """The parent's checkpoints are copied for the first attempt only."""
    account.emulator.faults.inject("capacity", times=1)
    study = account.tuner_of_trials(max_parallel_jobs=1, max_jobs=2).fit(job_name="study")
    assert [trial.attempt for trial in study.trials] == [1, 0]
    assert trails(account, study) == ["00", "001"]


@pytest.fixture
def study():
    """A study whose trials are given by a test."""
    problem = Problem(SearchSpace(RANGES), (Objective("loss", "Minimize"),), 1, 9, 3)
    return Study("s-abcd", "s", problem, lambda *_: ())


def grown(study, *parents, reused=()):
    """Let the study have trials that continue others, some of which have only the result of another."""
    for number, parent in enumerate(parents):
        trial = Trial(number, Proposal({"x": 0.0, "n": 1}, resume_from=parent), "any", {}, TrialStatus.Completed)
        study._trials.append(trial.but(result_of=dict(reused).get(number)))
    return study


def prepare(account, study, trial, check_driven=lambda: None):
    Continuing(Aws(None, account.clock, 100.0), Template(STATE, "text"), study).prepare(trial, check_driven)


def test_a_trial_with_the_result_of_another_is_continued_from_that_one(account, study):
    """A trial that repeats an earlier one has no job, so its checkpoints are the earlier one's."""
    put(account, "state/s-abcd-0/a")
    trials = grown(study, None, None, 1, reused={1: 0}).trials
    prepare(account, study, trials[2])
    assert objects(account, "s3://bucket/state/s-abcd-2/").keys() == {"a"}


def test_a_trial_of_an_earlier_release_is_continued_from_the_place_that_it_shared(account, study):
    """Earlier releases let a trial write to the places of the trial that it continued."""
    put(account, "state/s-abcd-0/a")
    trials = grown(study, None, 0, 1, 2).trials
    prepare(account, study, trials[3])
    assert objects(account, "s3://bucket/state/s-abcd-3/").keys() == {"a"}


def test_large_objects_are_copied_in_parts(account, study, monkeypatch):
    """CopyObject takes 5 GB at most; a lost answer to the last call does not matter."""
    monkeypatch.setattr(continuing, "LARGEST_COPY", 6 * 2**20)
    monkeypatch.setattr(continuing, "PART", 5 * 2**20)
    content = bytes(range(256)) * 2**15
    put(account, "state/s-abcd-0/large", content)
    put(account, "state/s-abcd-0/odd name+ö", b"1")
    account.emulator.faults.inject("timeout", "CompleteMultipartUpload")
    trials = grown(study, None, 0).trials
    prepare(account, study, trials[1])
    assert objects(account, "s3://bucket/state/s-abcd-1/") == {"large": content, "odd name+ö": b"1"}
    assert account.operations("s3").count("UploadPartCopy") == 0  # it is told as UploadPart
    assert account.operations("s3").count("UploadPart") == 2


@pytest.mark.parametrize("largest", [0, 1], ids=["in parts", "whole"])
def test_a_driver_asks_before_each_object_whether_it_drives_still(account, study, monkeypatch, largest):
    """Right before what makes the object visible, so the time that its parts took does not matter."""
    monkeypatch.setattr(continuing, "LARGEST_COPY", largest)
    for name in "abc":
        put(account, f"state/s-abcd-0/{name}")
    answers = iter([None, StudyBusy("another driver has taken over")])

    def check_driven():
        if error := next(answers):
            raise error

    trials = grown(study, None, 0).trials
    with pytest.raises(StudyBusy):
        prepare(account, study, trials[1], check_driven)
    assert objects(account, "s3://bucket/state/s-abcd-1/").keys() == {"a"}


def test_many_objects_are_copied(account, study):
    """A listing has 1,000 objects at most."""
    for number in range(1003):
        account.emulator._training_jobs._storage.write(f"s3://bucket/state/s-abcd-0/{number}", b"1")
    trials = grown(study, None, 0).trials
    prepare(account, study, trials[1])
    assert len(objects(account, "s3://bucket/state/s-abcd-1/")) == 1003


def put(account, key, content=b"1"):
    account.emulator._training_jobs._storage.write(f"s3://bucket/{key}", content)
