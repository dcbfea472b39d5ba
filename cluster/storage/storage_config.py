"""How an object store is spoken to. Credentials are no part of it: they come from the environment or the platform."""

import os
import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from pydantic import Field, model_validator

from cluster.config import Config, build_config
from cluster.errors import ConfigError

_ENVIRONMENT = "MIXLINGUAL_STORAGE_"
_OF_ONE_MACHINE = ("cache", "cache_gib")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class StorageConfig(Config):
    """Settings of `s3:` roots. Each can also be set as `MIXLINGUAL_STORAGE_<FIELD>`, or in the URI: `s3://b/p?field=x`."""

    endpoint: str | None = None
    """URL of an S3-compatible store; AWS where not given. `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL` work too."""

    region: str | None = None
    """Region of the bucket; where not given, what `AWS_REGION` or the platform says."""

    addressing: Literal["path", "virtual"] | None = None
    """Bucket in the path (`host/bucket/key`) or in the host name; where not given, `path` with an endpoint."""

    encryption: Literal["AES256", "aws:kms"] | None = None
    """Server-side encryption asked for with every upload; where not given, what the bucket does by default."""

    kms_key: str | None = None
    """Key id or ARN for `encryption: aws:kms`; the account's own key where not given."""

    part_mib: int = Field(default=8, ge=5, le=1024)
    """Size of a part: larger files go up and come down in parts, `transfers` at a time. Memory: their product."""

    transfers: int = Field(default=8, ge=1, le=64)
    """Requests under way at once in one upload or download."""

    deadline_seconds: float = Field(default=120.0, gt=0)
    """How long one request is tried again before the work fails."""

    cache: str | None = None
    """Local folder for what is fetched and staged; where not given, `mixlingual` in the user's cache folder."""

    cache_gib: float = Field(default=64.0, gt=0)
    """Above this, what has not been used for longest is dropped from the cache; what is in use stays."""

    @model_validator(mode="after")
    def _check(self) -> "StorageConfig":
        if self.kms_key and self.encryption != "aws:kms":
            raise ValueError("kms_key needs encryption: aws:kms")
        if self.endpoint and not re.fullmatch(r"https?://[^/@\s]+/?", self.endpoint):
            raise ValueError(f"endpoint must be http(s)://host[:port], found '{self.endpoint}'")
        return self


def parse_s3_uri(uri: str, given: StorageConfig | None = None) -> tuple[str, str, StorageConfig]:
    """Bucket, prefix (without slashes at its ends) and settings of `s3://bucket/prefix?field=value`.

    What the URI says counts most, then `given`, then the environment.

    Raises:
        ConfigError: the URI names no bucket, holds credentials, or has a field that is none.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:  # brackets of an IPv6 address
        raise ConfigError(f"root: no s3://bucket/prefix ({error})") from None
    shown = f"root 's3://{parts.netloc.rpartition('@')[2]}{parts.path}'"
    if "@" in parts.netloc:
        raise ConfigError(f"{shown}: holds credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead")
    if not _BUCKET.fullmatch(parts.netloc):
        raise ConfigError(f"{shown}: '{parts.netloc}' is no bucket name; use s3://bucket/prefix")
    prefix = parts.path.strip("/")
    if ".." in prefix.split("/") or "//" in prefix or parts.fragment:
        raise ConfigError(f"{shown}: the prefix must be plain names joined by '/'")
    fields = from_environment() | (given.model_dump(exclude_unset=True) if given else {})
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return parts.netloc, prefix, build_config(StorageConfig, fields | query, where=shown)


def s3_uri(bucket: str, prefix: str, config: StorageConfig) -> str:
    """The URI that opens the same store with the same settings in another process, on another machine."""
    fields = config.model_dump(exclude_defaults=True, exclude=set(_OF_ONE_MACHINE))
    query = f"?{urlencode(fields, quote_via=quote, safe=':/')}" if fields else ""
    return f"s3://{bucket}/{prefix}".rstrip("/") + query


def from_environment(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Fields that the environment sets."""
    fields = {
        name: environment[_ENVIRONMENT + name.upper()]
        for name in StorageConfig.model_fields
        if environment.get(_ENVIRONMENT + name.upper())
    }
    # Read here, so that the store's URI carries the endpoint to machines with another environment.
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    return ({"endpoint": endpoint} if endpoint else {}) | fields
