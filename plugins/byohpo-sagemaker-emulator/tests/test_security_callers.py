"""Who may call the emulator: only programs on this machine that have its keys."""

import json
import logging
import os
import re
import tracemalloc

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from byohpo_sagemaker_emulator import Emulator, SimulatedJob
from byohpo_sagemaker_emulator.keys import Key, write_credentials

JSON = "application/x-amz-json-1.1"
EVIL = "evil.example"
STRANGER = Key("AKIASTRANGERSTRANGER", "a-secret")


@pytest.fixture
def desk(start):
    return start(job=lambda _: SimulatedJob(seconds=0))


def code(caught):
    return caught.value.response["Error"]["Code"]


def create(desk, make_request, **options):
    """Send a CreateTrainingJob that is signed and then changed by *options*."""
    body = json.dumps(make_request("job")).encode()
    return desk.wire.call("POST", "/", body, x_amz_target="SageMaker.CreateTrainingJob", content_type=JSON, **options)


def attack(desk, make_request, **changed):
    """Send a CreateTrainingJob that is well signed, with headers added or replaced afterwards."""
    body = json.dumps(make_request("job")).encode()
    headers = desk.wire.sign("POST", "/", body, x_amz_target="SageMaker.CreateTrainingJob", content_type=JSON)
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    return desk.wire.send("POST", "/", body, headers)


@pytest.mark.parametrize(
    ("service", "operation", "codes"),
    [
        ("sagemaker", "list_training_jobs", ("InvalidSignatureException", "UnrecognizedClientException")),
        ("logs", "describe_log_groups", ("InvalidSignatureException", "UnrecognizedClientException")),
        ("s3", "list_buckets", ("SignatureDoesNotMatch", "InvalidAccessKeyId")),
        ("sts", "get_caller_identity", ("SignatureDoesNotMatch", "InvalidClientTokenId")),
        ("iam", "list_users", ("SignatureDoesNotMatch", "InvalidClientTokenId")),
    ],
)
def test_wrong_keys_are_refused_with_the_codes_of_each_service(desk, service, operation, codes):
    """A wrong secret, an unknown id, an unknown token, and no signature at all."""
    id_only = {"aws_access_key_id": desk.emulator.key.id, "aws_secret_access_key": "wrong"}
    stranger = {"aws_access_key_id": STRANGER.id, "aws_secret_access_key": STRANGER.secret}
    told = []
    for keys in (id_only, stranger, {"aws_session_token": "token"}, {"config": Config(signature_version=UNSIGNED)}):
        with pytest.raises(ClientError) as caught:
            getattr(desk.emulator.client(service, **keys), operation)()
        told.append(code(caught))
    assert tuple(told[:2]) == codes
    unknown_token = "InvalidToken" if service == "s3" else codes[1]
    assert told[2:] == [unknown_token, {"s3": "AccessDenied"}.get(service, told[3])]
    assert told[3].startswith("MissingAuthenticationToken") or service == "s3"


@pytest.mark.parametrize(
    "keys",
    [STRANGER, Key("emulator", "emulator", "emulator"), Key("testing", "testing"), Key("AKIAIOSFODNN7EXAMPLE", "x")],
    ids=["stranger", "those of older releases", "those of moto's manual", "those of AWS's manual"],
)
def test_no_job_starts_without_the_keys(desk, make_request, keys):
    """Nothing is created, and the answer is SageMaker's."""
    status, told = create(desk, make_request, key=keys)
    assert (status, json.loads(told)["__type"]) == (403, "UnrecognizedClientException")
    assert not desk.emulator.jobs
    assert create(desk, make_request)[0] == 200
    assert list(desk.emulator.jobs) == ["job"]


@pytest.mark.parametrize(
    "authorization",
    ["", "AWS4-HMAC-SHA256", "AWS AKIA:c2lnbmF0dXJl", "Basic YTpi", "AWS4-ECDSA-P256-SHA256 Credential=a/b/c/d"],
)
def test_another_kind_of_signature_is_none(desk, make_request, authorization):
    """The error tells which one is needed."""
    status, told = attack(desk, make_request, Authorization=authorization)
    assert status == 400
    assert json.loads(told)["__type"] == "IncompleteSignatureException"
    assert not desk.emulator.jobs


def test_each_emulator_draws_its_own_keys(start):
    """Keys of one that has ended are of no use, and they are not shown by accident."""
    with Emulator(job=lambda _: None) as first:
        assert first.client("sts").get_caller_identity()
    with Emulator(job=lambda _: None) as second:
        assert second.key.id != first.key.id
        assert second.key.secret != first.key.secret
        assert len(second.key.secret) == 40
        assert second.key.secret not in repr(second.key)
        old = {"aws_access_key_id": first.key.id, "aws_secret_access_key": first.key.secret}
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            second.client("sagemaker", **old).list_training_jobs()


