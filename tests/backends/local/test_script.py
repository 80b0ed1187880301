"""Training scripts on this machine: real processes, real files."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest
import studies
from studies import DEADLINE, alive, rechain, wait_for

from byohpo_core import (
    ByohpoError,
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    InvalidInput,
    StaticParameter,
    TrainingScript,
    Tuner,
    hookimpl,
)

SCRIPT = """
    import argparse, json, os, sys
    parser = argparse.ArgumentParser()
    parser.add_argument("-x", type=float)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    arguments = parser.parse_args()
    for epoch in range(arguments.epochs):
        stream = sys.stderr if epoch % 2 else sys.stdout
        print(f"loss={(arguments.x - 1) ** 2 + arguments.epochs - epoch - 1}", file=stream)
    with open(os.path.join(arguments.model_dir, "seen.json"), "w") as file:
        json.dump({"environment": dict(os.environ), "arguments": sys.argv[1:], "folder": os.getcwd()}, file)
"""


def write(text, name="train.py"):
    Path(name).write_text(textwrap.dedent(text))
    return name


def tuner(script=SCRIPT, ranges=None, *, estimator=None, **settings):
    estimator = estimator or TrainingScript(write(script), stop_grace_seconds=0.5)
    settings = {"max_jobs": 2, "max_parallel_jobs": 2, **settings}
    return studies.tuner(estimator, ranges or {"x": ContinuousParameter(0, 5)}, **settings)


def tune(*arguments, inputs=None, **settings):
    return tuner(*arguments, **settings).fit(inputs, job_name="s")


def lines(path):
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def test_an_unchanged_script_is_tuned():
    """Arguments, variables, channels, metrics from both streams, curve and model."""
    Path("rows").mkdir()
    Path("rows/a.csv").write_text("1,2")
    study = tune(inputs={"training": "rows"}, ranges={"x": ContinuousParameter(0, 5), "epochs": StaticParameter(4)})
    for trial in study.trials:
        x = trial.hyperparameters["x"]
        assert trial.value == pytest.approx((x - 1) ** 2)
        assert list(study.curve(trial.number)) == pytest.approx([(x - 1) ** 2 + rest for rest in (3, 2, 1, 0)])
        seen = json.loads(Path(trial.model_artifacts, "seen.json").read_text())
        assert seen["arguments"] == ["--epochs", "4", "-x", str(x)]
        assert Path(seen["environment"]["SM_CHANNEL_TRAINING"], "a.csv").read_text() == "1,2"
        assert seen["environment"]["TRAINING_JOB_NAME"] == trial.job_name
        assert Path(seen["environment"]["SAGEMAKER_BASE_DIR"], "code") == Path(seen["folder"])
        assert "loss=" in Path(trial.details["log"]).read_text()
        assert trial.seconds > 0


def test_the_source_is_copied_once_per_study():
    """An edit between crash and resume does not change the study; helpers beside the script are found."""
    Path("source").mkdir()
    write("def f(x): return x", "source/model.py")
    write("import sys, model; print('loss=' + str(model.f(float(sys.argv[2]))))", "source/train.py")
    script = TrainingScript("train.py", source_dir="source")
    study = tune(estimator=script)
    write("raise SystemExit('edited')", "source/train.py")
    again = Tuner.attach("s", journal="studies.db", progress=False).resume(max_jobs=4)
    assert study.jobs == 2
    assert [str(trial.status) for trial in again.trials] == ["Completed"] * 4


def test_a_script_in_a_folder_of_its_source_may_be_named_by_its_whole_path():
    """The one that is meant runs, not another of its name."""
    Path("source/sub").mkdir(parents=True)
    write("raise SystemExit('another')", "source/train.py")
    write("print('loss=1')", "source/sub/train.py")
    study = tune(estimator=TrainingScript(Path("source/sub/train.py").absolute(), source_dir="source"))
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 2


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("raise ValueError('no data')", "exit code 1: ValueError: no data"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        (
            "import os; open(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('out of memory'); os._exit(3)",
            "out of memory",
        ),
        ("print('loss=nan')", "loss is nan"),
        ("print('accuracy=1')", "the job did not report 'loss'; its log ends with: accuracy=1"),
        ("pass", "the job did not report 'loss'; its log is empty"),
    ],
    ids=["exception", "signal", "failure file", "nan", "missing", "silent"],
)
def test_a_failing_script_is_a_failed_trial_with_its_reason(script, reason):
    """And with its log."""
    study = tune(script, max_jobs=1, max_parallel_jobs=1)
    (trial,) = study.trials
    assert (str(trial.status), trial.reason) == ("Failed", reason)
    assert Path(trial.details["log"]).exists()


def test_a_negative_value_that_argparse_refuses_is_explained():
    """Python's argparse takes -1e-05 for an option."""
    script = SCRIPT.replace('"-x"', '"-x", "--xx"')
    study = tune(script, {"xx": ContinuousParameter(-2e-5, -1e-5)}, max_jobs=1, max_parallel_jobs=1)
    assert "argparse takes a value like -1." in study.trials[0].reason


