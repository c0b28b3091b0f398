"""AWS's published examples, botocore's own signer, and every single change of what it signed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from unittest import mock
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from supervisor.api import sigv4
from supervisor.errors import (
    AuthenticationError,
    IncompleteSignatureError,
    InvalidSignatureError,
    MissingAuthenticationTokenError,
    UnrecognizedClientError,
)

KEY_ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = dt.datetime(2015, 8, 30, 12, 36, 0, tzinfo=dt.UTC)
TARGET = "AmazonEC2ContainerServiceV20141113.StopTask"


def verify(request: sigv4.Request, now: dt.datetime = NOW, service: str = "ecs", region: str = "local") -> str:
    secrets = {KEY_ID: SECRET}
    return sigv4.verify(request, secrets.get, region=region, service=service, now=now.timestamp())


def signed(
    *,
    method: str = "POST",
    url: str = "http://127.0.0.1:51680/",
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    credentials: Credentials | None = None,
    service: str = "ecs",
    region: str = "local",
) -> sigv4.Request:
    """What botocore would send."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET} | (headers or {})
    request = AWSRequest(method, url, headers, body, params or {})
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        signer = botocore.auth.SigV4Auth(credentials or Credentials(KEY_ID, SECRET), service, region)
        signer.add_auth(request)
    prepared = request.prepare()
    path, _, query = prepared.url.split("/", 3)[3].partition("?")
    sent = {"host": url.split("/")[2], **prepared.headers}
    pairs = [(str(name).lower().encode(), _bytes(value)) for name, value in sent.items()]
    return sigv4.Request(method, f"/{path}", query, pairs, body)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def with_header(request: sigv4.Request, name: str, value: bytes | None) -> sigv4.Request:
    headers = [(key, old) for key, old in request.headers if key != name.encode()]
    return request._replace(headers=headers if value is None else [*headers, (name.encode(), value)])


# -- AWS's examples: https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-test-suite.html --


