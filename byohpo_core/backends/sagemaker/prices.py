"""Compute the most that a job can cost, and what a job has cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from byohpo_core.errors import InvalidInput

RESERVED_SECONDS = 300
"""How much longer than MaxRuntimeInSeconds a job may be billed: it gets SIGTERM, then 120 s, then uploads its model."""
DEFAULT_MAX_RUNTIME = 86_400
"""MaxRuntimeInSeconds if the user sets none (CreateTrainingJob, StoppingCondition)."""


@attrs.frozen
class Prices:
    """The price per hour of each instance type, as given by the user."""

    per_hour: Mapping[str, float]

    def highest(self, request: Mapping[str, Any], types: Sequence[str] = ()) -> float:
        """The price of one hour of a whole job on the most expensive instance type that it may use."""
        resources = request.get("ResourceConfig", {})
        if groups := resources.get("InstanceGroups"):
            return sum(self._of(group["InstanceType"]) * int(group["InstanceCount"]) for group in groups)
        count = _instance_count(resources)
        possible = [(name, count) for name in types or [resources.get("InstanceType")]]
        if preferences := resources.get("InstancePreferences"):
            own = [(preference["InstanceType"], preference.get("InstanceCount", count)) for preference in preferences]
            possible = [*((name, count) for name in types), *own]
        return max(self._of(name) * count for name, count in possible)

    def reservation(self, request: Mapping[str, Any], types: Sequence[str] = ()) -> float:
        """The most that one job can cost."""
        return self.highest(request, types) * longest_billed(request) / 3600

    def paid(self, job: Mapping[str, Any], ceiling: float) -> float | None:
        """The cost of a job that is over, given as DescribeTrainingJob returns it; None if there are no prices.

        A warm pool counts as kept for its whole period. *ceiling* is the price of one hour if it is unknown what the
        job ran on.
        """
        if not self.per_hour:
            return None
        seconds = billable_seconds(job)
        resources = job.get("ResourceConfig", {})
        ran_on = resources.get("SelectedInstanceType") or resources.get("InstanceType")
        known = ran_on in self.per_hour and not resources.get("InstanceGroups")
        price = self.per_hour[ran_on] * _instance_count(resources) if known else ceiling
        kept = resources.get("KeepAlivePeriodInSeconds", 0) if seconds else 0
        return price * (seconds + kept) / 3600

    def _of(self, instance_type: Any) -> float:
        try:
            return self.per_hour[instance_type]
        except KeyError:
            raise InvalidInput(
                f"the price of {instance_type} is not known: give TrainingJob(prices={{{str(instance_type)!r}: ...}}), "
                "the price per hour"
            ) from None


def _instance_count(resources: Mapping[str, Any]) -> int:
    return int(resources.get("SelectedInstanceCount") or resources.get("InstanceCount") or 1)


def billable_seconds(job: Mapping[str, Any]) -> float:
    """The billed seconds of a job that is over; its running time if the service does not report them."""
    if "BillableTimeInSeconds" in job:
        return float(job["BillableTimeInSeconds"])
    if "TrainingStartTime" not in job or "TrainingEndTime" not in job:
        return 0.0
    return float((job["TrainingEndTime"] - job["TrainingStartTime"]).total_seconds())


def longest_billed(request: Mapping[str, Any]) -> float:
    """The most seconds that a job can be billed for, including its warm pool."""
    runtime = request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME)
    kept = request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds", 0)
    return float(runtime + RESERVED_SECONDS + kept)
