"""`TrainingJob`, the estimator whose trials are training jobs on SageMaker."""

import inspect
import json
import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from byohpo_core.backends.sagemaker import index
from byohpo_core.backends.sagemaker.aws import Aws, Clock, WallClock, usable_region
from byohpo_core.backends.sagemaker.capture import boto_session, capture, fixed_hyperparameters, kind_of, outputs_of
from byohpo_core.backends.sagemaker.prices import Prices
from byohpo_core.backends.sagemaker.request import STUDY_TAG, Template, without_metrics
from byohpo_core.backends.sagemaker.service_model import check_request
from byohpo_core.backends.sagemaker.sharing import shared
from byohpo_core.backends.sagemaker.trial_checks import check_trials
from byohpo_core.backendspecs import Estimator, Follow, JobSettings, checked_arguments
from byohpo_core.errors import InvalidInput
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.studies import Journal
from byohpo_core.logger import logger as _logger
from byohpo_core.secrets import Secrets
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial
from byohpo_core.validate import amount, items, mapping, text

if TYPE_CHECKING:
    from byohpo_core.backends.sagemaker.backend import SageMakerBackend
    from byohpo_core.backends.sagemaker.mirror import Mirror


def _prices(given: Any) -> Mapping[str, float]:
    prices = mapping("prices", {} if given is None else given)
    return MappingProxyType({name: amount(f"the price of {name}", price) for name, price in prices.items()})


def _calls(given: Any) -> float:
    return amount("calls_per_second", given)


def _seconds(given: Any) -> float:
    return amount("poll_seconds", given)


def _region(given: Any) -> str | None:
    return None if given is None else text("region", given)


def _instance_types(given: Any) -> tuple[str, ...]:
    return tuple(text("an instance type", name) for name in items("instance_types", given))