@pytest.mark.parametrize(
    "example",
    [
        ("GET", "/", "", [], b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", "", [], b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET",
            "/",
            "Param2=value2&Param1=value1",
            [],
            b"",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "GET",
            "/",
            "",
            [(b"my-header1", b" value1"), (b"my-header2", b' "a   b   c"')],
            b"",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "POST",
            "/",
            "",
            [(b"content-type", b"application/x-www-form-urlencoded")],
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        ("GET", "/./example/..//", "", [], b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ],
    ids=["get", "post", "query-order", "header-trim", "form", "dot-segments"],
)
def test_the_published_examples(example: tuple[str, str, str, list[tuple[bytes, bytes]], bytes, str]) -> None:
    method, path, query, headers, body, signature = example
    headers = [(b"host", b"example.amazonaws.com"), (b"x-amz-date", b"20150830T123600Z"), *headers]
    names = ";".join(sorted(name.decode() for name, _ in headers))
    header = (
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    request = sigv4.Request(method, path, query, [*headers, (b"authorization", header.encode())], body)
    assert verify(request, service="service", region="us-east-1") == KEY_ID


# -- botocore --

TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
WORD = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAME = st.from_regex(r"\A[a-z][a-z0-9-]{0,10}\Z").filter(
    lambda name: name not in {"host", "connection", "date", "expect", "authorization", "content-length", "user-agent"}
)


@given(st.data())
def test_whatever_botocore_signs_verifies(data: st.DataObject) -> None:
    method = data.draw(st.sampled_from(["GET", "POST"]))
    path = data.draw(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="?#"), max_size=15))
    params = data.draw(st.dictionaries(WORD, WORD, max_size=4))
    headers = data.draw(st.dictionaries(NAME, TEXT.map(lambda text: f" {text}  {text} "), max_size=4))
    body = data.draw(st.binary(max_size=100))
    has_token = data.draw(st.booleans())
    credentials = Credentials(KEY_ID, SECRET, "a-session-token" if has_token else None)
    url = "http://127.0.0.1:51680/" + quote(path)
    assert (
        verify(signed(method=method, url=url, body=body, headers=headers, params=params, credentials=credentials))
        == KEY_ID
    )


QUERY = {"cluster": "default", "task": "a b"}
CHANGES: dict[str, Callable[[sigv4.Request], sigv4.Request]] = {
    "method": lambda request: request._replace(method="GET"),
    "path": lambda request: request._replace(path=request.path + "x"),
    "query value": lambda request: request._replace(query=request.query.replace("default", "defaulu")),
    "query name": lambda request: request._replace(query=request.query.replace("cluster", "clustes")),
    "query added": lambda request: request._replace(query=request.query + "&a="),
    "query gone": lambda request: request._replace(query=""),
    "body": lambda request: request._replace(body=request.body + b" "),
    "no body": lambda request: request._replace(body=b""),
    "operation": lambda request: with_header(request, "x-amz-target", TARGET.replace("Stop", "Run").encode()),
    "no operation": lambda request: with_header(request, "x-amz-target", None),
    "second operation": lambda request: request._replace(headers=[*request.headers, (b"x-amz-target", b"x")]),
    "host": lambda request: with_header(request, "host", b"example.com"),
    "content type": lambda request: with_header(request, "content-type", b"text/plain"),
    "date": lambda request: with_header(request, "x-amz-date", b"20150830T123601Z"),
    "unsigned header of ours": lambda request: with_header(request, "x-supervisor-stop-timeout", b"0"),
    "unsigned amz header": lambda request: with_header(request, "x-amz-new", b"1"),
    "no date": lambda request: with_header(request, "x-amz-date", None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_single_change_does_not(change: str) -> None:
    request = signed(url="http://127.0.0.1:51680/v1/tasks", params=QUERY)
    assert verify(request) == KEY_ID
    with pytest.raises(AuthenticationError):
        verify(CHANGES[change](request))


@given(st.integers(min_value=0), st.binary(min_size=1, max_size=1))
def test_no_byte_of_the_authorization_can_change(where: int, byte: bytes) -> None:
    request = signed()
    header = dict(request.headers)[b"authorization"]
    at = where % len(header)
    changed = header[:at] + byte + header[at + 1 :]
    if b" ".join(changed.split()).replace(b", ", b",") == header.replace(b", ", b","):
        return  # white space between its parts means nothing
    with pytest.raises(AuthenticationError):
        verify(with_header(request, "authorization", changed))


def test_a_claimed_hash_of_the_body_is_not_believed() -> None:
    with pytest.raises(InvalidSignatureError):
        verify(signed(headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}))


# -- words that the SDKs and people know --


def refusal(kind: type[AuthenticationError], request: sigv4.Request, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        verify(request, **options)
    assert caught.value.http_status == 400
    assert caught.value.code == kind.__name__.replace("Error", "Exception")
    return str(caught.value)


def test_who_it_is() -> None:
    unsigned = with_header(signed(), "authorization", None)
    assert refusal(MissingAuthenticationTokenError, unsigned) == "Missing Authentication Token"
    stranger = signed(credentials=Credentials("AKIDOTHER", SECRET))
    assert refusal(UnrecognizedClientError, stranger) == "The security token included in the request is invalid."
    forged = signed(credentials=Credentials(KEY_ID, SECRET + "x"))
    assert refusal(InvalidSignatureError, forged).startswith(
        "The request signature we calculated does not match the signature you provided."
    )


def test_five_minutes_either_way() -> None:
    request, minutes, second = signed(), dt.timedelta(minutes=5), dt.timedelta(seconds=1)
    assert verify(request, NOW + minutes) == verify(request, NOW - minutes) == KEY_ID
    assert refusal(InvalidSignatureError, request, now=NOW + minutes + second) == (
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
    )
    assert refusal(InvalidSignatureError, request, now=NOW - minutes - second) == (
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)"
    )


def test_the_scope() -> None:
    assert refusal(InvalidSignatureError, signed(service="sts")) == (
        "Credential should be scoped to correct service: 'ecs'."
    )
    assert refusal(InvalidSignatureError, signed(region="eu-west-1")) == (
        "Credential should be scoped to a valid region: 'local', not 'eu-west-1'."
    )
    assert "does not match YYYYMMDD" in refusal(
        InvalidSignatureError, with_authorization(signed(), "/20150830/", "/20150829/")
    )
    assert "valid terminator: 'aws4_request', not 'aws5'" in refusal(
        InvalidSignatureError, with_authorization(signed(), "aws4_request", "aws5")
    )


def with_authorization(request: sigv4.Request, old: str, new: str) -> sigv4.Request:
    header = dict(request.headers)[b"authorization"]
    assert old.encode() in header
    return with_header(request, "authorization", header.replace(old.encode(), new.encode()))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("AWS4-HMAC-SHA256 ", "Basic ", "Authorization header must begin with 'AWS4-HMAC-SHA256'."),
        (f"Credential={KEY_ID}", "", "is not a valid key=value pair"),
        ("Credential=", "Credentials=", "Authorization header requires 'Credential' parameter."),
        (", Signature=", ",Sig=", "Authorization header requires 'Signature' parameter."),
        ("/local/", "/", "Credential must have exactly 5 slash-delimited elements"),
        (";host;", ";", "'host' must be a 'SignedHeader' in the AWS Authorization."),
        (";x-amz-target", "", "'x-amz-target' must be a 'SignedHeader' in the AWS Authorization."),
        ("content-type;host", "host;content-type", "'SignedHeaders' must be in lower case, sorted"),
        ("content-type;host", "content-type;host;host", "'SignedHeaders' must be in lower case, sorted"),
        ("content-type;host", "Content-Type;host", "'SignedHeaders' must be in lower case, sorted"),
    ],
)
def test_what_is_not_signed_as_aws_signs(old: str, new: str, words: str) -> None:
    assert words in refusal(IncompleteSignatureError, with_authorization(signed(), old, new))


@pytest.mark.parametrize("date", [b"yesterday", b"20150830T996000Z", b"2015-08-30T12:36:00Z", "٢".encode()])
def test_a_date_that_is_none(date: bytes) -> None:
    assert "ISO-8601 'basic format'" in refusal(IncompleteSignatureError, with_header(signed(), "x-amz-date", date))
