"""Signature version 4, as botocore and other clients make it, and what happens when something is changed."""

import datetime as dt
import json
import re
import time
import urllib.error
import urllib.request
from hashlib import sha256
from itertools import pairwise

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from byohpo_sagemaker_emulator import SimulatedJob, VirtualClock, access
from byohpo_sagemaker_emulator.aws import Request
from byohpo_sagemaker_emulator.keys import Key
from byohpo_sagemaker_emulator.payloads import declared, opened
from byohpo_sagemaker_emulator.signatures import BadSignature, Claim, Signer, canonical_request

ROLE = "arn:aws:iam::123456789012:role/training"
KEYS = [
    "plain",
    "a b",
    "a+b",
    "a%2Fb",
    "a=b&c",
    "~tilde",
    "dir/",
    "dir//deep",
    "../up",
    "Ünïcode/日本",
    "q?x#y",
    "*'()!@:;,$",
]


@pytest.fixture
def desk(start):
    return start(job=lambda _: SimulatedJob(seconds=0))


@pytest.fixture
def signed_at(monkeypatch):
    """Let botocore sign as if it were some seconds from now."""

    def shift(seconds):
        moment = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(seconds=seconds)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: moment)

    return shift


def code(caught):
    return caught.value.response["Error"]["Code"]


def fetch(url, method="GET", body=None, headers=None):
    """The status and the text that a URL gives without any further signature."""
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def presigned(desk, key="key", operation="get_object", seconds=60):
    return desk.s3.generate_presigned_url(operation, {"Bucket": "bucket", "Key": key}, ExpiresIn=seconds)


@pytest.mark.parametrize("key", KEYS)
def test_any_name_of_an_object_can_be_signed(desk, key):
    """In the path, in the query, and in a presigned URL."""
    desk.s3.put_object(Bucket="bucket", Key=key, Body=key.encode(), Metadata={"words": "two  spaces, a comma"})
    assert desk.s3.get_object(Bucket="bucket", Key=key, Range="bytes=0-")["Body"].read() == key.encode()
    assert [one["Key"] for one in desk.s3.list_objects_v2(Bucket="bucket", Prefix=key)["Contents"]] == [key]
    assert fetch(presigned(desk, key)) == (200, key)


def test_the_larger_operations_of_s3_work(desk):
    """An upload in parts, a copy, tags, and the deletion of several objects."""
    upload = desk.s3.create_multipart_upload(Bucket="bucket", Key="large")["UploadId"]
    where = {"Bucket": "bucket", "Key": "large", "UploadId": upload}
    part = desk.s3.upload_part(**where, PartNumber=1, Body=b"1" * 5_000_000)
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    desk.s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    desk.s3.copy_object(Bucket="bucket", Key="copy of it", CopySource={"Bucket": "bucket", "Key": "large"})
    desk.s3.put_object_tagging(Bucket="bucket", Key="large", Tagging={"TagSet": [{"Key": "a", "Value": "b c"}]})
    assert desk.s3.head_object(Bucket="bucket", Key="copy of it")["ContentLength"] == 5_000_000
    objects = [{"Key": "large"}, {"Key": "copy of it"}]
    assert len(desk.s3.delete_objects(Bucket="bucket", Delete={"Objects": objects})["Deleted"]) == 2


@pytest.mark.parametrize("service", ["sagemaker", "s3"])
@pytest.mark.parametrize("seconds", [-16 * 60, 16 * 60, -86_400, 86_400 * 365])
@pytest.mark.parametrize("clock", [None, VirtualClock()], ids=["real", "virtual"])
def test_a_signature_is_valid_for_a_quarter_of_an_hour(start, signed_at, service, seconds, clock):
    """By the real clock, also where jobs have a virtual one."""
    desk = start(job=lambda _: SimulatedJob(seconds=0), clock=clock)
    call = {"sagemaker": desk.sagemaker.list_training_jobs, "s3": desk.s3.list_buckets}[service]
    for close in (-14 * 60, 14 * 60):
        signed_at(close)
        assert call()
    signed_at(seconds)
    with pytest.raises(ClientError) as caught:
        call()
    assert code(caught) == {"sagemaker": "InvalidSignatureException", "s3": "RequestTimeTooSkewed"}[service]