@attrs.frozen
class TrainingJob(Estimator):
    """A training job on SageMaker: the SDK's Estimator (v2) or ModelTrainer (v3), or a CreateTrainingJob request.

    A `Tuner` accepts these objects as they are; use this class to set more. *instance_types* replace the job's own: a
    trial starts on the first, and moves to the next if there is no capacity. *prices* are the on-demand prices per hour
    by instance type, which `max_cost` and the column Cost need. Give on-demand prices for spot training too: the billed
    seconds already contain the saving. *region* is by default that of the SDK's session, or else boto3's. All calls
    share the rate limit *calls_per_second*. Jobs are polled at most once every *poll_seconds*.
    """

    job: Any = attrs.field()
    instance_types: Sequence[str] = attrs.field(default=(), kw_only=True, converter=_instance_types)
    prices: Mapping[str, float] = attrs.field(default=None, kw_only=True, converter=_prices)
    region: str | None = attrs.field(default=None, kw_only=True, converter=_region)
    calls_per_second: float = attrs.field(default=4.0, kw_only=True, converter=_calls)
    poll_seconds: float = attrs.field(default=5.0, kw_only=True, converter=_seconds)
    clock: Clock = attrs.field(factory=WallClock, kw_only=True, eq=False, repr=False)
    kind: ClassVar[str] = "sagemaker"
    keeps_secrets: ClassVar[bool] = True

    @job.validator
    def _check_job(self, _: object, job: Any) -> None:
        if kind_of(job) not in ("v2 estimator", "v3 trainer", "request"):
            raise InvalidInput(
                f"{job!r} cannot be tuned: give an Estimator or a ModelTrainer of SageMaker's SDK (from a "
                "HyperparameterTuner take its estimator or model_trainer), a CreateTrainingJob request, a "
                "TrainingScript or a function"
            )

    @property
    def name(self) -> str:
        words = re.findall(r"[a-zA-Z0-9]+", str(getattr(self.job, "base_job_name", None) or "training-job"))
        return "-".join(words)[:40].strip("-") or "training-job"

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        return fixed_hyperparameters(self.job)

    @property
    def outputs(self) -> list[str]:
        """The place of the jobs' outputs that the user names; empty if that is left to the SDK."""
        return outputs_of(self.job)

    def fixed(self, tuned: Collection[str]) -> Mapping[str, Any]:
        """The fixed hyperparameters that are not tuned. A range replaces a fixed value, as in SageMaker's own tuner."""
        return {name: value for name, value in self.hyperparameters.items() if name not in tuned}

    def prepare(self, problem: Problem, settings: JobSettings, inputs: Any) -> tuple["PreparedJob", JobSettings]:
        """Capture the request of the user's object, which may upload the code, and check the requests of all trials."""
        prepared = self._captured(inputs, {name for name, _ in settings.metric_definitions})
        check_trials(prepared.template(settings), problem, settings)
        for line in shared(prepared.request):
            _logger.warning("%s", line)
        return prepared, settings

    def describe(self) -> dict[str, Any]:
        return self._captured(None).describe()

    def connect(self, study: Study, settings: JobSettings) -> "SageMakerBackend":
        return self._captured(None).connect(study, settings)

    @classmethod
    def restore(cls, description: Mapping[str, Any], given: Any = None) -> "PreparedJob":
        settings = {name: value for name, value in description.items() if name != "kind"}
        if given is None:
            return PreparedJob(None, **settings)
        for name in ("calls_per_second", "poll_seconds"):
            if (mine := getattr(given, name)) != getattr(attrs.fields(cls), name).default:
                settings[name] = mine
        for name in ("prices", "instance_types"):
            mine, theirs = (type(settings[name])(it) for it in (getattr(given, name), settings[name]))
            if mine and mine != theirs:
                raise InvalidInput(f"the study's {name} are {theirs}, not {mine}: leave them out, or start a new study")
        settings["region"] = _one_region(given, journaled=settings["region"])
        return PreparedJob(given.job, clock=given.clock, **settings)

    @classmethod
    def runs(cls, description: Mapping[str, Any], settings: JobSettings, given: Any = None) -> Mapping[str, str]:
        """The study's own request is sent, also where the user's object is given; any field may lead to code."""
        sent = {"instance_types": description.get("instance_types"), **description["request"]}
        return {name: json.dumps(value) for name, value in sent.items() if value}

    @classmethod
    def from_table(cls, table: Mapping[str, Any], beside: Any) -> "TrainingJob":
        """Keys: the settings of this class, and *request*, a table with the CreateTrainingJob request."""
        if "request" not in table:
            raise InvalidInput("request is missing: add a table with the fields of CreateTrainingJob")
        settings = {"job" if name == "request" else name: value for name, value in table.items()}
        return cls(**checked_arguments(cls, settings))

    @classmethod
    def table_keys(cls) -> Mapping[str, inspect.Parameter]:
        arguments = inspect.signature(cls).parameters
        keys = {"request" if name == "job" else name: it for name, it in arguments.items() if name != "clock"}
        return {name: it.replace(name=name) for name, it in keys.items()}

    @classmethod
    def fetch(cls, journal: Journal, name: str, *, given: Any = None, mirror: str | None = None) -> EventLog | None:
        """Copy a study from its mirror on S3, which is at the place *mirror* or is found by the tags of the jobs."""
        from byohpo_core.backends.sagemaker.fetching import fetch

        aws = (
            None
            if given is None
            else Aws(_one_region(given), given.clock, given.calls_per_second, boto_session(given.job))
        )
        return fetch(journal, name, aws, mirror, () if given is None else given.outputs)

    @classmethod
    def follow(cls, description: Mapping[str, Any], *, given: Any = None, mirror: str | None = None) -> Follow:
        """Follow the study's mirror on S3, if *mirror* or the estimator's output path is its place."""
        from byohpo_core.backends.sagemaker.following import Following

        output = text("S3OutputPath", description["request"]["OutputDataConfig"]["S3OutputPath"])
        named = [*([] if mirror is None else [mirror]), *([] if given is None else given.outputs)]
        return Following(output, _region(description["region"]), named, given)

    def _captured(self, inputs: Any, defined: Collection[str] = ()) -> "PreparedJob":
        """Capture the request of the user's object, without its definitions of the metrics in *defined*."""
        region = usable_region(_one_region(self))
        captured = capture(self.job, inputs)
        for name, value in mapping("Environment", captured.request.get("Environment") or {}).items():
            if not isinstance(value, str):  # botocore would show it, and it may be secret
                raise InvalidInput(f"the training job's request: Environment: {name} is not a string")
        check_request({"TrainingJobName": "byohpo-0-0", **captured.request})  # before other code reads it
        return PreparedJob(
            self.job,
            request=without_metrics(captured.request, defined),
            encoding=captured.encoding,
            region=region,
            **{name: getattr(self, name) for name in _SHARED},
        )


_SHARED = ("instance_types", "prices", "calls_per_second", "poll_seconds", "clock")


