"""An `s3:` root: the same keys and the same result sets as in a folder, kept as objects of a bucket.

name/upload-<id>/...    the files of one writer and their manifest; keys that nobody writes twice
name/COMMIT             JSON: the upload that counts and the SHA-256 of its manifest; put last, if there is none yet

An upload that no commit object names does not exist for readers: `list`, `exists` and `read_bytes` show the files of
the upload that counts as `name/...`, as they stand in a local folder.
"""

import builtins
import contextlib
import json
import os
import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path, PurePosixPath

from cluster.documents import parse_json
from cluster.errors import DataError
from cluster.fingerprint import file_sha256
from cluster.logs import get_logger
from cluster.storage.cache import Cache
from cluster.storage.result_set import COMMIT, MANIFEST, read_result_set
from cluster.storage.s3_bucket import Bucket, Listed
from cluster.storage.s3_errors import NotSupportedError
from cluster.storage.s3_transfer import Wanted, download_files, upload_files
from cluster.storage.storage_config import StorageConfig, parse_s3_uri, s3_uri
from cluster.storage.store import check_key, is_hidden

VERSION = 1
PROBES = ".probe/"
_UPLOAD = re.compile(r"(?P<name>.+?)/(?P<upload>upload-[0-9a-f]{16})/(?P<file>.+)")
_SAID_BYTES = 64 << 20
_AGAIN = "delete the result set and run again"
_logger = get_logger("storage")


@dataclass(frozen=True)
class Commit:
    """What a commit object says."""

    upload: str
    manifest: str
    """SHA-256 of the upload's manifest."""

    def to_bytes(self) -> bytes:
        """As it is stored."""
        return json.dumps({"version": VERSION, "upload": self.upload, "manifest": self.manifest}).encode()


def parse_commit(data: bytes, where: str) -> Commit:
    """Read a commit object; `where` names it in errors.

    Raises:
        DataError: it is none, or another version's.
    """
    try:
        fields = parse_json(data)
        if fields["version"] != VERSION:
            raise DataError(
                f"{where}: version {fields['version']}, this program reads {VERSION}; read it with the program that "
                "wrote it"
            )
        return Commit(_plain(fields["upload"]), _plain(fields["manifest"]))
    except (ValueError, LookupError, TypeError) as error:
        raise DataError(f"{where}: not a commit object ({error!r}); {_AGAIN}") from None


