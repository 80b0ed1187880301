"""Find what all jobs of a study would write to, and what cannot be separated."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from byohpo_core.backends.sagemaker.request import MODEL_DIR, bucket_and_key

_URI = re.compile(r"s3://[^\s\"',;]+")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_WRITTEN = re.compile(r"(?i)((out(puts?)?|checkpoints?|ckpts?|save|logs?|logging)(dir|path)?|modeldir)")
"""Words in the names of settings that tell a job where to write."""
_SEPARATE = frozenset({MODEL_DIR, "sagemaker_submit_directory", "sagemaker_s3_output"})
"""Each trial has its own place below the first, jobs only read the second, and SageMaker's containers add the job's
name to the third (github.com/aws/sagemaker-training-toolkit, intermediate_output.py)."""
_WAY_OUT = "let the job use a place of its own below it, named after the variable TRAINING_JOB_NAME"


def shared(request: Mapping[str, Any]) -> Iterator[str]:
    """One line for each thing to which all jobs of a study would, or might, write."""
    for channel in request.get("InputDataConfig") or ():
        files = channel.get("DataSource", {}).get("FileSystemDataSource", {})
        if files.get("FileSystemAccessMode") == "rw":
            yield (
                f"all jobs of the study may write to {files.get('DirectoryPath')} of the file system "
                f"{files.get('FileSystemId')} (channel {channel['ChannelName']!r}): {_WAY_OUT}, or give "
                "it as read-only (ro)"
            )
    if run := (request.get("ExperimentConfig") or {}).get("RunName"):
        yield f"all jobs of the study belong to the experiment run {run!r}: leave RunName out to give each its own"
    for where, name, text in _settings(request):
        for uri in _URI.findall(text):
            if name not in _SEPARATE and (_says_where_to_write(name) or _is_inside_an_output(request, uri)):
                # Without the place, which may be secret.
                yield f"all jobs of the study get the same place on S3 by {where}: if they write there, {_WAY_OUT}"


def _says_where_to_write(name: str) -> bool:
    words = _WORDS.findall(name)
    pairs = ["".join(pair) for pair in pairwise(words)]
    return any(_WRITTEN.fullmatch(word) for word in (*words, *pairs))


def _settings(request: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Triples (description, name, text) of what the request hands to the script."""
    for name, value in (request.get("HyperParameters") or {}).items():
        yield f"hyperparameter {name!r}", name, value
    for name, value in (request.get("Environment") or {}).items():
        yield f"environment variable {name}", name, value
    specification = request.get("AlgorithmSpecification") or {}
    before = ""
    for part in ("ContainerEntrypoint", "ContainerArguments"):
        for value in specification.get(part) or ():
            name, _, after = value.rpartition("=")
            yield f"argument {(name or before or part)!r}", name or before, after
            before = value if value.startswith("-") else ""


def _is_inside_an_output(request: Mapping[str, Any], uri: str) -> bool:
    """Whether a URI lies at or below a prefix for the jobs' outputs; a whole bucket may hold their inputs too."""
    outputs = [
        request.get("OutputDataConfig", {}).get("S3OutputPath"),
        request.get("CheckpointConfig", {}).get("S3Uri"),
    ]
    prefixes = [it.rstrip("/") for it in outputs if it and bucket_and_key(it)[1]]
    return any(uri.rstrip("/") == it or uri.startswith(f"{it}/") for it in prefixes)