@attrs.frozen(kw_only=True)
class PreparedJob(Estimator):
    """A training job whose request is known; the manifest of a study of SageMaker jobs stores it."""

    job: Any = attrs.field(kw_only=False)
    """The user's object, if this process has it."""
    request: Mapping[str, Any] = attrs.field(repr=False)
    """The CreateTrainingJob request, without a job name."""
    encoding: str
    instance_types: Sequence[str] = attrs.field(default=(), converter=_instance_types)
    prices: Mapping[str, float] = attrs.field(default=None, converter=_prices)
    region: str | None = attrs.field(default=None, converter=_region)
    calls_per_second: float = attrs.field(default=4.0, converter=_calls)
    poll_seconds: float = attrs.field(default=5.0, converter=_seconds)
    clock: Clock = attrs.field(factory=WallClock, eq=False, repr=False)
    aws: Aws = attrs.field(init=False, eq=False, repr=False)
    """Shared by the mirror and the jobs: once the credentials have worked for one, both wait for new ones."""
    kind: ClassVar[str] = "sagemaker"
    keeps_secrets: ClassVar[bool] = True

    @aws.default
    def _new_aws(self) -> Aws:
        return Aws(self.region, self.clock, self.calls_per_second, boto_session(self.job))

    @property
    def outputs(self) -> list[str]:
        """The place of the jobs' outputs."""
        return [self.request["OutputDataConfig"]["S3OutputPath"]]

    def template(self, settings: JobSettings) -> Template:
        """The template for the requests of a study's trials."""
        return Template(
            self.request,
            self.encoding,
            settings.metric_definitions,
            settings.tags,
            self.instance_types,
            Prices(self.prices),
        )

    def hide(self, secrets: Secrets) -> "PreparedJob":
        """Hide variables, and those hyperparameters that the study's space hides."""
        hidden = {
            "Environment": secrets.hide_environment(self.request.get("Environment") or {}),
            "HyperParameters": secrets.mark_hyperparameters(self.request.get("HyperParameters") or {}),
        }
        return attrs.evolve(self, request={**self.request, **{name: it for name, it in hidden.items() if it}})

    def reservation(self) -> float | None:
        """The most that one job can cost; raises `InvalidInput` if a price is missing."""
        return Prices(self.prices).reservation(self.request, self.instance_types)

    def describe(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "request": self.request,
            "encoding": self.encoding,
            "instance_types": list(self.instance_types),
            "prices": dict(self.prices),
            "region": self.region,
            "calls_per_second": self.calls_per_second,
            "poll_seconds": self.poll_seconds,
        }

    def mirrored(self, log: EventLog) -> EventLog:
        """Wrap the log so that each commit is also copied to S3, next to the jobs' outputs."""
        from byohpo_core.backends.sagemaker.mirror import MirroredLog

        mirrored = MirroredLog(log, self.mirror(log.id))
        # Fail before any job starts if the caller may not call Search.
        next(index.search(self.aws, [index.tagged(STUDY_TAG, log.id)]), None)
        return mirrored

    def mirror(self, study_id: str) -> "Mirror":
        """The copy of a study's journal on S3, next to the jobs' outputs, in a bucket of this account."""
        from byohpo_core.backends.sagemaker.mirror import Mirror

        place = self.request["OutputDataConfig"]["S3OutputPath"]
        return Mirror(self.aws, place, study_id, owner=self.aws.account())

    def attached_to(self, trial: Trial) -> Any:
        attach = getattr(type(self.job), "attach", None)
        if attach is None or not hasattr(self.job, "sagemaker_session"):
            return super().attached_to(trial)
        return attach(trial.job_name, sagemaker_session=self.job.sagemaker_session)

    def connect(self, study: Study, settings: JobSettings) -> "SageMakerBackend":
        from byohpo_core.backends.sagemaker.backend import SageMakerBackend

        return SageMakerBackend(self.aws, self.template(settings), study, self.poll_seconds, curves=settings.curves)


def _one_region(job: "TrainingJob | PreparedJob", journaled: str | None = None) -> str | None:
    """The region that was named, or None; raises `InvalidInput` if several different ones were named."""
    session = boto_session(job.job)
    named = {
        "the study's jobs": journaled,
        "TrainingJob(region=...)": job.region,
        "the SDK's session": None if session is None else session.region_name,
    }
    named = {who: region for who, region in named.items() if region is not None}
    if len({*named.values()}) > 1:
        told = ", ".join(f"{region!r} of {who}" for who, region in named.items())
        raise InvalidInput(f"the regions must be the same: {told}")
    return next(iter(named.values()), None)
