"""`TrainingJob`: what is tuned when every trial is a training job on SageMaker."""

import re
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs

from byohpo_core.backends.sagemaker import index
from byohpo_core.backends.sagemaker.aws import Aws, Clock, WallClock, usable_region
from byohpo_core.backends.sagemaker.capture import boto_session, capture, fixed_hyperparameters, kind_of
from byohpo_core.backends.sagemaker.prices import Prices, reservation
from byohpo_core.backends.sagemaker.request import (
    BUILT_IN_METRIC,
    MAX_HYPERPARAMETERS,
    MAX_TAGS,
    MAX_VALUE_LENGTH,
    STUDY_TAG,
    Template,
    is_built_in,
    metric_definitions,
    without_metrics,
    written,
)
from byohpo_core.backends.sagemaker.service_model import check as check_request
from byohpo_core.backendspecs import Estimator, JobSettings
from byohpo_core.errors import InvalidInput
from byohpo_core.journal.log import EventLog
from byohpo_core.metrics import compile_metrics
from byohpo_core.space.parameters import CategoricalParameter
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

    A `Tuner` takes these as they are; this is for the settings besides. *instance_types* take the place of the job's
    own: a trial begins with the first, and the next is tried where one has no capacity. *prices* are what an hour of an
    instance costs on demand, by instance type, which `max_cost` and the column Cost need; so they are for spot training
    too, as the seconds that are billed have the saving in them. *region* is by default that of the SDK's session, or
    boto3's. All calls share *calls_per_second*; jobs are looked at every *poll_seconds* at most.
    """

    job: Any = attrs.field()
    instance_types: Sequence[str] = attrs.field(default=(), kw_only=True, converter=_instance_types)
    prices: Mapping[str, float] = attrs.field(default=None, kw_only=True, converter=_prices)
    region: str | None = attrs.field(default=None, kw_only=True, converter=_region)
    calls_per_second: float = attrs.field(default=4.0, kw_only=True, converter=_calls)
    poll_seconds: float = attrs.field(default=5.0, kw_only=True, converter=_seconds)
    clock: Clock = attrs.field(factory=WallClock, kw_only=True, eq=False, repr=False)
    request: Mapping[str, Any] | None = attrs.field(default=None, kw_only=True, repr=False)
    """The user's request, once it is known, without a job's name."""
    encoding: str = attrs.field(default="text", kw_only=True)
    aws: Aws = attrs.field(init=False, eq=False, repr=False)
    """One for the mirror and the jobs: credentials that worked for one are waited for by both."""
    kind: ClassVar[str] = "sagemaker"

    @aws.default
    def _new_aws(self) -> Aws:
        return Aws(self.region, self.clock, self.calls_per_second, boto_session(self.job))

    @job.validator
    def _check_job(self, _: object, job: Any) -> None:
        if kind_of(job) not in ("v2 estimator", "v3 trainer", "request"):
            raise InvalidInput(
                f"{job!r} is nothing that can be tuned: give an Estimator or a ModelTrainer of SageMaker's SDK (that "
                "of a HyperparameterTuner is its estimator or model_trainer), a CreateTrainingJob request, a "
                "TrainingScript or a function"
            )

    @property
    def name(self) -> str:
        words = re.findall(r"[a-zA-Z0-9]+", str(getattr(self.job, "base_job_name", None) or "training-job"))
        return "-".join(words)[:40].strip("-") or "training-job"

    @property
    def hyperparameters(self) -> Mapping[str, Any]:
        return fixed_hyperparameters(self.job)

    def fixed(self, tuned: Collection[str]) -> Mapping[str, Any]:
        """Where the job has a tuned hyperparameter, the range takes its place, as in SageMaker's own tuner."""
        return {name: value for name, value in self.hyperparameters.items() if name not in tuned}

    def metric_definitions(self, objectives: Sequence[str]) -> Sequence[tuple[str, str]]:
        """None: a job's own definitions come with its request."""
        return ()

    def prepare(self, problem: Problem, settings: JobSettings, inputs: Any) -> tuple[Self, JobSettings]:
        """Take the request from the user's object, which may upload the code, and check what each trial would send."""
        region = usable_region(self._named_region())
        captured = capture(self.job, inputs)
        check_request({"TrainingJobName": "byohpo-0-0", **captured.request})  # before anything else reads it
        request = without_metrics(captured.request, {name for name, _ in settings.metric_definitions})
        ready = attrs.evolve(self, region=region, request=request, encoding=captured.encoding)
        ready._check(problem, settings)  # noqa: SLF001 - one of us
        return ready, settings

    def _named_region(self, journaled: str | None = None) -> str | None:
        """The region that somebody names; raises `InvalidInput` for two."""
        session = boto_session(self.job)
        named = {
            "the study's jobs": journaled,
            "TrainingJob(region=...)": self.region,
            "the SDK's session": None if session is None else session.region_name,
        }
        named = {who: region for who, region in named.items() if region is not None}
        if len({*named.values()}) > 1:
            told = ", ".join(f"{region!r} of {who}" for who, region in named.items())
            raise InvalidInput(f"the regions contradict each other: {told}")
        return next(iter(named.values()), None)

    def _check(self, problem: Problem, settings: JobSettings) -> None:
        request = self.request or {}
        definitions = [*metric_definitions(request), *settings.metric_definitions]
        compile_metrics(definitions)
        missing = {objective.metric for objective in problem.objectives} - {name for name, _ in definitions}
        if missing and not is_built_in(request):
            raise InvalidInput(
                f"no metric definition for {', '.join(sorted(map(repr, missing)))}: SageMaker finds a custom image's "
                'metrics by metric_definitions=[{"Name": ..., "Regex": ...}]'
            )
        if missing and settings.curves:
            raise InvalidInput(
                f"to end jobs early their logs are read, and nothing tells how they print "
                f'{", ".join(sorted(map(repr, missing)))}: give metric_definitions=[{{"Name": ..., "Regex": ...}}] '
                "(docs/sagemaker/drop-in.md has those of SageMaker's own algorithms)"
            )
        names = {*request.get("HyperParameters", {})}
        ours = {BUILT_IN_METRIC} if is_built_in(request) else set()
        count = len({*names, *problem.space.parameters, *ours})
        if count > MAX_HYPERPARAMETERS:
            raise InvalidInput(f"{count} hyperparameters; SageMaker takes at most {MAX_HYPERPARAMETERS}")
        if len(settings.tags) + len(request.get("Tags", ())) + 2 > MAX_TAGS:
            raise InvalidInput(f"SageMaker takes at most {MAX_TAGS} tags a job, of which two are ours")
        tags = [*request.get("Tags", ()), *({"Key": key, "Value": value} for key, value in settings.tags)]
        request = {**request, "TrainingJobName": "byohpo-0-0", "Tags": tags}
        check_request(request)
        values = {name: [value] for name, value in problem.space.static.items() if name not in names}
        for name, parameter in problem.space.tunable.items():
            values[name] = [*parameter.values] if isinstance(parameter, CategoricalParameter) else []
        for name, possible in values.items():
            if any(len(written(self.encoding, value)) > MAX_VALUE_LENGTH for value in possible):
                raise InvalidInput(f"the hyperparameter {name!r} has a value of over {MAX_VALUE_LENGTH} characters")
        if self.instance_types and request.get("ResourceConfig", {}).get("InstanceGroups"):
            raise InvalidInput("instance_types cannot stand beside the job's InstanceGroups: leave one of them out")
        for name in self.instance_types:
            resources = {**request.get("ResourceConfig", {}), "InstanceType": name}
            check_request({**request, "ResourceConfig": resources})
        if self.prices:
            self.ceiling()

    def reservation(self) -> float | None:
        """The most that one job can cost; raises `InvalidInput` where a price is missing."""
        return reservation(self.request or {}, Prices(self.prices), self.instance_types)

    def ceiling(self) -> float:
        """An hour of a job at its dearest."""
        return Prices(self.prices).highest(self.request or {}, self.instance_types)

    def template(self, settings: JobSettings) -> Template:
        """The requests of a study's trials."""
        return Template(
            self.request or {}, self.encoding, settings.metric_definitions, settings.tags, self.instance_types
        )

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

    @classmethod
    def restore(cls, description: Mapping[str, Any], given: Any = None) -> Self:
        settings = {name: value for name, value in description.items() if name != "kind"}
        if given is None:
            return cls(description["request"], **settings)
        for name in ("calls_per_second", "poll_seconds"):
            if (mine := getattr(given, name)) != getattr(attrs.fields(cls), name).default:
                settings[name] = mine
        for name in ("prices", "instance_types"):
            mine, theirs = (type(settings[name])(it) for it in (getattr(given, name), settings[name]))
            if mine and mine != theirs:
                raise InvalidInput(f"the study's {name} are {theirs}, not {mine}: leave them out, or begin a new study")
        settings["region"] = given._named_region(settings["region"])  # noqa: SLF001
        restored: Self = attrs.evolve(given, **settings)
        return restored

    def mirrored(self, log: EventLog) -> EventLog:
        """The log, with a copy of each commit beside the jobs' outputs."""
        from byohpo_core.backends.sagemaker.mirror import MirroredLog

        mirrored = MirroredLog(log, self.mirror(log.id))
        # Who may not look at jobs is told so while there are none.
        next(index.search(self.aws, [index.tagged(STUDY_TAG, log.id)]), None)
        return mirrored

    def mirror(self, study_id: str) -> "Mirror":
        """The copy of a study's journal beside the jobs' outputs."""
        from byohpo_core.backends.sagemaker.mirror import Mirror

        return Mirror(self.aws, (self.request or {})["OutputDataConfig"]["S3OutputPath"], study_id)

    def attached_to(self, trial: Trial) -> Any:
        attach = getattr(type(self.job), "attach", None)
        if attach is None or not hasattr(self.job, "sagemaker_session"):
            return Estimator.attached_to(self, trial)
        return attach(trial.job_name, sagemaker_session=self.job.sagemaker_session)

    def connect(self, study: Study, settings: JobSettings) -> "SageMakerBackend":
        from byohpo_core.backends.sagemaker.backend import SageMakerBackend

        return SageMakerBackend(self, study, settings)
