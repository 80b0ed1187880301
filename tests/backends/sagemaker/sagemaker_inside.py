"""The parts of the SageMaker backend that its tests look into. All else is reached by public names."""

from inside import events

from byohpo_core.backends.sagemaker import (
    aws,
    backend,
    continuing,
    mirror,
    prices,
    quota,
    request,
    service_model,
    sharing,
    watching,
)
from byohpo_core.backends.sagemaker import (
    capture as _capture,
)

Aws, Refused, WallClock = aws.Aws, aws.Refused, aws.WallClock
Continuing = continuing.Continuing
SageMakerBackend = backend.SageMakerBackend
Mirror, MirroredLog = mirror.Mirror, mirror.MirroredLog
Prices = prices.Prices
Template, is_built_in = request.Template, request.is_built_in
check_request = service_model.check_request
never_fits = quota.never_fits
outcome_of = watching.outcome_of
shared = sharing.shared
EventKind = events.EventKind
capture, fixed_hyperparameters, kind_of = _capture.capture, _capture.fixed_hyperparameters, _capture.kind_of
