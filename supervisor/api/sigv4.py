"""Signature version 4 of AWS, from the verifying side: a request and what is known of keys in, a key or a refusal out.

The canonical request is AWS's for every service but S3: the path without dot segments and encoded once more, the query
decoded, encoded and sorted, header values trimmed, and always the hash of the body that came (what
``x-amz-content-sha256`` claims is one more signed header).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from supervisor.errors import (
    IncompleteSignatureError,
    InvalidSignatureError,
    MissingAuthenticationTokenError,
    UnrecognizedClientError,
)

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
SKEW = 300
"""Seconds that the clock of who signs may be off."""

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)

_INSTANT = "%Y%m%dT%H%M%SZ"
_INSTANT_PATTERN = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_UNKNOWN_SECRET = "unknown"  # noqa: S105  not a secret: what the signature of an unknown key is computed with


class Request(NamedTuple):
    """A request as it came over the wire."""

    method: str
    path: str
    """As sent: percent-encoded, without the query."""
    query: str
    headers: Sequence[tuple[bytes, bytes]]
    """Names in lower case."""
    body: bytes

    def header(self, name: str) -> str | None:
        """The value as it is signed: trimmed, inner spaces one, several of one name joined; None without any."""
        values = [b" ".join(value.split()) for key, value in self.headers if key == name.encode("latin-1")]
        return b",".join(values).decode("latin-1") if values else None


class Claim(NamedTuple):
    """What the ``Authorization`` header says."""

    key_id: str
    date: str
    region: str
    service: str
    terminator: str
    signed_headers: list[str]
    signature: str
    instant: str
    """``x-amz-date``."""

    @property
    def scope(self) -> str:
        """What the signing key is good for."""
        return f"{self.date}/{self.region}/{self.service}/{self.terminator}"


def verify(request: Request, find_secret: Callable[[str], str | None], *, region: str, service: str, now: float) -> str:
    """The access key id that signed the request. Raises one of `supervisor.errors.AuthenticationError`."""
    claim = _read_claim(request)
    secret = find_secret(claim.key_id)
    expected = sign(request, claim, _UNKNOWN_SECRET if secret is None else secret)
    if secret is None:
        raise UnrecognizedClientError
    _check_scope(claim, region, service)
    _check_instant(claim, now)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise InvalidSignatureError(MISMATCH)
    return claim.key_id


def sign(request: Request, claim: Claim, secret: str) -> str:
    """The signature that the holder of the secret would give to this request with this claim."""
    hashed = hashlib.sha256(canonical(request, claim.signed_headers).encode("latin-1")).hexdigest()
    text = f"{ALGORITHM}\n{claim.instant}\n{claim.scope}\n{hashed}"
    key = f"AWS4{secret}".encode()
    for part in (claim.date, claim.region, claim.service, claim.terminator, text):
        key = hmac.digest(key, part.encode("latin-1"), "sha256")
    return key.hex()


def canonical(request: Request, signed_headers: Sequence[str]) -> str:
    """The canonical request: the one text that all spellings of the same request have."""
    headers = [f"{name}:{request.header(name) or ''}" for name in signed_headers]
    return "\n".join(
        (
            request.method,
            _canonical_path(request.path),
            _canonical_query(request.query),
            *headers,
            "",
            ";".join(signed_headers),
            hashlib.sha256(request.body).hexdigest(),
        )
    )


def _canonical_path(path: str) -> str:
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    last = "/" if path.endswith("/") and segments else ""
    return quote("/" + "/".join(segments) + last, safe="/~", encoding="latin-1")


def _canonical_query(query: str) -> str:
    pairs = [item.partition("=") for item in query.split("&") if item]
    return "&".join(
        f"{name}={value}" for name, value in sorted((_recoded(name), _recoded(value)) for name, _, value in pairs)
    )


def _recoded(text: str) -> str:
    # A plus sign is how forms, and botocore, send the space that they sign as %20.
    return quote(unquote_to_bytes(text.replace("+", " ").encode("latin-1")), safe="-_.~")


def _read_claim(request: Request) -> Claim:
    header = request.header("authorization")
    if header is None:
        raise MissingAuthenticationTokenError
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise IncompleteSignatureError(f"Authorization header must begin with '{ALGORITHM}'.")
    parts: dict[str, str] = {}
    for item in rest.split(","):
        name, equals, value = item.strip(" ").partition("=")
        if not equals:
            raise IncompleteSignatureError(
                "Authorization header has a part that is not a valid key=value pair (missing equal-sign)."
            )
        parts[name] = value
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not parts.get(name)]
    if missing:
        raise IncompleteSignatureError(
            " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
        )
    instant = request.header("x-amz-date")
    if instant is None:
        raise IncompleteSignatureError("Authorization header requires existence of a 'X-Amz-Date' header.")
    scope = parts["Credential"].split("/")
    if len(scope) != 5:
        raise IncompleteSignatureError(
            f"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got {len(scope)}."
        )
    signed_headers = parts["SignedHeaders"].split(";")
    _check_signed_headers(request, signed_headers)
    key_id, date, region, service, terminator = scope
    return Claim(key_id, date, region, service, terminator, signed_headers, parts["Signature"], instant)


def _check_signed_headers(request: Request, signed_headers: list[str]) -> None:
    if signed_headers != sorted({name.lower() for name in signed_headers}):
        raise IncompleteSignatureError("'SignedHeaders' must be in lower case, sorted, and name each header once.")
    sent = {name.decode("latin-1") for name, _ in request.headers}
    needed = {"host", *(name for name in sent if name.startswith(("x-amz-", "x-supervisor-")))}
    unsigned = sorted(needed - set(signed_headers))
    if unsigned:
        raise IncompleteSignatureError(f"'{unsigned[0]}' must be a 'SignedHeader' in the AWS Authorization.")


def _check_scope(claim: Claim, region: str, service: str) -> None:
    if claim.terminator != TERMINATOR:
        raise InvalidSignatureError(
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{claim.terminator}'."
        )
    if claim.service != service:
        raise InvalidSignatureError(f"Credential should be scoped to correct service: '{service}'.")
    if claim.region != region:
        raise InvalidSignatureError(f"Credential should be scoped to a valid region: '{region}', not '{claim.region}'.")


def _check_instant(claim: Claim, now: float) -> None:
    signed = _parse_instant(claim.instant)
    if claim.date != claim.instant[:8]:
        raise InvalidSignatureError(
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.date}' != '{claim.instant[:8]}', from '{claim.instant}'."
        )
    if signed < now - SKEW:
        raise InvalidSignatureError(
            f"Signature expired: {claim.instant} is now earlier than {_show(now - SKEW)} ({_show(now)} - 5 min.)"
        )
    if signed > now + SKEW:
        raise InvalidSignatureError(
            f"Signature not yet current: {claim.instant} is still later than {_show(now + SKEW)} "
            f"({_show(now)} + 5 min.)"
        )


def _parse_instant(text: str) -> float:
    try:
        if _INSTANT_PATTERN.fullmatch(text):
            return dt.datetime.strptime(text, _INSTANT).replace(tzinfo=dt.UTC).timestamp()
    except ValueError:
        pass
    raise IncompleteSignatureError(
        f"Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601"
    )


def _show(instant: float) -> str:
    return dt.datetime.fromtimestamp(instant, dt.UTC).strftime(_INSTANT)
