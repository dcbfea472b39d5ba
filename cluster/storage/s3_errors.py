"""What S3 answers and connections fail with: which of it may pass, and what the rest means in words."""

import botocore.exceptions as failures
import urllib3.exceptions

from cluster.errors import ConfigError, WorkError

_ABSENT = ("NoSuchKey", "404", "NotFound")
_NO_RIGHTS = (
    *("AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"),
    *("InvalidToken", "TokenRefreshRequired"),
)
# Answers below 500 that another attempt can change: damage on the way, conflicts of the moment, overload.
_PASSING = (
    *("RequestTimeout", "BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "SlowDown", "Throttling"),
    *("ThrottlingException", "TooManyRequests", "ConditionalRequestConflict", "OperationAborted", "429"),
    *("InternalError", "ServiceUnavailable"),
)
_BROKEN_CONNECTIONS = (
    failures.HTTPClientError,
    failures.ConnectionError,
    failures.IncompleteReadError,
    failures.ResponseStreamingError,
    urllib3.exceptions.HTTPError,
    ConnectionError,
    TimeoutError,
)
NO_CREDENTIALS = (
    *(failures.NoCredentialsError, failures.PartialCredentialsError, failures.CredentialRetrievalError),
    *(failures.UnauthorizedSSOTokenError, failures.TokenRetrievalError),
)


class ConditionError(Exception):
    """The store kept a condition of ours and wrote nothing."""


class RangeError(Exception):
    """The object ends before the part that was asked for."""


class NotSupportedError(WorkError):
    """The store lacks an operation or an option of it."""


def transient(error: Exception) -> str | None:
    """Why another attempt may go better, or None."""
    if isinstance(error, failures.ClientError):
        code, status = _code(error), _status(error)
        return f"{status} {code}" if (status >= 500 and status != 501) or code in _PASSING else None
    if isinstance(error, _BROKEN_CONNECTIONS):
        return (str(error).splitlines() or [""])[0] or type(error).__name__
    return None


def _code(error: failures.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def _status(error: failures.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def in_words(error: failures.ClientError, bucket: str, where: str, operation: str, endpoint: str | None) -> Exception:
    """What to raise for an answer that no repetition changes."""
    code, status = _code(error), _status(error)
    if code == "NoSuchBucket":
        return ConfigError(
            f"root 's3://{bucket}': no such bucket at {endpoint or 'AWS'}; make it, or name another root"
        )
    if code in _ABSENT or code == "NoSuchUpload":
        return FileNotFoundError(where)
    if code == "PreconditionFailed" or status == 412:
        return ConditionError(where)
    if code == "InvalidRange":
        return RangeError(where)
    if code == "NotImplemented" or status == 501:
        return NotSupportedError(f"{where}: the store does not know {operation} as it was asked for")
    if code in _NO_RIGHTS or status in (401, 403):
        return ConfigError(
            f"{where}: {operation} refused ({code}); the credentials of the environment (AWS_ACCESS_KEY_ID, or the "
            "machine's role) need the right to it"
        )
    message = error.response.get("Error", {}).get("Message", "").strip()
    return WorkError(f"{where}: {operation} failed: {code} {message}".rstrip())
