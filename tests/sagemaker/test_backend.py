"""Every trial a training job: from the request to the result."""

from collections import Counter


def test_every_trial_is_a_training_job(account):
    """Eight jobs, three at a time, and the results of all."""
    study = account.tuner().fit(job_name="study")
    assert study.stop_reason == "max_jobs (8) reached"
    assert [str(trial.status) for trial in study.trials] == ["Completed"] * 8
    assert len(account.emulator.jobs) == 8
    assert account.emulator.peak_instances == 3
    counts = Counter(account.operations())
    assert counts["CreateTrainingJob"] == 8
    print(counts, Counter(account.operations("s3")))
    for trial in study.trials:
        assert trial.job_name == f"{study.id}-{trial.number}-0"
        assert trial.billable_seconds > 1800
