"""One bucket over HTTP: every request tried again while that can help, every error in words. The door to boto3."""

import base64
import functools
import hashlib
import mimetypes
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import boto3
import botocore.config
import botocore.exceptions as failures
import botocore.loaders
import botocore.session

from cluster.errors import ConfigError, MixlingualError
from cluster.logs import get_logger
from cluster.storage.retries import Retries
from cluster.storage.s3_errors import NO_CREDENTIALS, ConditionError, NotSupportedError, in_words, transient
from cluster.storage.storage_config import StorageConfig

_CHUNK_BYTES = 1 << 20
_KEYS_PER_DELETE = 1000
_logger = get_logger("storage")
# What probes of this process found, by endpoint and bucket.
_conditional_writes: dict[tuple[str | None, str], bool] = {}


@dataclass(frozen=True)
class Listed:
    """An object in a listing."""

    key: str
    bytes: int
    modified: datetime


@dataclass(frozen=True)
class OpenUpload:
    """An upload in parts that was neither finished nor aborted."""

    key: str
    id: str
    begun: datetime


class Bucket:
    """The requests we make of a bucket; safe to use from several threads."""

    def __init__(self, name: str, config: StorageConfig, probe_prefix: str = ".probe/") -> None:
        """Args:
        probe_prefix: below which the probe writes; rights are often given for a part of the bucket only.
        """
        self.name, self._config, self._probe_prefix = name, config, probe_prefix
        self.retries = Retries(deadline_seconds=config.deadline_seconds)
        self._encryption: dict[str, str] = {}
        if config.encryption:
            self._encryption["ServerSideEncryption"] = config.encryption
        if config.kms_key:
            self._encryption["SSEKMSKeyId"] = config.kms_key

    @cached_property
    def _client(self) -> Any:
        core = botocore.session.Session()
        core.register_component("data_loader", _api_descriptions())
        session = boto3.session.Session(botocore_session=core)
        config = self._config
        return session.client(
            "s3",
            endpoint_url=config.endpoint,
            region_name=config.region or session.region_name or "us-east-1",
            config=botocore.config.Config(
                # Retries are ours: botocore's have no deadline, and end where the body of an answer begins.
                retries={"total_max_attempts": 1, "mode": "standard"},
                connect_timeout=10,
                read_timeout=60,
                max_pool_connections=config.transfers + 4,
                # Content-MD5 guards each upload and SHA-256 each file; not every store knows the newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": config.addressing or ("path" if config.endpoint else "auto")},
            ),
        )

    def where(self, key: str) -> str:
        """The object, in words."""
        return f"s3://{self.name}/{key}"

    def size(self, key: str) -> int | None:
        """Bytes of an object, or None where there is none."""
        try:
            return int(self._call("head_object", key)["ContentLength"])
        except FileNotFoundError:
            return None

    def get(self, key: str) -> bytes:
        """The bytes of an object; FileNotFoundError where there is none."""
        body = self._tried(lambda: self._client.get_object(Bucket=self.name, Key=key)["Body"].read(), "get_object", key)
        return bytes(body)

    def get_part(self, key: str, offset: int, length: int, handle: int) -> int:
        """Write `length` bytes of an object, from `offset` on, to the same place of an open file.

        Returns:
            The size of the whole object.
        """

        def attempt() -> int:
            span = f"bytes={offset}-{offset + length - 1}"
            answer = self._client.get_object(Bucket=self.name, Key=key, Range=span)
            place = offset
            for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
                os.pwrite(handle, chunk, place)
                place += len(chunk)
            total = answer.get("ContentRange", "").rpartition("/")[2]
            return int(total) if total.isdigit() else int(answer["ContentLength"])

        return int(self._tried(attempt, "get_object", key))

    def put(self, key: str, body: bytes) -> None:
        """Write an object, over the one that may be there."""
        self._put(key, body)

    def _put(self, key: str, body: bytes, **condition: str) -> None:
        kind = mimetypes.guess_type(key)[0] or "binary/octet-stream"  # a browser shows pages that say what they are
        more = condition | self._encryption
        self._call("put_object", key, Body=body, ContentMD5=_md5(body), ContentType=kind, **more)

    def create(self, key: str, body: bytes) -> bool:
        """Write an object where there is none.

        Args:
            body: with something in it that only this writer writes: when an answer is lost, that tells who won.

        Returns:
            False where another object stands. Without conditional writes in the store two writers at the same moment
            can both be told True, of which the later one's object stays.
        """
        if not self.has_conditional_writes:
            if self.size(key) is not None:
                return False
            self.put(key, body)
            return self.get(key) == body
        try:
            self._put(key, body, IfNoneMatch="*")
        except ConditionError:
            return self.get(key) == body  # our own, of an attempt whose answer was lost
        return True

    @property
    def has_conditional_writes(self) -> bool:
        """Whether the store keeps `If-None-Match: *`, found by trying; a warning says once what is lost where not."""
        place = (self._config.endpoint, self.name)
        if place not in _conditional_writes:
            _conditional_writes[place] = self._probe_conditional_writes()
            if not _conditional_writes[place]:
                _logger.warning(
                    "s3://%s at %s ignores conditional writes (If-None-Match): of two writers of the same result at "
                    "the same moment both may be told that theirs counts, and two may get the same lease; what is read "
                    "is still whole and checked. Start no work twice at once, or use a store that has them",
                    self.name,
                    self._config.endpoint or "AWS",
                )
        return _conditional_writes[place]

    def _probe_conditional_writes(self) -> bool:
        key = f"{self._probe_prefix}{uuid.uuid4().hex}"
        self.put(key, b"first")
        try:
            self._put(key, b"second", IfNoneMatch="*")
        except ConditionError:
            return True
        except NotSupportedError:
            return False
        finally:
            self.delete([key])
        return False

    def objects(self, prefix: str) -> Iterator[Listed]:
        """Objects whose keys begin with a prefix, sorted by key."""
        extra: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", None, Prefix=prefix, **extra)
            for item in page.get("Contents", ()):
                yield Listed(item["Key"], int(item["Size"]), item["LastModified"])
            if not page.get("IsTruncated"):
                return
            extra = {"ContinuationToken": page["NextContinuationToken"]}

    def any_below(self, prefix: str) -> bool:
        """Whether an object's key begins with a prefix."""
        return bool(self._call("list_objects_v2", None, Prefix=prefix, MaxKeys=1).get("Contents"))

    def now(self) -> datetime:
        """The time by the clock that dates the objects, to the second, rounded up; this machine's may have jumped."""
        answer = self._call("list_objects_v2", None, Prefix=self._probe_prefix, MaxKeys=1)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]) + timedelta(seconds=1)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there count as removed."""
        left = list(keys)
        for first in range(0, len(left), _KEYS_PER_DELETE):
            self._delete(left[first : first + _KEYS_PER_DELETE])

    def _delete(self, keys: Sequence[str]) -> None:
        named = {"Objects": [{"Key": key} for key in keys], "Quiet": True}

        def attempt() -> None:
            for failed in self._client.delete_objects(Bucket=self.name, Delete=named).get("Errors", ()):
                # Of many keys some can fail; the request is repeated as it would be had it failed as a whole.
                raise failures.ClientError(
                    {"Error": failed, "ResponseMetadata": {"HTTPStatusCode": 0}}, "DeleteObjects"
                )

        self._tried(attempt, "delete_objects", keys[0])

    # Multipart uploads

    def start_upload(self, key: str) -> str:
        """Begin an upload in parts; its id."""
        return str(self._call("create_multipart_upload", key, **self._encryption)["UploadId"])

    def put_part(self, key: str, upload: str, number: int, body: bytes) -> str:
        """Upload part `number` (from 1); its ETag."""
        answer = self._call("upload_part", key, UploadId=upload, PartNumber=number, Body=body, ContentMD5=_md5(body))
        return str(answer["ETag"])

    def finish_upload(self, key: str, upload: str, etags: list[str], size: int) -> None:
        """Make the object of its parts."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]

        def attempt() -> None:
            try:
                self._client.complete_multipart_upload(
                    Bucket=self.name, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
                )
            except failures.ClientError:
                # An earlier attempt may have done it and its answer been lost; keys of uploads are never used twice.
                if self.size(key) != size:
                    raise

        self._tried(attempt, "complete_multipart_upload", key)

    def abort_upload(self, key: str, upload: str) -> None:
        """Drop the parts of an upload; nothing happens where it is gone."""
        try:
            self._call("abort_multipart_upload", key, UploadId=upload)
        except (FileNotFoundError, MixlingualError) as error:
            _logger.debug("%s: upload not aborted: %s", self.where(key), error)

    def open_uploads(self, prefix: str) -> Iterator[OpenUpload]:
        """The uploads in parts that are open below a prefix."""
        extra: dict[str, str] = {}
        while True:
            try:
                page = self._call("list_multipart_uploads", None, Prefix=prefix, **extra)
            except FileNotFoundError:  # what rclone says where there are none
                return
            for item in page.get("Uploads", ()):
                yield OpenUpload(item["Key"], item["UploadId"], item["Initiated"])
            if not page.get("IsTruncated"):
                return
            extra = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    # Attempts and errors

    def _call(self, operation: str, key: str | None, **arguments: Any) -> Any:
        named = {"Bucket": self.name} | ({"Key": key} if key is not None else {})
        return self._tried(lambda: getattr(self._client, operation)(**named, **arguments), operation, key)

    def _tried(self, attempt: Any, operation: str, key: str | None) -> Any:
        where = self.where(key or "")
        try:
            return self.retries.call(attempt, transient, f"{where}: {operation}")
        except failures.ClientError as error:
            raise in_words(error, self.name, where, operation, self._config.endpoint) from None
        except NO_CREDENTIALS as error:
            raise ConfigError(
                f"{where}: no credentials ({error}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the "
                "environment, or give this machine a role"
            ) from None
        except failures.BotoCoreError as error:
            raise ConfigError(f"{where}: {error}; check storage.endpoint and storage.region") from None


@functools.cache
def _api_descriptions() -> Any:
    """Shared by all clients of a process: reading them is most of what a client costs."""
    return botocore.loaders.create_loader()


def _md5(body: bytes) -> str:
    """Content-MD5: the one checksum of an upload that every S3 store checks."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
