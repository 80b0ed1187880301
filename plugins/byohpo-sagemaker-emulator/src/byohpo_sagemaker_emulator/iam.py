"""Permission checks, and the IAM operations that the SDKs use but moto does not answer."""

import json
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from byohpo_sagemaker_emulator.aws import Response
from byohpo_sagemaker_emulator.calls import Incoming
from byohpo_sagemaker_emulator.errors import ServiceError
from byohpo_sagemaker_emulator.job import ACCOUNT

_NAMESPACE = "https://iam.amazonaws.com/doc/2010-05-08/"


def check_permission(call: Incoming, denied: Collection[str]) -> None:
    """Raise the service's access error if a call needs an action in *denied*."""
    needed = [f"{call.service}:{call.operation}"]
    if call.operation == "CreateTrainingJob" and call.parameters.get("Tags"):
        needed.append("sagemaker:AddTags")
    action = next((action for action in needed if action in denied), None)
    if action is None:
        return
    resource = "*"
    if call.service == "sagemaker":
        name = call.parameters.get("TrainingJobName", "*")
        resource = f"arn:aws:sagemaker:{call.region}:{ACCOUNT}:training-job/{name}"
    user = f"arn:aws:iam::{ACCOUNT}:user/emulator"
    message = (
        f"User: {user} is not authorized to perform: {action} on resource: {resource}"
        f" because no identity-based policy allows the {action} action"
    )
    if call.service == "s3":
        raise ServiceError("AccessDenied", message, 403)
    raise ServiceError("AccessDeniedException", message)


def simulate_principal_policy(parameters: Mapping[str, Any], denied: Collection[str]) -> Response:
    """Answer SimulatePrincipalPolicy: allow every action that is not in *denied*."""
    results = "".join(
        f"<member><EvalActionName>{escape(action)}</EvalActionName><EvalResourceName>*</EvalResourceName>"
        f"<EvalDecision>{'implicitDeny' if action in denied else 'allowed'}</EvalDecision></member>"
        for name, action in parameters.items()
        if name.startswith("ActionNames.member.")
    )
    return _answer(
        "SimulatePrincipalPolicy",
        f"<IsTruncated>false</IsTruncated><EvaluationResults>{results}</EvaluationResults>",
    )


def any_role(arn: str, *, trusted: bool) -> Response:
    """Answer GetRole for a role that nobody created. SDK v3 checks that SageMaker may assume it (*trusted*)."""
    service = "sagemaker.amazonaws.com" if trusted else "ec2.amazonaws.com"
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    policy = quote(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    name = escape(arn.rpartition("/")[2])
    return _answer(
        "GetRole",
        f"<Role><Path>/</Path><Arn>{escape(arn)}</Arn><RoleName>{name}</RoleName><RoleId>AROAEMULATOREMULATOR</RoleId>"
        f"<CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{policy}</AssumeRolePolicyDocument></Role>",
    )


def _answer(operation: str, result: str) -> Response:
    inner = f"<{operation}Result>{result}</{operation}Result>"
    answer = f'<{operation}Response xmlns="{_NAMESPACE}">{inner}</{operation}Response>'
    return Response(200, [("Content-Type", "text/xml")], answer.encode())