def test_a_date_that_is_none_is_refused(desk):
    """The answer says so, whatever is in its place."""
    good = desk.wire.sign("POST", x_amz_target="SageMaker.ListTrainingJobs")
    for moment in ("", "20261399T000000Z", "now", "2026-01-01T00:00:00Z", good["X-Amz-Date"] + "0"):
        status, told = desk.wire.send("POST", "/", b"", good | {"X-Amz-Date": moment})
        assert (status, json.loads(told)["__type"]) == (400, "IncompleteSignatureException")
    day = good["Authorization"].replace(good["X-Amz-Date"][:8], "20200101")
    assert desk.wire.send("POST", "/", b"", good | {"Authorization": day})[0] == 400


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.update({"X-Amz-Target": "SageMaker.DeleteTrainingJob"}),
        lambda it: it.update({"Authorization": it["Authorization"].replace("us-east-1", "eu-west-1")}),
        lambda it: it.update({"Authorization": it["Authorization"].replace("/sagemaker/", "/s3/")}),
        lambda it: it.update({"Authorization": it["Authorization"][:-64] + "0" * 64}),
        lambda it: it.update({"Authorization": it["Authorization"].replace("x-amz-target", "x-amz-tarjet")}),
        lambda it: it.update({"Authorization": it["Authorization"].replace("host;", "")}),
        lambda it: it.update({"X-Amz-Copy-Source": "bucket/key"}),
        lambda it: it.update({"Host": "localhost"}),
        lambda it: it.update({"Authorization": it["Authorization"].upper()}),
        lambda it: it.update({"Authorization": it["Authorization"] + ", Signature=" + "0" * 64}),
    ],
    ids=["target", "region", "service", "signature", "header", "host", "more", "other host", "upper", "two"],
)
def test_what_is_changed_after_signing_is_refused(desk, change):
    """Every part of the signature, and every header that decides what a call does."""
    headers = desk.wire.sign("POST", "/", b"{}", x_amz_target="SageMaker.ListTrainingJobs")
    assert desk.wire.send("POST", "/", b"{}", headers)[0] == 200
    change(headers)
    status, told = desk.wire.send("POST", "/", b"{}", headers)
    assert status in (400, 403)
    assert re.search("Signature", told)


def test_a_method_a_path_and_a_query_are_signed(desk):
    """A signature for reading an object is not one for writing it, or for another."""
    desk.s3.put_object(Bucket="bucket", Key="key", Body=b"1")
    headers = desk.wire.sign("GET", "/bucket/key?versionId=null", service="s3")
    assert desk.wire.send("GET", "/bucket/key?versionId=null", b"", headers)[0] == 200
    for method, target in (
        ("DELETE", "/bucket/key?versionId=null"),
        ("GET", "/bucket/other?versionId=null"),
        ("GET", "/bucket/key"),
        ("GET", "/bucket/key?versionId=null&acl"),
        ("GET", "/bucket/key?versionid=null"),
        ("GET", "/bucket/key?versionId=null#x"),
    ):
        assert desk.wire.send(method, target, b"", headers)[0] == 403, target


def test_a_header_with_underscores_replaces_none_that_is_signed(desk, make_request):
    """WSGI cannot tell the two apart, so the one with underscores is dropped."""
    body = json.dumps(make_request("job")).encode()
    headers = desk.wire.sign("POST", "/", body, x_amz_target="SageMaker.ListTrainingJobs")
    desk.wire.send("POST", "/", body, headers | {"X_Amz_Target": "SageMaker.CreateTrainingJob"})
    assert not desk.emulator.jobs


@pytest.mark.parametrize("service", ["sagemaker", "s3"])
def test_a_body_is_signed(desk, make_request, service):
    """With its hash in a header, as for S3, or without."""
    body = json.dumps(make_request("job")).encode()
    target, method = ("/", "POST") if service == "sagemaker" else ("/bucket/key", "PUT")
    headers = desk.wire.sign(method, target, b"{}", service=service, x_amz_target="SageMaker.CreateTrainingJob")
    status, told = desk.wire.send(method, target, body, headers)
    assert status in (400, 403)
    assert ("InvalidSignatureException" if service == "sagemaker" else "XAmzContentSHA256Mismatch") in told
    assert not desk.emulator.jobs
    with pytest.raises(ClientError):
        desk.s3.get_object(Bucket="bucket", Key="key")