class S3Store:
    """A prefix of a bucket."""

    def __init__(self, uri: str, config: StorageConfig | None = None) -> None:
        self._bucket_name, self._prefix, self._config = parse_s3_uri(uri, config)
        self._base = f"{self._prefix}/" if self._prefix else ""
        self._bucket = Bucket(self._bucket_name, self._config, f"{self._base}{PROBES}")

    @property
    def uri(self) -> str:
        return s3_uri(self._bucket_name, self._prefix, self._config)

    @cached_property
    def _cache(self) -> Cache:
        folder = self._config.cache or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "mixlingual")
        return Cache(Path(folder).expanduser().absolute(), int(self._config.cache_gib * 2**30))

    def where(self, key: str) -> str:
        return self._bucket.where(self._base + key)

    def link(self, key: str) -> str:
        return (self._inside(check_key(key)) or self._base + key).removeprefix(self._base)

    # Objects

    def exists(self, key: str) -> bool:
        return any(
            self._bucket.size(place) is not None or self._bucket.any_below(f"{place}/") for place in self._places(key)
        )

    def read_bytes(self, key: str) -> bytes:
        for place in self._places(key):
            with contextlib.suppress(FileNotFoundError):
                return self._bucket.get(place)
        raise FileNotFoundError(self.where(key))

    def write_bytes(self, key: str, data: bytes) -> None:
        self._bucket.put(self._base + check_key(key), data)

    def create_bytes(self, key: str, data: bytes) -> bool:
        return self._bucket.create(self._base + check_key(key), data)

    def list(self, prefix: str) -> Iterator[str]:
        below = f"{check_key(prefix).rstrip('/')}/" if prefix else ""
        keys = [item.key.removeprefix(self._base) for item in self._bucket.objects(self._base + below)]
        if not keys and prefix and (inside := self._inside(prefix)):
            upload_prefix = inside.removeprefix(self._base)
            found = self._bucket.objects(f"{inside}/")
            keys = [below + item.key.removeprefix(f"{self._base}{upload_prefix}/") for item in found]
        return iter(sorted(key for key in self._visible(keys) if is_hidden(prefix) or not is_hidden(key)))

    def delete(self, key: str) -> None:
        base = self._base + check_key(key)
        keys = [item.key for item in self._bucket.objects(f"{base}/")]
        if self._bucket.size(base) is not None:
            keys.append(base)
        # Commit objects first: a reader never takes what is left for a whole.
        commits = [found for found in keys if PurePosixPath(found).name == COMMIT]
        self._bucket.delete(commits)
        self._bucket.delete(set(keys) - set(commits))

    def _places(self, key: str) -> Iterator[str]:
        """Where the object of a key may be: under the key itself, or in the upload that counts of its result set."""
        yield self._base + check_key(key)
        inside = self._inside(key)
        if inside:
            yield inside

    def _inside(self, key: str) -> str | None:
        """The full key of a result set's file, or None where the key is in no committed set."""
        path = PurePosixPath(key)
        if path.name == COMMIT:
            return None
        for parent in [*path.parents][:-1]:
            with contextlib.suppress(FileNotFoundError):
                upload = self._commit(parent.as_posix()).upload
                return f"{self._base}{parent}/{upload}/{path.relative_to(parent).as_posix()}"
        return None

    def _visible(self, keys: builtins.list[str]) -> Iterator[str]:
        """Keys as a local folder would show them: of uploads the one that counts, without the name of the upload."""
        uploads: dict[str, set[str]] = defaultdict(set)
        for key in keys:
            if match := _UPLOAD.fullmatch(key):
                uploads[match["name"]].add(match["upload"])
        present = set(keys)
        counts = {
            name: self._commit(name).upload if len(found) > 1 else next(iter(found))
            for name, found in uploads.items()
            if f"{name}/{COMMIT}" in present
        }
        for key in keys:
            match = _UPLOAD.fullmatch(key)
            if match is None:
                yield key
            elif counts.get(match["name"]) == match["upload"]:
                yield f"{match['name']}/{match['file']}"

    # Result sets

    def staging_folder(self) -> AbstractContextManager[Path]:
        # Before hours of work: is the bucket there, may we write, does it keep conditions?
        _ = self._bucket.has_conditional_writes
        return self._cache.staging_folder()

    def publish_folder(
        self,
        folder: Path,
        key: str,
        commit_name: str,
        before_commit: Callable[[], None] | None = None,
        replace: bool = False,
    ) -> bool:
        name = check_key(key)
        commit = Commit(f"upload-{uuid.uuid4().hex[:16]}", file_sha256(folder / MANIFEST))
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / commit_name]
        place = f"{self._base}{name}/{commit.upload}/"
        self._say("uploading", name, sum(path.stat().st_size for path in paths))
        try:
            upload_files(
                self._bucket,
                {place + path.relative_to(folder).as_posix(): path for path in paths},
                self._config.part_mib << 20,
                self._config.transfers,
            )
            if before_commit is not None:
                before_commit()
        except BaseException:
            self._drop(place)
            raise
        if replace:
            self._bucket.put(f"{self._base}{name}/{commit_name}", commit.to_bytes())
        elif not self._bucket.create(f"{self._base}{name}/{commit_name}", commit.to_bytes()):
            self._drop(place)
            return False
        self._cache.adopt(commit.manifest, folder)
        return True

    def fetch_folder(self, key: str) -> Path:
        try:
            commit = self._commit(key)
        except FileNotFoundError:
            raise DataError(f"{self.where(key)}: no committed result set; it was never finished") from None
        return self._cache.get(commit.manifest, lambda folder: self._fetch(check_key(key), commit, folder))

    def _fetch(self, name: str, commit: Commit, folder: Path) -> None:
        place = f"{self._base}{name}/{commit.upload}/"
        try:
            (folder / MANIFEST).write_bytes(self._bucket.get(place + MANIFEST))
        except FileNotFoundError:
            raise DataError(f"{self._bucket.where(place + MANIFEST)}: missing; {_AGAIN}") from None
        if file_sha256(folder / MANIFEST) != commit.manifest:
            raise DataError(f"{self._bucket.where(place + MANIFEST)}: does not match its commit object; {_AGAIN}")
        (folder / COMMIT).write_text(commit.manifest, encoding="utf-8")
        files = read_result_set(folder, name, verify=False).files
        self._say("fetching", name, sum(facts["bytes"] for facts in files.values()))
        wanted = [Wanted(place + file, folder / file, facts["bytes"], facts["sha256"]) for file, facts in files.items()]
        download_files(self._bucket, wanted, self._config.part_mib << 20, self._config.transfers)

    def _commit(self, name: str) -> Commit:
        """The commit object of a result set; FileNotFoundError where there is none."""
        key = f"{self._base}{check_key(name)}/{COMMIT}"
        return parse_commit(self._bucket.get(key), self._bucket.where(key))

    def _drop(self, place: str) -> None:
        """Remove an upload that does not count; what cannot be removed now is left to `collect_garbage`."""
        try:
            self._bucket.delete([item.key for item in self._bucket.objects(place)])
        except Exception as error:
            _logger.warning("%s: left over, to be collected later: %s", self._bucket.where(place), error)

    def _say(self, doing: str, name: str, size: int) -> None:
        level = _logger.info if size >= _SAID_BYTES else _logger.debug
        level("%s %s (%.0f MiB)", doing, name, size / 2**20)

    # What was never committed

    def collect_garbage(self, older_than_seconds: float, dry_run: bool = False) -> builtins.list[str]:
        before = self._bucket.now() - timedelta(seconds=older_than_seconds)
        garbage: dict[str, list[str]] = {}
        for place, items in self._uncommitted().items():
            if max(item.modified for item in items) <= before:
                garbage[place] = [item.key for item in items]
        parts = []
        with contextlib.suppress(NotSupportedError):
            parts = [upload for upload in self._bucket.open_uploads(self._base) if upload.begun <= before]
        if not dry_run:
            self._bucket.delete(key for keys in garbage.values() for key in keys)
            for upload in parts:
                self._bucket.abort_upload(upload.key, upload.id)
        return sorted({*garbage, *(upload.key.removeprefix(self._base) for upload in parts)})

    def _uncommitted(self) -> dict[str, builtins.list[Listed]]:
        """The objects of each upload that no commit object names, and of probes."""
        found: dict[str, list[Listed]] = defaultdict(list)
        for item in self._bucket.objects(self._base):
            key = item.key.removeprefix(self._base)
            if match := _UPLOAD.fullmatch(key):
                found[f"{match['name']}/{match['upload']}"].append(item)
            elif key.startswith(PROBES):
                found[key].append(item)
        return {place: items for place, items in found.items() if not self._counts(place)}

    def _counts(self, place: str) -> bool:
        name, _, upload = place.rpartition("/")
        try:
            return self._commit(name).upload == upload
        except FileNotFoundError:
            return False


def _plain(text: str) -> str:
    if not re.fullmatch(r"[0-9a-z-]+", text):
        raise ValueError(f"{text!r} is no name")
    return text
