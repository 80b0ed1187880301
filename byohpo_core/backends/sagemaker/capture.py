"""Capture the CreateTrainingJob request that a user's SageMaker SDK object would send, without sending it.

The SDK does all the work, including the upload of the code, until it passes its request to boto3; there this module
stops it. Attributes of the object tell version 2 of the SDK from version 3. The SDK is never imported.
"""

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from os import PathLike, fspath
from typing import Any, Literal

import attrs

from byohpo_core.errors import InvalidInput, one_line
from byohpo_core.validate import items, mapping, plain

Kind = Literal["v2 estimator", "v3 trainer", "request", "v2 tuner", "v3 tuner"]
Encoding = Literal["json", "text", "bare"]

_EVENT = "provide-client-params.sagemaker.CreateTrainingJob"
_DEFAULT_CHANNEL = "training"


@attrs.frozen
class Captured:
    """A CreateTrainingJob request without a job name, and the encoding of its hyperparameters."""

    request: dict[str, Any]
    encoding: Encoding
    """Each value is sent as a string: "json" is its JSON, "text" its `str`, "bare" its JSON but strings unquoted."""


class _NotSent(BaseException):
    """Ends the SDK's call. A BaseException, so that no `except Exception` of the SDK catches, retries or reports it."""


def kind_of(job: Any) -> Kind | None:
    """The kind of a user's object: one of SDK 2 or 3, a request as a mapping, or None for anything else."""
    if isinstance(job, Mapping):
        return "request"
    if hasattr(job, "hyperparameter_ranges") or hasattr(job, "_hyperparameter_ranges"):
        if hasattr(job, "model_trainer"):
            return "v3 tuner"
        return "v2 tuner" if hasattr(job, "estimator") else None
    if hasattr(job, "train") and hasattr(job, "training_image"):
        return "v3 trainer"
    if hasattr(job, "fit") and hasattr(job, "sagemaker_session") and callable(getattr(job, "hyperparameters", None)):
        return "v2 estimator"
    return None


def boto_session(job: Any) -> Any:
    """The boto3 session of an SDK object; None if it has none."""
    return getattr(getattr(job, "sagemaker_session", None), "boto_session", None)


def capture(job: Any, inputs: Any) -> Captured:
    """Capture the request of *job*: a v2 Estimator, a v3 ModelTrainer or a request as a mapping.

    *inputs* is what `fit` or `train` of the SDK takes. The SDK uploads the code and local data, and the object is
    restored afterwards. Raises `InvalidInput` if there is no request to capture.
    """
    kind = kind_of(job)
    if kind == "request":
        request = {**job, **_request_inputs(job, inputs)}
    elif kind in {"v2 estimator", "v3 trainer"}:
        _refuse_local_mode(job)
        request = _sdk_request(job, inputs)
    else:
        raise InvalidInput(f"{job!r} is not an Estimator, ModelTrainer or CreateTrainingJob request")
    request = _plain(request)
    request.pop("TrainingJobName", None)
    return Captured(request, "bare" if kind == "v3 trainer" else _encoding(request))


def fixed_hyperparameters(job: Any) -> dict[str, Any]:
    """The hyperparameters that the user fixed on the object, as scalars; any other value becomes its JSON text."""
    kind = kind_of(job)
    if kind == "request":
        given = mapping("HyperParameters", job.get("HyperParameters") or {})
        encoded = _encoding(job) == "json"
    elif kind == "v2 estimator":
        given, encoded = job.hyperparameters() or {}, bool(_script(job))
    else:
        given, encoded = job.hyperparameters or {}, False
    return {
        str(name): _scalar(value, encoded=encoded)
        for name, value in given.items()
        if not str(name).startswith("sagemaker_")
    }


def outputs_of(job: Any) -> list[str]:
    """The place of the jobs' outputs that the user names on the object; empty if that is left to the SDK."""
    if isinstance(job, Mapping):
        place = mapping("OutputDataConfig", job.get("OutputDataConfig") or {}).get("S3OutputPath")
    else:
        place = getattr(getattr(job, "output_data_config", job), "s3_output_path", getattr(job, "output_path", None))
    return [place] if isinstance(place, str) and place.startswith("s3://") else []


def _script(estimator: Any) -> Any:
    return getattr(estimator, "entry_point", None) or getattr(estimator, "source_dir", None)


def _encoding(request: Mapping[str, Any]) -> Encoding:
    program = mapping("HyperParameters", request.get("HyperParameters") or {}).get("sagemaker_program")
    return "json" if str(program).startswith('"') else "text"


def _scalar(value: Any, *, encoded: bool) -> Any:
    if encoded and isinstance(value, str):
        with suppress(ValueError):
            value = json.loads(value)
    value = plain(value)
    return value if isinstance(value, (bool, int, float, str)) else json.dumps(value, default=str)


def _refuse_local_mode(job: Any) -> None:
    session, mode = getattr(job, "sagemaker_session", None), getattr(job, "training_mode", None)
    if getattr(session, "local_mode", False) or getattr(mode, "value", None) == "LOCAL_CONTAINER":
        raise InvalidInput(
            "the SDK's local mode starts no SageMaker job: give a TrainingScript to tune a script on this machine"
        )