def test_only_s3_takes_a_body_that_is_not_signed(desk, make_request):
    """A signature that does not cover the command would be one for every command."""
    unsigned = {"x_amz_content_sha256": "UNSIGNED-PAYLOAD"}
    assert put(desk, b"content", "UNSIGNED-PAYLOAD") == 200
    assert desk.s3.get_object(Bucket="bucket", Key="key")["Body"].read() == b"content"
    body = json.dumps(make_request("job")).encode()
    status, told = desk.wire.call("POST", "/", body, x_amz_target="SageMaker.CreateTrainingJob", **unsigned)
    assert (status, json.loads(told)["__type"]) == (400, "InvalidSignatureException")
    assert not desk.emulator.jobs
    assert put(desk, b"content", "no hash") == 400


def test_urls_can_be_signed_beforehand(desk):
    """For reading and for writing, by S3's and by STS's clients."""
    text = {"Content-Type": "text/plain"}
    assert fetch(presigned(desk, operation="put_object"), "PUT", b"content", text)[0] == 200
    url = presigned(desk)
    assert "X-Amz-Signature=" in url
    assert fetch(url) == (200, "content")
    sts = desk.emulator.client("sts")
    for method in ("GET", "POST"):
        url = sts.generate_presigned_url("get_caller_identity", HttpMethod=method)
        assert "123456789012" in fetch(url, method)[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/bucket/key", "/bucket/other"),
        ("X-Amz-Expires=60", "X-Amz-Expires=600"),
        ("X-Amz-Expires=60", "X-Amz-Expires=0"),
        ("X-Amz-Expires=60", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=60", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=60", "X-Amz-Expires="),
        ("&X-Amz-Expires=60", ""),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ("X-Amz-Signature=", "X-Amz-Signature=%s&X-Amz-Signature="),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=none"),
        ("?", "?acl&"),
    ],
)
def test_a_signed_url_cannot_be_changed(desk, old, new):
    """Nothing of it, and no parameter may be added."""
    desk.s3.put_object(Bucket="bucket", Key="key", Body=b"1")
    desk.s3.put_object(Bucket="bucket", Key="other", Body=b"2")
    url = presigned(desk)
    assert old in url
    status, told = fetch(url.replace(old, new.replace("%s", "0" * 64)))
    assert status in (400, 403)
    assert "<Error><Code>" in told


def test_a_signed_url_lapses(desk, signed_at):
    """After the seconds that it was made for. Nor is it valid before."""
    desk.s3.put_object(Bucket="bucket", Key="key", Body=b"1")
    for seconds, status in ((-50, 200), (-70, 403), (20 * 60, 403)):
        signed_at(seconds)
        assert fetch(presigned(desk))[0] == status


def test_version_2_is_told_what_to_use(desk):
    """Boto3 still signs URLs with it where nobody asks for another."""
    old = desk.emulator.client("s3", config=Config(signature_version="s3"))
    url = old.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "key"})
    status, told = fetch(url)
    assert status == 403
    assert "<Code>AccessDenied</Code>" in told
    with pytest.raises(ClientError, match="must be AWS4-HMAC-SHA256"):
        old.list_buckets()


def test_a_bucket_may_be_in_the_name_of_the_host(desk):
    """As clients call S3 that are told to. Faults and records see the same call."""
    host = f"bucket.localhost:{desk.wire.port}"
    assert desk.wire.call("PUT", "/deep/key", b"content", service="s3", host=host)[0] == 200
    assert desk.s3.get_object(Bucket="bucket", Key="deep/key")["Body"].read() == b"content"
    put, _ = desk.emulator.calls
    assert (put.operation, put.parameters) == ("PutObject", {"Bucket": "bucket", "Key": "deep/key"})