def test_the_first_failures_name_the_log():
    """The failure limit says where to look."""
    study = tune("raise ValueError('no data')", max_jobs=9, max_parallel_jobs=3)
    assert study.stop_reason.startswith(
        "the first 3 trials all failed, the last with: exit code 1: ValueError: no data"
    )
    assert "log.txt" in study.stop_reason


def test_a_stopped_job_is_terminated_with_all_that_it_started():
    """SIGTERM, then SIGKILL, to the whole process group."""
    script = """
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, lambda *_: open(os.environ["LEDGER"], "a").write("asked\\n"))
        deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", deaf])
        open(os.environ["LEDGER"], "a").write(f"{child.pid}\\n{os.getpid()}\\n")
        while True:
            time.sleep(0.1)
    """
    ledger = str(Path("ledger").absolute())
    estimator = TrainingScript(write(script), environment={"LEDGER": ledger}, stop_grace_seconds=0.5)
    study = tune(estimator=estimator, max_jobs=1, max_parallel_jobs=1, max_runtime_in_seconds=1.5)
    assert study.stop_reason == "time limit of 1.5 s reached"
    assert str(study.trials[0].status) == "Pruned"
    child, parent, *rest = lines(ledger)
    assert rest == ["asked"]
    wait_for(lambda: not alive(int(child)) and not alive(int(parent)))


DRIVER = """
    import sys
    from byohpo_core import ContinuousParameter, TrainingScript, Tuner
    script = TrainingScript("train.py", environment={"LEDGER": sys.argv[1]})
    Tuner(script, "loss", {"x": ContinuousParameter(0, 5)}, strategy="random", objective_type="Minimize", max_jobs=5,
          max_parallel_jobs=2, random_seed=1, journal="studies.db", progress=False).fit(job_name="s")
"""
SLOW = """
    import os, sys, time
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(os.environ["TRAINING_JOB_NAME"] + "\\n")
    while not os.path.exists(os.environ["LEDGER"] + ".go"):
        time.sleep(0.01)
    print("loss=" + sys.argv[2])
"""


@pytest.mark.parametrize("whole_group", [False, True], ids=["driver", "process group"])
def test_running_jobs_survive_their_driver_and_are_taken_over(whole_group):
    """Killed with SIGKILL, alone or with its whole process group: nothing is started again."""
    write(SLOW)
    write(DRIVER, "driver.py")
    ledger = Path("ledger").absolute()
    driver = subprocess.Popen([sys.executable, "driver.py", str(ledger)], start_new_session=True)
    wait_for(lambda: len(lines(ledger)) == 2)
    (os.killpg if whole_group else os.kill)(driver.pid, signal.SIGKILL)
    driver.wait()
    Path(f"{ledger}.go").touch()
    study = Tuner.attach("s", journal="studies.db", progress=False).resume()
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Completed", 0)] * 5
    assert sorted(lines(ledger)) == sorted(trial.job_name for trial in study.trials)


def test_a_job_whose_supervisor_dies_is_tried_again():
    """It was claimed, and there is no exit status: an infrastructure failure."""
    script = """
        import os, signal
        if os.environ["TRAINING_JOB_NAME"].endswith("-0-0"):
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        print("loss=1")
    """
    study = tune(script, max_jobs=2)
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Completed", 1), ("Completed", 0)]
    first = Path("byohpo-jobs", study.id, f"{study.id}-0-0")
    assert (first / "claim").exists()
    assert not (first / "exit.json").exists()


def test_of_two_supervisors_one_runs_the_job():
    """The claim is made once."""
    study = tune(max_jobs=1, max_parallel_jobs=1)
    folder = Path("byohpo-jobs", study.id).absolute()
    before = (folder / study.trials[0].job_name / "exit.json").read_text()
    file = folder / f"{study.trials[0].job_name}.json"
    command = [sys.executable, "-P", "-m", "byohpo_core.backends.local.supervisor", str(file)]
    assert subprocess.run(command, check=False, timeout=DEADLINE).returncode == 0
    order = json.loads(file.read_text())
    order |= {"folder": str(folder / "again"), "environment": {"LEDGER": str(folder / "ledger")}}
    write("import os; open(os.environ['LEDGER'], 'a').write('run\\n')", folder / "code" / "train.py")
    Path(folder, "again.json").write_text(json.dumps(order))
    racers = [subprocess.Popen([*command[:-1], f"{folder}/again.json"]) for _ in range(6)]
    assert [racer.wait(DEADLINE) for racer in racers] == [0] * 6
    wait_for((folder / "again" / "exit.json").exists)
    assert lines(folder / "ledger") == ["run"]
    assert (folder / study.trials[0].job_name / "exit.json").read_text() == before