def _sdk_request(job: Any, inputs: Any) -> dict[str, Any]:
    requests: list[dict[str, Any]] = []
    here = threading.get_ident()

    def keep(params: dict[str, Any], **_: Any) -> None:
        if threading.get_ident() == here:  # another thread may start its own job with the same session
            requests.append(params)
            raise _NotSent

    with ExitStack() as stack:
        stack.enter_context(_left_as_it_was(job))
        try:
            events = _events(job)
            events.register_first(_EVENT, keep)
            stack.callback(events.unregister, _EVENT, keep)
            with suppress(_NotSent):
                _start(job, inputs)
        except Exception as error:
            told = one_line(error) or type(error).__name__
            raise InvalidInput(f"the SageMaker SDK refuses this job: {told}") from error
    if not requests:
        raise InvalidInput(
            f"cannot capture the CreateTrainingJob request of this {type(job).__name__}: it has a PipelineSession, or "
            "byohpo does not know this release of its SDK (then check whether the SDK has started a job)"
        )
    return requests[0]


def _start(job: Any, inputs: Any) -> None:
    if hasattr(job, "fit"):
        job.fit(_estimator_inputs(inputs), wait=False, logs=False)
    else:
        job.train(_trainer_inputs(inputs), wait=False, logs=False)


def _events(job: Any) -> Any:
    """The boto3 events of the client that the SDK will use."""
    session = job.sagemaker_session
    if hasattr(job, "fit"):
        return session.sagemaker_client.meta.events
    # SDK 3 caches its clients, and a handler on the boto3 session does not reach an existing client: get that client.
    named = (getattr(sys.modules[cls.__module__], "TrainingJob", None) for cls in type(job).__mro__)
    resource: Any = next(it for it in named if hasattr(it, "get_sagemaker_client"))
    return resource.get_sagemaker_client(session=session.boto_session).meta.events


@contextmanager
def _left_as_it_was(job: Any) -> Iterator[None]:
    """Restore the user's object, into which the SDK writes the job's name, the code's place and other defaults."""
    parts = list(vars(job).values())
    settings = [part for part in parts if hasattr(part, "model_fields_set")]  # SDK 3's CheckpointConfig and the like
    objects = [(it, dict(vars(it))) for it in [job, *settings]]
    mappings = [(part, dict(part)) for part in parts if isinstance(part, dict)]
    try:
        yield
    finally:
        # Call vars() again, since pydantic may have replaced __dict__.
        for values, before in [*((vars(it), before) for it, before in objects), *mappings]:
            values.clear()
            values.update(before)


def _text_of_path(place: Any) -> Any:
    return fspath(place) if isinstance(place, PathLike) else place


def _estimator_inputs(inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return {channel: _text_of_path(place) for channel, place in inputs.items()}
    return _text_of_path(inputs)


def _trainer_inputs(inputs: Any) -> list[Any] | None:
    """Channels as a list of mappings, which pydantic converts to the SDK's own classes."""
    if inputs is None or isinstance(inputs, list):
        return inputs
    channels = inputs if isinstance(inputs, Mapping) else {_DEFAULT_CHANNEL: inputs}
    return [_trainer_channel(name, place) for name, place in channels.items()]


def _trainer_channel(name: str, place: Any) -> dict[str, Any]:
    if hasattr(place, "config"):  # a TrainingInput
        return {"channel_name": name, **_snake_case(place.config)}
    return {"channel_name": name, "data_source": _text_of_path(place)}


def _snake_case(config: Any) -> Any:
    if isinstance(config, Mapping):
        from botocore import xform_name

        return {xform_name(name): _snake_case(value) for name, value in config.items()}
    return config


def _request_inputs(request: Mapping[str, Any], inputs: Any) -> dict[str, Any]:
    """InputDataConfig with the *inputs* added to the request's own channels; empty if there are no inputs."""
    if inputs is None or inputs in ({}, []):
        return {}
    if isinstance(inputs, list):
        given = _by_name("inputs", inputs)
    else:
        places = inputs if isinstance(inputs, Mapping) else {_DEFAULT_CHANNEL: inputs}
        given = {name: _request_channel(name, place) for name, place in places.items()}
    known = _by_name("InputDataConfig", request.get("InputDataConfig") or [])
    return {"InputDataConfig": list({**known, **given}.values())}


def _by_name(where: str, channels: Any) -> dict[str, Any]:
    found = {}
    for channel in items(where, channels):
        if not isinstance(channel, Mapping) or not isinstance(channel.get("ChannelName"), str):
            raise InvalidInput(f"{where} has {channel!r}, which is not a channel with a ChannelName")
        found[channel["ChannelName"]] = channel
    return found


def _request_channel(name: str, place: Any) -> dict[str, Any]:
    if isinstance(place, Mapping) or hasattr(place, "config"):  # the config of a TrainingInput
        return {**getattr(place, "config", place), "ChannelName": name}
    if not isinstance(place, str) or not place.startswith("s3://"):
        raise InvalidInput(f"channel {name!r} is {place!r}; with a request it must be an S3 URI, s3://bucket/prefix")
    source = {"S3DataType": "S3Prefix", "S3Uri": place, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def _plain(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(request, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the CreateTrainingJob request cannot be written as JSON: {error}") from error
    return plain