def test_the_environment_holds_the_keys_and_no_token_of_others(start, monkeypatch):
    """A session token that was set for other keys is overruled."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-my-real-account")
    desk = start(job=lambda _: None)
    for name, value in desk.emulator.environment.items():
        monkeypatch.setenv(name, value)
    assert boto3.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
    assert boto3.client("s3").list_buckets()["Buckets"]


def test_the_log_has_the_line_to_export(desk, make_request, caplog):
    """Once for each error, so that callers cannot fill the log, and nothing that the caller sent."""
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            create(desk, make_request, key=Key("AKIA\x1b[31mEVIL", "x"))
            create(desk, make_request, key=Key(desk.emulator.key.id, "x"))
    assert len(caplog.records) == 2
    text = caplog.text
    assert f"export AWS_ENDPOINT_URL={desk.emulator.url}" in text
    assert f"AWS_ACCESS_KEY_ID={desk.emulator.key.id} AWS_SECRET_ACCESS_KEY={desk.emulator.key.secret}" in text
    assert "EVIL" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "emulator.localhost", "a.b.localhost"])
def test_names_of_this_machine_are_served(desk, make_request, host):
    """With and without a port."""
    port = desk.wire.port
    assert create(desk, make_request, host=f"{host}:{port}")[0] == 200
    assert desk.wire.call("POST", host=host, x_amz_target="SageMaker.ListTrainingJobs")[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        *(EVIL, f"{EVIL}:80", f"127.0.0.1.{EVIL}", f"localhost.{EVIL}", f"{EVIL}#.localhost", f"{EVIL}/.localhost"),
        *("evillocalhost", "127.0.0.2", "127.1", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "2130706433", "localhost."),
        *(f"localhost@{EVIL}", f"{EVIL} localhost", "sagemaker.us-east-1.amazonaws.com"),
    ],
)
def test_other_hosts_are_refused(desk, make_request, host):
    """Even with a good signature: a name that somebody else resolves may be that of a web page."""
    status, told = create(desk, make_request, host=host)
    assert status == 403
    assert "127.0.0.1, [::1], localhost and *.localhost" in told
    assert not desk.emulator.jobs


def test_a_host_given_twice_or_in_the_target_is_refused(desk):
    """The first one, the last one, and that of the request line: none of them is trusted."""
    good = desk.wire.sign("POST", x_amz_target="SageMaker.ListTrainingJobs")
    twice = [("Host", EVIL), *good.items()]
    assert desk.wire.send("POST", "/", b"", twice)[0] == 403
    assert desk.wire.send("POST", "/", b"", [*good.items(), ("Host", EVIL)])[0] == 403
    assert desk.wire.send("POST", f"http://{EVIL}/", b"", good)[0] == 403
    assert desk.wire.send("POST", "/", b"", good | {"Host": ""})[0] == 403
    del good["Host"]
    assert desk.wire.send("POST", "/", b"", good)[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": f"http://{EVIL}"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:5055"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"sec-fetch-site": "CROSS-SITE"},
        {"Sec-Fetch-Site": "anything"},
    ],
    ids=str,
)
def test_web_pages_are_refused(desk, make_request, headers):
    """Even with a good signature, and nothing in the answer invites them."""
    status, told = attack(desk, make_request, **headers)
    assert (status, json.loads(told)["__type"]) == (403, "AccessDenied")
    assert desk.wire.send("OPTIONS", "/", b"", {"Host": "localhost", **headers})[0] == 403
    assert not desk.emulator.jobs


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("sns", "list_topics"),
        ("sqs", "list_queues"),
        ("lambda", "list_functions"),
        ("ec2", "describe_instances"),
        ("dynamodb", "list_tables"),
        ("events", "list_rules"),
        ("firehose", "list_delivery_streams"),
        ("secretsmanager", "list_secrets"),
        ("ssm", "describe_parameters"),
    ],
)
def test_services_that_it_does_not_name_are_not_served(desk, service, operation):
    """Moto has them, and some of them call other machines."""
    with pytest.raises(ClientError, match="does not serve") as caught:
        getattr(desk.emulator.client(service), operation)()
    assert code(caught) in ("UnknownOperationException", "InvalidAction")
    assert "SageMaker, S3, CloudWatch Logs, STS, IAM" in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        *("/moto-api/data.json", "/moto-api/reset", "/moto-api/seed?a=1", "/%6doto-api/data.json", "//moto-api/reset"),
        *("/moto-api/proxy/passthrough", "/moto-api/state-manager/set-transition", "/moto-api/", "/favicon.ico"),
        *("/latest/meta-data/iam/security-credentials/", "/latest/api/token", "/sns_us-east-1/"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_motos_own_interface_cannot_be_reached(desk, path, method):
    """Neither without a signature nor with one for any service: nothing is shown, and nothing is deleted."""
    hidden = "a-value-that-only-moto-knows"
    desk.s3.put_object(Bucket="bucket", Key="key", Body=hidden.encode())
    assert desk.wire.send(method, path, b"", {"Host": "localhost"})[0] == 403
    for service in ("s3", "sagemaker", "iam", "sts", "logs", "moto_api", "moto-api", "instance_metadata"):
        _, told = desk.wire.call(method, path, service=service)
        assert hidden not in told
        assert "moto_api" not in told
    assert desk.s3.get_object(Bucket="bucket", Key="key")["Body"].read().decode() == hidden


def test_a_get_changes_nothing(desk, make_request):
    """Not even a signed one: such a URL may stand in a page or a mail."""
    body = json.dumps(make_request("job")).encode()
    for target in ("SageMaker.CreateTrainingJob", "SageMaker.ListTrainingJobs"):
        assert desk.wire.call("GET", "/", body, x_amz_target=target)[0] == 405
    create_user = "/?Action=CreateUser&UserName=evil&Version=2010-05-08"
    assert desk.wire.call("GET", create_user, service="iam")[0] == 405
    assert desk.wire.call("PUT", create_user, service="iam")[0] == 405
    assert desk.wire.call("GET", "/?Action=ListUsers&Version=2010-05-08", b"Action=CreateUser", service="iam")[0] == 405
    assert desk.wire.call("GET", "/?Action=ListUsers&Version=2010-05-08", service="iam")[0] == 200
    assert desk.emulator.client("iam").list_users()["Users"] == []
    assert not desk.emulator.jobs


@pytest.mark.parametrize("target", ["X.GetUser", "X.CreateUser"])
def test_the_operation_of_a_query_has_one_name(desk, target):
    """A header that names another one, or the same, is refused, in a GET and in a POST."""
    query = "Action=CreateUser&UserName=evil&Version=2010-05-08"
    form = "application/x-www-form-urlencoded"
    assert desk.wire.call("GET", f"/?{query}", service="iam", x_amz_target=target)[0] == 400
    for method, path, body in (("GET", f"/?{query}", b""), ("POST", "/", query.encode()), ("POST", "/", b"")):
        status, told = desk.wire.call(method, path, body, service="iam", x_amz_target=target, content_type=form)
        assert status == 400
        assert "X-Amz-Target" in told
    assert desk.emulator.client("iam").list_users()["Users"] == []


def test_bodies_of_unclear_length_are_refused(desk):
    """They are answered with 400, or not at all, and the next call works."""
    good = list(desk.wire.sign("POST", x_amz_target="SageMaker.ListTrainingJobs").items())
    for lengths in (
        [("Content-Length", "-1")],
        [("Content-Length", "+0")],
        [("Content-Length", "0x0")],
        [("Content-Length", "0"), ("Content-Length", "5")],
        [("Content-Length", "0"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "gzip, chunked")],
    ):
        assert desk.wire.send("POST", "/", b"", [*good, *lengths])[0] == 400, lengths
    for size in (b"-1", b"0x1", b"1_0", b"", b"zz"):
        headers = [*good, ("Transfer-Encoding", "chunked")]
        assert desk.wire.send("POST", "/", size + b"\r\n\r\n", headers)[0] == 400, size
    assert desk.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


@pytest.mark.parametrize("body", [b"[" * 200_000, b"\xff\xfe", b"null", b'{"a"', b""], ids=lambda body: str(body[:5]))
def test_nonsense_from_strangers_is_refused_as_any_other_call(desk, body):
    """It is not even understood before the caller is known."""
    for content in (JSON, "application/x-www-form-urlencoded"):
        headers = {"Host": "localhost", "X-Amz-Target": "SageMaker.CreateTrainingJob", "Content-Type": content}
        status, told = desk.wire.send("POST", "/", body, headers)
        assert (status, json.loads(told)["__type"]) == (403, "MissingAuthenticationTokenException")


LONG = 20 * 2**20


@pytest.mark.parametrize("service", ["sagemaker", "s3", "sts", None])
def test_a_stranger_cannot_make_it_grow(desk, service):
    """Neither what they send nor what they name is kept, and no long body is ever in memory."""
    body = b'{"TrainingJobName": "' + b"x" * (4 * LONG) + b'"}'
    sent = {"X-Amz-Target": f"SageMaker.{'Create' * 5000}", "Content-Type": JSON}
    headers = {"Host": "localhost", **sent}
    if service is not None:
        given = {"x_amz_target": sent["X-Amz-Target"], "content_type": JSON}
        headers = desk.wire.sign("POST", "/", body, service=service, key=STRANGER, **given)
    tracemalloc.start()
    for length in (len(body), LONG // 2):
        status, _ = desk.wire.send("POST", "/", body[:length], headers)
        assert status == (413 if length > LONG and service != "s3" else 403)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * LONG
    assert len(desk.emulator.calls) == 2
    assert len(str(desk.emulator.calls)) < 2000


def test_of_strangers_only_the_first_calls_are_recorded(desk, monkeypatch):
    """So that they cannot fill the memory by many calls either; those of callers with keys are all recorded."""
    monkeypatch.setattr("byohpo_sagemaker_emulator.gateway._STRANGERS_KEPT", 3)
    for _ in range(5):
        assert desk.wire.send("GET", "/", b"", {"Host": "localhost"})[0] == 403
        assert desk.s3.list_buckets()["Buckets"]
    assert [call.outcome for call in desk.emulator.calls].count("ok") == 5
    assert len(desk.emulator.calls) == 8


def test_only_objects_may_be_long(desk):
    """The error is the service's, and the next call on the connection is answered."""
    body = b"x" * LONG
    for key in ("a", "b"):
        desk.s3.put_object(Bucket="bucket", Key=key, Body=body)
    assert desk.s3.get_object(Bucket="bucket", Key="b")["ContentLength"] == LONG
    url = desk.s3.generate_presigned_url("put_object", {"Bucket": "bucket", "Key": "c"})
    target = url.removeprefix(desk.emulator.url)
    assert desk.wire.send("PUT", target, body, {"Host": f"127.0.0.1:{desk.wire.port}"})[0] == 200
    status, told = desk.wire.call("POST", "/", body, x_amz_target="SageMaker.ListTrainingJobs")
    assert (status, json.loads(told)["__type"]) == (413, "RequestEntityTooLargeException")
    with pytest.raises(ClientError, match="RequestEntityTooLargeException"):
        desk.sagemaker.create_pipeline(
            PipelineName="p", PipelineDefinition="x" * LONG, RoleArn="arn:aws:iam::123456789012:role/any"
        )
    assert desk.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