def test_slots_share_the_cores(monkeypatch):
    """BLAS threads follow from the slots, unless the user has set them."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    study = tune(max_jobs=1, max_parallel_jobs=1)
    seen = json.loads(Path(study.trials[0].model_artifacts, "seen.json").read_text())["environment"]
    assert seen["OMP_NUM_THREADS"] == seen["SM_NUM_CPUS"] == str(os.cpu_count())
    assert seen["MKL_NUM_THREADS"] == "7"


def test_an_interpreter_that_is_not_there_is_refused():
    """Before any job; a relative path leads from here, not from the job's folder."""
    for python in ("/no/such/python", "no-such-python", "bin/mine"):
        with pytest.raises(InvalidInput, match=f"python.*'{python}'"):
            tune(estimator=TrainingScript(write(SCRIPT), python=python))
    assert not Path("byohpo-jobs").exists()
    Path("bin").mkdir()
    Path("bin/mine").symlink_to(sys.executable)
    study = tune(estimator=TrainingScript(write(SCRIPT), python="bin/mine"), max_jobs=1, max_parallel_jobs=1)
    assert str(study.trials[0].status) == "Completed"


def test_an_interpreter_that_is_gone_fails_the_trial():
    """At once: it will be gone at the next attempt too."""

    class Losing:
        def __init__(self, problem):
            pass

        @hookimpl
        def happened(self, study, event):
            if event.kind == "intended":
                Path("mine").unlink()

    Path("mine").symlink_to(sys.executable)
    script = TrainingScript(write(SCRIPT), python="./mine")
    trial = tuner(estimator=script, max_jobs=1, max_parallel_jobs=1, extensions=[Losing]).fit(job_name="s").trials[0]
    assert (str(trial.status), trial.attempt) == ("Failed", 0)
    assert trial.reason.startswith("the job could not be started: [Errno 2] No such file or directory")


def test_arguments_that_no_process_can_have_fail_the_trial():
    """At once."""
    study = tune("print('loss=1')", {"c": CategoricalParameter(["a\0b", "c\0d"])}, max_jobs=1, max_parallel_jobs=1)
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Failed", 0)]
    assert study.trials[0].reason == "the job could not be started: embedded null byte"


def test_what_hinders_a_job_before_its_script_runs_costs_an_attempt():
    """It is not the script's failure; here the copied source is gone for a while."""

    class Hiding:
        def __init__(self, problem):
            self.moved = Path("moved")

        @hookimpl
        def happened(self, study, event):
            code = Path("byohpo-jobs", study.id, "code")
            if event.kind == "intended" and event.body["attempt"] == 0:
                code.rename(self.moved)
            elif event.kind == "retried":
                assert event.body["reason"].startswith("the job could not be prepared: ")
                self.moved.rename(code)

    study = tune(max_jobs=1, max_parallel_jobs=1, extensions=[Hiding])
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Completed", 1)]


def test_a_supervisor_that_cannot_be_started_costs_an_attempt(monkeypatch):
    """A machine without room for another process is no failure of the script."""
    popen, attempts = subprocess.Popen, []

    def no_room_at_first(*arguments, **options):
        attempts.append(arguments)
        if len(attempts) == 1:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return popen(*arguments, **options)

    monkeypatch.setattr("byohpo_core.backends.local.backend.subprocess.Popen", no_room_at_first)
    study = tune(max_jobs=1, max_parallel_jobs=1)
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Completed", 1)]


@pytest.mark.parametrize("farewell", ["lambda *_: sys.exit(0)", "signal.SIG_DFL"], ids=["exit code 0", "killed"])
def test_a_reboot_is_no_result(farewell):
    """Whoever shuts the machine down sends SIGTERM to the supervisors; the trial is tried again."""
    script = f"""
        import os, signal, sys, time
        signal.signal(signal.SIGTERM, {farewell})
        if os.environ["TRAINING_JOB_NAME"].endswith("-0"):
            os.kill(os.getppid(), signal.SIGTERM)
            time.sleep(600)
        print("loss=1")
    """
    study = tune(script, max_jobs=1, max_parallel_jobs=1)
    assert [(str(trial.status), trial.attempt) for trial in study.trials] == [("Completed", 1)]