@pytest.mark.parametrize("operation", ["get_session_token", "assume_role", "get_federation_token"])
def test_keys_of_its_own_sts_are_accepted_with_their_token(desk, operation):
    """They are drawn anew each time, and are nothing without the token."""
    arguments = {
        "get_session_token": {},
        "assume_role": {"RoleArn": ROLE, "RoleSessionName": "session"},
        "get_federation_token": {"Name": "somebody"},
    }[operation]
    sts = desk.emulator.client("sts")
    first, second = (getattr(sts, operation)(**arguments)["Credentials"] for _ in range(2))
    assert first["SecretAccessKey"] != second["SecretAccessKey"]
    assert first["SessionToken"] != second["SessionToken"]
    assert first["Expiration"].timestamp() > time.time()
    for one, token in ((first, first), (second, second)):
        assert listed(desk, one, token["SessionToken"]) == []
    for one, token in ((first, second["SessionToken"]), (first, None), (second, "x")):
        with pytest.raises(ClientError, match=r"UnrecognizedClientException|InvalidSignatureException"):
            listed(desk, one, token)


def test_a_role_knows_who_it_is(desk):
    """GetCallerIdentity tells the role that a session has."""
    keys = desk.emulator.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="session")["Credentials"]
    client = desk.emulator.client("sts", **named(keys, keys["SessionToken"]))
    assert client.get_caller_identity()["Arn"].endswith("assumed-role/training/session")


def test_keys_of_sts_expire(desk, monkeypatch):
    """By the real clock. The error is the one that clients renew their keys at."""
    keys = desk.emulator.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    assert listed(desk, keys, keys["SessionToken"]) == []
    later = keys["Expiration"].timestamp() + 1
    monkeypatch.setattr(access.time, "time", lambda: later)
    moment = dt.datetime.fromtimestamp(later, dt.UTC).replace(tzinfo=None)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: moment)
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        listed(desk, keys, keys["SessionToken"])


def test_keys_that_everybody_knows_are_not_issued(desk):
    """Moto's STS gives the same ones to everybody, and gives them to callers without keys too."""
    keys = desk.emulator.client("sts").get_session_token()["Credentials"]
    assert keys["SecretAccessKey"] != "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"
    known = {"SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY", "AccessKeyId": keys["AccessKeyId"]}
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        listed(desk, known, keys["SessionToken"])
    form = f"Action=AssumeRoleWithWebIdentity&RoleArn={ROLE}&RoleSessionName=x&WebIdentityToken=x&Version=2011-06-15"
    headers = {"Host": "localhost", "Content-Type": "application/x-www-form-urlencoded"}
    status, told = desk.wire.send("POST", "/", form.encode(), headers)
    assert status == 403
    assert "MissingAuthenticationToken" in told


def listed(desk, keys, token):
    return desk.emulator.client("sagemaker", **named(keys, token)).list_training_jobs()["TrainingJobSummaries"]


def named(keys, token):
    return {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": token,
    }


# Chunked bodies: botocore sends them over TLS only, other SDKs always.

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
TRAILED = f"{SIGNED}-TRAILER"
UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CHUNKS = (b"a" * 65536, b"b" * 1024, b"")


def put(desk, body, payload):
    """Send an object whose header says *payload* of its body; return the status."""
    headers = headers_of(desk, payload)
    headers["Authorization"] = authorization(desk, headers, make_claim(desk, headers), payload)
    return desk.wire.send("PUT", "/bucket/key", body, headers)[0]


def headers_of(desk, payload):
    now = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    return {"Host": f"127.0.0.1:{desk.wire.port}", "X-Amz-Date": now, "X-Amz-Content-SHA256": payload}


def make_claim(desk, headers):
    names = tuple(sorted(name.lower() for name in headers))
    day = headers["X-Amz-Date"][:8]
    return Claim(desk.emulator.key.id, day, "us-east-1", "s3", names, "", headers["X-Amz-Date"], None, None)


