"""What a user's SageMaker SDK object would send as CreateTrainingJob, read without sending it.

The SDK does all the work, uploads the code too, and is stopped when it hands its request to boto3. Versions 2 and 3 are
told apart by their objects' attributes; the SDK is never imported.
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
    """A CreateTrainingJob request without a job's name, and how values of hyperparameters are written in it."""

    request: dict[str, Any]
    encoding: Encoding
    """All are texts on the wire. "json": a value's JSON; "text": its `str`; "bare": a text as it is, else JSON."""


class _NotSent(BaseException):
    """Ends the SDK's call; no `except Exception` of the SDK may take it for a failure, retry or report it."""


def kind_of(job: Any) -> Kind | None:
    """What a user's object is: something of SDK 2 or 3, a request as a mapping, or None for anything else."""
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
    """The boto3 session of an SDK object, None where there is none."""
    return getattr(getattr(job, "sagemaker_session", None), "boto_session", None)


def capture(job: Any, inputs: Any) -> Captured:
    """The request for this *job*: a v2 Estimator, a v3 ModelTrainer or a request as a mapping.

    *inputs* is what `fit` or `train` of the SDK takes. The SDK uploads the code and local data; the object is left as
    it was. Raises `InvalidInput`.
    """
    kind = kind_of(job)
    if kind == "request":
        request = {**job, **_request_inputs(job, inputs)}
    elif kind in {"v2 estimator", "v3 trainer"}:
        _refuse_local_mode(job)
        request = _sdk_request(job, inputs)
    else:
        raise InvalidInput(f"{job!r} is no Estimator, ModelTrainer or CreateTrainingJob request")
    request = _plain(request)
    request.pop("TrainingJobName", None)
    return Captured(request, "bare" if kind == "v3 trainer" else _encoding(request))


def fixed_hyperparameters(job: Any) -> dict[str, Any]:
    """What the user fixed on the object, as plain scalars to show; what is no scalar is given as its JSON text."""
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
        if threading.get_ident() == here:  # another thread may start a job of its own with the same session
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
            f"no CreateTrainingJob request of this {type(job).__name__} could be read: it has a PipelineSession, or "
            "its SDK is a release that byohpo does not know (then look whether it has started a job)"
        )
    return requests[0]


def _start(job: Any, inputs: Any) -> None:
    if hasattr(job, "fit"):
        job.fit(_estimator_inputs(inputs), wait=False, logs=False)
    else:
        job.train(_trainer_inputs(inputs), wait=False, logs=False)


def _events(job: Any) -> Any:
    """Where the client that the SDK will use announces its calls."""
    session = job.sagemaker_session
    if hasattr(job, "fit"):
        return session.sagemaker_client.meta.events
    # SDK 3 caches its clients, and the boto3 session's events do not reach one that exists: ask for what it will use.
    named = (getattr(sys.modules[cls.__module__], "TrainingJob", None) for cls in type(job).__mro__)
    resource: Any = next(it for it in named if hasattr(it, "get_sagemaker_client"))
    return resource.get_sagemaker_client(session=session.boto_session).meta.events


@contextmanager
def _left_as_it_was(job: Any) -> Iterator[None]:
    """The SDK writes the job's name, the code's place and other defaults into the user's object."""
    parts = list(vars(job).values())
    settings = [part for part in parts if hasattr(part, "model_fields_set")]  # SDK 3's CheckpointConfig and the like
    objects = [(it, dict(vars(it))) for it in [job, *settings]]
    mappings = [(part, dict(part)) for part in parts if isinstance(part, dict)]
    try:
        yield
    finally:
        # Looked up again, since pydantic may have put another __dict__ in its place.
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
    """A list of channels; pydantic makes the SDK's own classes of these mappings."""
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
    """The request's channels with these on top, if there are any."""
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
            raise InvalidInput(f"{where} has {channel!r}, which is no channel with a ChannelName")
        found[channel["ChannelName"]] = channel
    return found


def _request_channel(name: str, place: Any) -> dict[str, Any]:
    if isinstance(place, Mapping) or hasattr(place, "config"):  # of a TrainingInput
        return {**getattr(place, "config", place), "ChannelName": name}
    if not isinstance(place, str) or not place.startswith("s3://"):
        raise InvalidInput(f"channel {name!r} is {place!r}; beside a request it must be an S3 URI, s3://bucket/prefix")
    source = {"S3DataType": "S3Prefix", "S3Uri": place, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def _plain(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(request, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the CreateTrainingJob request cannot be written as JSON: {error}") from error
    return plain