def test_a_job_that_was_ordered_but_not_started_is_not_started_to_be_stopped(monkeypatch):
    """Its driver died in between."""
    with monkeypatch.context() as patch:
        patch.setattr("byohpo_core.backends.local.backend.LocalBackend.launch", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tune("open('started', 'w'); print('loss=1')")
    attached = Tuner.attach("s", journal="studies.db", progress=False)
    assert attached.stop_tuning_job()
    assert [str(trial.status) for trial in attached.study.trials] == ["Stopped"] * 2
    assert not list(Path().glob("byohpo-jobs/*/*/*/**/started"))
    assert all("stopped" in json.loads(path.read_text()) for path in Path().glob("byohpo-jobs/*/*/exit.json"))
    assert not list(Path().glob("byohpo-jobs/*/*/log*"))


@pytest.mark.parametrize("name", ["a=b", "a b", "a\nb", "a\0b"])
def test_a_hyperparameter_that_cannot_be_an_argument_is_refused(name):
    """Before any job: neither the command line nor the variables could carry it."""
    with pytest.raises(InvalidInput, match="`--name value`"):
        tune(ranges={name: ContinuousParameter(0, 1)})
    assert not Path("byohpo-jobs").exists()


def test_a_job_that_is_stopped_and_says_goodbye_has_not_completed():
    """A script may save its state on SIGTERM and leave with exit code 0: its last value is no final result."""
    script = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print("loss=-100", flush=True)
        time.sleep(600)
    """

    class Impatient:
        def __init__(self, problem):
            pass

        @hookimpl
        def prune(self, study, trial):
            return "too slow" if study.reports(trial) else None

    study = tune(script, max_jobs=1, max_parallel_jobs=1, extensions=[Impatient])
    assert [(str(trial.status), trial.value, trial.reason) for trial in study.trials] == [("Pruned", -100, "too slow")]
    assert study.best is None


def test_a_journal_in_the_source_is_no_source():
    """`source_dir="."` beside the journal: neither it nor its companions are copied."""
    write(SCRIPT)
    Path("studies.db.md").touch()
    study = tune(estimator=TrainingScript("train.py", source_dir="."))
    assert sorted(path.name for path in Path("byohpo-jobs", study.id, "code").iterdir()) == [
        "studies.db.md",
        "train.py",
    ]


def test_single_letters_and_integers_arrive():
    """`-n 3`."""
    script = "import sys; assert sys.argv[1] == '-n'; print('loss=' + sys.argv[2])"
    study = tune(script, {"n": IntegerParameter(1, 9)}, max_jobs=3, max_parallel_jobs=1)
    assert all(trial.value == trial.hyperparameters["n"] for trial in study.trials)


def test_a_second_ctrl_c_stops_the_jobs():
    """Nothing runs on; the trials are journaled as stopped, and the study can be resumed."""
    write("import time; time.sleep(600)")
    write(DRIVER.replace("environment=", "stop_grace_seconds=0.2, environment="), "driver.py")
    driver = subprocess.Popen([sys.executable, "driver.py", "ledger"], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(Path().glob("byohpo-jobs/*/*/claim"))) == 2)
    driver.send_signal(signal.SIGINT)
    wait_for(lambda: "Ctrl-C again" in driver.stderr.readline())
    driver.send_signal(signal.SIGINT)
    assert driver.wait(DEADLINE) != 0
    driver.stderr.close()
    study = Tuner.attach("s", journal="studies.db").study
    assert [str(trial.status) for trial in study.trials] == ["Stopped", "Stopped"]
    assert study.stop_reason is None
    assert all(json.loads(path.read_text())["stopped"] for path in Path().glob("byohpo-jobs/*/*/exit.json"))


def test_what_a_script_leaves_running_ends_with_its_job():
    """As a container's end would end it."""
    script = """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(f"loss={child.pid}")
    """
    study = tune(script, max_jobs=1, max_parallel_jobs=1)
    assert not alive(int(study.trials[0].value))


def test_a_job_of_which_the_journal_has_lost_all_is_not_taken_for_another_ones():
    """A damaged WAL may lose the last commits unseen. The same proposal takes the job's result, another one may not."""
    study = tune()
    lost = {trial.job_name: trial.value for trial in study.trials}

    def lose():
        with closing(sqlite3.connect("studies.db")) as connection, connection:
            connection.execute("DELETE FROM events WHERE sequence > 0")
        rechain("studies.db")

    lose()
    again = Tuner.attach("s", journal="studies.db", progress=False).resume()
    assert {trial.job_name: trial.value for trial in again.trials} == lost
    lose()
    for _ in range(2):
        with pytest.raises(ByohpoError, match=again.trials[0].job_name):
            Tuner.attach("s", journal="studies.db", progress=False).resume(restart_algorithm=True)
    for trial in again.trials:
        shutil.rmtree(f"byohpo-jobs/{study.id}/{trial.job_name}")
        Path(f"byohpo-jobs/{study.id}/{trial.job_name}.json").unlink()
    fresh = Tuner.attach("s", journal="studies.db", progress=False).resume()
    assert {trial.value for trial in fresh.trials}.isdisjoint(lost.values())