def authorization(desk, headers, claim, payload):
    request = Request("PUT", "/bucket/key", {name.lower(): text for name, text in headers.items()}, b"", 0)
    canonical = canonical_request(request, claim, payload)
    signature = signature_of(desk.emulator.key, claim, "AWS4-HMAC-SHA256", sha256(canonical).hexdigest())
    names = ";".join(claim.signed_headers)
    return f"AWS4-HMAC-SHA256 Credential={claim.key_id}/{claim.scope}, SignedHeaders={names}, Signature={signature}"


def signature_of(key, claim, algorithm, *lines):
    """A signature by botocore."""
    signer = SigV4Auth(Credentials(key.id, key.secret), claim.service, claim.region)
    request = AWSRequest()
    request.context["timestamp"] = claim.moment
    return signer.signature("\n".join([algorithm, claim.moment, claim.scope, *lines]), request)


def chunked(desk, payload, chunks=CHUNKS, trailers=("x-amz-checksum-crc32:AAAAAA==",), changed=None):
    """Send a chunked object; *changed* may change the body after it is signed. Returns the status."""
    signed, trailed = payload != UNSIGNED, payload != SIGNED
    headers = {
        **headers_of(desk, payload),
        "X-Amz-Decoded-Content-Length": str(sum(len(chunk) for chunk in CHUNKS)),
        "Content-Encoding": "aws-chunked",
    }
    if trailed:
        headers["X-Amz-Trailer"] = "x-amz-checksum-crc32"
    claim = make_claim(desk, headers)
    headers["Authorization"] = authorization(desk, headers, claim, payload)
    previous, body = headers["Authorization"][-64:], b""
    for chunk in chunks:
        line = f"{len(chunk):x}"
        if signed:
            hashes = (sha256(b"").hexdigest(), sha256(chunk).hexdigest())
            previous = signature_of(desk.emulator.key, claim, "AWS4-HMAC-SHA256-PAYLOAD", previous, *hashes)
            line += f";chunk-signature={previous}"
        body += line.encode() + b"\r\n" + chunk + (b"\r\n" if chunk or not trailed else b"")
    if trailed:
        text = "".join(f"{trailer}\n" for trailer in trailers)
        body += text.replace("\n", "\r\n").encode()
        if signed:
            hashed = sha256(text.encode()).hexdigest()
            previous = signature_of(desk.emulator.key, claim, "AWS4-HMAC-SHA256-TRAILER", previous, hashed)
            body += f"x-amz-trailer-signature:{previous}\r\n".encode()
        body += b"\r\n"
    return desk.wire.send("PUT", "/bucket/key", changed(body) if changed else body, headers)[0]


@pytest.mark.parametrize("payload", [SIGNED, TRAILED, UNSIGNED])
def test_chunks_are_put_together(desk, payload):
    """The object is what was sent, without the encoding."""
    assert chunked(desk, payload) == 200
    answer = desk.s3.get_object(Bucket="bucket", Key="key")
    assert answer["Body"].read() == b"".join(CHUNKS)
    assert "aws-chunked" not in answer.get("ContentEncoding", "")


@pytest.mark.parametrize("payload", [SIGNED, TRAILED, UNSIGNED])
@pytest.mark.parametrize(
    "change",
    [
        lambda body: body[:-30],
        lambda body: body[: len(body) // 2],
        lambda body: b"",
        lambda body: b"zz\r\n" + body,
        lambda body: b"-1\r\n" + body,
        lambda body: body.replace(b"\r\n", b"\n"),
        lambda body: body[:70000] + b"x" + body[70000:],
        lambda body: b"1" + body,
    ],
    ids=["end", "half", "all", "no size", "negative", "lines", "more", "larger"],
)
def test_chunks_that_do_not_fit_are_refused(desk, payload, change):
    """Nothing is written of an object that did not arrive whole."""
    if payload == UNSIGNED and chunked(desk, payload, changed=change) == 200:
        # What the client did not sign may be cut behind the last chunk, where only its checksum is.
        assert desk.s3.get_object(Bucket="bucket", Key="key")["Body"].read() == b"".join(CHUNKS)
        return
    assert chunked(desk, payload, changed=change) in (400, 403)
    with pytest.raises(ClientError):
        desk.s3.get_object(Bucket="bucket", Key="key")


@pytest.mark.parametrize("payload", [SIGNED, TRAILED])
@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b"aaaa", b"aaax", 1),
        lambda body: body.replace(b"bbbb", b"bbbx", 1),
        lambda body: re.sub(rb";chunk-signature=\w{64}", b"", body),
        lambda body: re.sub(rb"chunk-signature=\w{4}", b"chunk-signature=0000", body),
        lambda body: body.replace(b"AAAAAA==", b"BAAAAA==") if b"AAAAAA==" in body else body + b"x",
        lambda body: body.replace(b"x-amz-trailer-signature:", b"x-amz-other:") if b"trailer" in body else b"0\r\n\r\n",
    ],
    ids=["first chunk", "second chunk", "no signatures", "signatures", "trailer", "trailer's signature"],
)
def test_signed_chunks_cannot_be_changed(desk, payload, change):
    """Each chunk, and the trailer, has a signature that continues the one before."""
    assert chunked(desk, payload, changed=change) in (400, 403)
    with pytest.raises(ClientError):
        desk.s3.get_object(Bucket="bucket", Key="key")


