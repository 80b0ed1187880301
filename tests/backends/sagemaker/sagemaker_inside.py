"""The parts of the SageMaker backend that its tests look into. All else is reached by public names."""

from byohpo_core.backends.sagemaker import (
    aws,
    backend,
    continuing,
    mirror,
    prices,
    quota,
    request,
    service_model,
    watching,
)
from byohpo_core.backends.sagemaker.capture import capture, fixed_hyperparameters, kind_of  # noqa: F401 - for tests
from byohpo_core.backends.sagemaker.sharing import shared  # noqa: F401 - for tests
from byohpo_core.study.events import EventKind  # noqa: F401 - for tests

Aws, Refused, WallClock = aws.Aws, aws.Refused, aws.WallClock
Continuing = continuing.Continuing
SageMakerBackend = backend.SageMakerBackend
Mirror, MirroredLog = mirror.Mirror, mirror.MirroredLog
Prices = prices.Prices
Template, is_built_in = request.Template, request.is_built_in
check_request = service_model.check_request
never_fits = quota.never_fits
outcome_of = watching.outcome_of
