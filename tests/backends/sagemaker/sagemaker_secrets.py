"""What a study of an SDK's object keeps of its request, and sends, with a secret variable and hyperparameter."""

import json

from inside import prepare
from sagemaker_inside import capture

from byohpo_core import ContinuousParameter, TrainingJob, Tuner

TOKEN, PHRASE = "hf-4Vt0kQ7zr", "rosebud 91c2"
RANGES = {"x": ContinuousParameter(0, 1)}


def check_secrets(job):
    """Check an object with the variable HF_TOKEN and the hyperparameter `phrase`, which have these values."""
    wanted = capture(job, None).request
    settings = {"strategy": "random", "secrets": ["phrase"], "journal": ":memory:", "progress": False}
    definitions = [{"Name": "loss", "Regex": r"loss=(\S+);"}]
    tuner = Tuner(TrainingJob(job), "loss", RANGES, definitions, **settings)
    manifest, prepared = prepare(tuner._estimator, tuner._plan, None, tuner._secrets)
    kept = manifest.to_json()
    assert kept["backend"]["request"]["Environment"]["HF_TOKEN"] == {"secret": "HF_TOKEN"}
    assert kept["backend"]["request"]["HyperParameters"]["phrase"] == {"secret": "phrase"}
    assert TOKEN not in json.dumps(kept)
    assert PHRASE not in json.dumps(kept)
    template = prepared.template(manifest.settings)
    sent = template.revealed({**template.request, "TrainingJobName": "s-0-0"}, tuner._secrets.reveal)
    assert sent["Environment"] == wanted["Environment"]
    assert sent["HyperParameters"]["phrase"] == wanted["HyperParameters"]["phrase"]