def test_signed_chunks_cannot_change_places(desk):
    """Nor can one be left out, or the last be missing."""
    pieces = re.compile(rb"(?s)(?:^|(?<=\r\n))[0-9a-f]+;chunk-signature=\w{64}\r\n.*?(?=\r\n)\r\n")
    equal = (b"a" * 33792, b"b" * 32768)

    def swap(body):
        first, second, *rest = pieces.findall(body)
        return second + first + b"".join(rest)

    assert chunked(desk, SIGNED, (*equal, b"")) == 200
    assert chunked(desk, SIGNED, (*equal, b""), changed=swap) == 403
    assert chunked(desk, SIGNED, equal) == 400
    assert chunked(desk, SIGNED, (equal[0], b"")) == 400


@pytest.mark.parametrize("payload", [TRAILED, UNSIGNED])
def test_a_trailer_has_only_what_was_announced(desk, payload):
    """Otherwise it could add headers that nobody signed."""
    trailers = ("x-amz-checksum-crc32:AAAAAA==", "x-amz-copy-source:bucket/other")
    assert chunked(desk, payload, trailers=trailers) == 400


AWS_KEY = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")


@pytest.mark.parametrize(
    ("payload", "more", "seed", "signatures", "trailer"),
    [
        (
            SIGNED,
            {"content-length": "66824"},
            "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
            (
                "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
            ),
            b"\r\n",
        ),
        (
            TRAILED,
            {"x-amz-trailer": "x-amz-checksum-crc32c"},
            "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
            (
                "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
                "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
                "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
            ),
            (
                b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
                b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
            ),
        ),
    ],
    ids=["chunks", "trailer"],
)
def test_the_examples_of_the_manual_are_verified(payload, more, seed, signatures, trailer):
    """Those in "Transferring Payload in Multiple Chunks" and "Including Trailing Headers" (S3 API reference)."""
    chunks = (b"a" * 65536, b"a" * 1024, b"")
    pieces = [
        f"{len(chunk):x};chunk-signature={signature}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
        for chunk, signature in zip(chunks, signatures, strict=True)
    ]
    headers = {
        "host": "s3.amazonaws.com",
        "x-amz-date": "20130524T000000Z",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "x-amz-content-sha256": payload,
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
        **more,
    }
    scope = f"{AWS_KEY.id}/20130524/us-east-1/s3/aws4_request"
    names = ";".join(sorted(headers))
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders={names},Signature={seed}"
    request = Request("PUT", "/examplebucket/chunkObject.txt", headers, b"".join(pieces) + trailer, 80)
    claim = Claim.of(request)
    signer = Signer(claim, AWS_KEY.secret)
    signer.check(request, declared(request, claim))
    result = opened(request, claim, payload, signer)
    assert result.body == b"a" * 66560
    assert ("x-amz-checksum-crc32c" in result.headers) == (payload == TRAILED)
    for one, other in pairwise(pieces):
        changed = Request("PUT", request.target, headers, request.body.replace(one + other, other + one), 80)
        with pytest.raises(BadSignature):
            opened(changed, claim, payload, signer)