def test_an_object_longer_than_s3_takes_is_refused(desk, monkeypatch):
    """The limit is S3's own: 5 GiB, here less."""
    monkeypatch.setattr("byohpo_sagemaker_emulator.access._OBJECT_BYTES", 10)
    desk.s3.put_object(Bucket="bucket", Key="a", Body=b"x" * 10)
    for body in (b"x" * 11, b"x" * LONG):
        with pytest.raises(ClientError, match="EntityTooLarge"):
            desk.s3.put_object(Bucket="bucket", Key="b", Body=body)


def test_keys_can_be_fixed(start):
    """For a pipeline that sets its variables beforehand."""
    desk = start(job=lambda _: None, keys="ci_key:a/secret+of=CI")
    assert desk.emulator.environment["AWS_ACCESS_KEY_ID"] == "ci_key"
    assert desk.emulator.environment["AWS_SECRET_ACCESS_KEY"] == "a/secret+of=CI"
    assert desk.s3.list_buckets()["Buckets"]
    assert desk.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []


@pytest.mark.parametrize("keys", ["", "id", "id:", ":secret", "id:two words", "a/b:secret", "id:line\nbreak"])
def test_keys_that_cannot_be_used_are_told(keys):
    """The message has the form that is needed."""
    with pytest.raises(ValueError, match="ID:SECRET"):
        Emulator(keys=keys)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277], ids=oct)
def test_a_credentials_file_is_for_its_owner(tmp_path, mask):
    """Under any umask. The file of an earlier start is replaced, with whatever rights it had got."""
    file = tmp_path / "credentials"
    before = os.umask(mask)
    try:
        write_credentials(file, Key("id", "first"))
        file.chmod(0o666)
        write_credentials(file, Key("id", "second"))
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o600
    assert re.search("aws_secret_access_key = (.*)", file.read_text())[1] == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["credentials"]


def test_a_file_of_somebody_else_is_not_replaced(tmp_path):
    """Such as the user's own credentials, or a link."""
    theirs = tmp_path / "credentials"
    theirs.write_text("[default]\naws_access_key_id = MINE\n")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for file in (theirs, link, tmp_path):
        with pytest.raises(FileExistsError, match=f"{file.name}.*--credentials"):
            write_credentials(file, Key("id", "secret"))
    assert "MINE" in theirs.read_text()
    assert not (tmp_path / "nowhere").exists()
