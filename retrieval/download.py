"""Published files into a folder: resumed where an earlier attempt ended, checked, never half there under their name.

A file grows as `<name>.part` and gets its name when it is whole and its SHA-256 is right. Beside the part stands the
server's tag of what is being sent, so that the rest of another file is never put behind it. Only HTTPS, also after a
redirection; plain HTTP from this machine itself only.
"""

import http.client
import ipaddress
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from cluster.config import Config
from cluster.errors import DataError, WorkError
from cluster.fingerprint import file_sha256
from cluster.logs import get_logger, progress
from retrieval.datasets import require_inputs
from retrieval.datasets.origins import ORIGINS, Origin, RemoteFile
from retrieval.formats.archives import ARCHIVE_ERRORS
from retrieval.language_codes import canonical_code

MAX_UNPACKED_BYTES = 8 << 30
_ATTEMPTS = 5
_TIMEOUT_SECONDS = 60
_CHUNK_BYTES = 1 << 20
_SHOWN = 12
_UNFINISHED = ".download-unfinished"
log = get_logger("download")


def download_missing(configs: Sequence[Config], *, accept_terms: bool = False) -> list[Path]:
    """Fetch what data sets read and what is not there, each into the `path` of its configuration.

    Data sets without a published origin (your own files, built-in ones) are passed over. All are looked at before the
    first byte is fetched.

    Returns:
        The folders that something was fetched into.

    Raises:
        DataError, WorkError: see `download`.
    """
    wanted = [config for config in configs if getattr(config, "dataset", None) in ORIGINS and _is_missing(config)]
    for config in wanted:
        _origin(_name_of(config), accept_terms)
    # Asked again, for two of them may read the same files.
    return [download(config, accept_terms=accept_terms) for config in wanted if _is_missing(config)]


def _is_missing(config: Config) -> bool:
    """Whether a file that the configuration reads is not there, or an earlier download did not come to its end."""
    if (config.path / _UNFINISHED).exists():  # type: ignore[attr-defined]
        return True
    try:
        require_inputs(config)
    except DataError:
        return True
    return False


def download(dataset_config: Config, folder: Path | None = None, *, accept_terms: bool = False) -> Path:
    """Fetch the files of a data set that its configuration reads; what is already there is not fetched again.

    Args:
        dataset_config: names the data set and, where it has a choice, the languages.
        folder: the cache; the data set gets a folder of its own in it. None = the configuration's `path`.
        accept_terms: a person has read and accepted the data set's terms.

    Returns:
        The data set's folder, to be set as the configuration's `path`.

    Raises:
        DataError: the data set cannot be fetched by us, or a person has to accept terms first; what to do is said.
        WorkError: a server does not answer, or sends something else; what came so far is kept for the next attempt.
    """
    name = _name_of(dataset_config)
    origin = _origin(name, accept_terms)
    target: Path = folder / name if folder is not None else dataset_config.path  # type: ignore[attr-defined]
    files = _wanted(name, origin, getattr(dataset_config, "languages", None))
    log.info("%s: %s, licence %s, %d files into %s", name, origin.version, origin.licence, len(files), target)
    target.mkdir(parents=True, exist_ok=True)
    unfinished = target / _UNFINISHED
    unfinished.touch()
    for file in progress(files, f"fetching {name}", total=len(files), unit="file"):
        fetch(file, target)
    unfinished.unlink()
    return target


def _name_of(config: Config) -> str:
    return str(getattr(config, "dataset", ""))


def _origin(name: str, accept_terms: bool) -> Origin:
    if name not in ORIGINS:
        raise DataError(f"{name}: cannot be downloaded; data sets that can: {', '.join(ORIGINS)}")
    origin = ORIGINS[name]()
    if origin.by_hand:
        raise DataError(f"{name}: we may not or cannot fetch it for you; {origin.by_hand}; then set its path")
    if origin.terms and not accept_terms:
        raise DataError(
            f"{name}: a person has to accept its terms first: {origin.terms}; read them, then pass --accept-terms"
        )
    return origin


def _wanted(name: str, origin: Origin, languages: tuple[str, ...] | None) -> list[RemoteFile]:
    code_of = {file.language: canonical_code(file.language) for file in origin.files if file.language}
    missing = [language for language in languages or () if language != "en" and language not in code_of.values()]
    if missing and code_of:
        known = ", ".join(sorted(code_of.values()))
        raise DataError(f"{name}: cannot download language '{missing[0]}'; those whose content is known: {known}")
    return [file for file in origin.files if not (languages and file.language) or code_of[file.language] in languages]


def fetch(file: RemoteFile, folder: Path) -> Path:
    """Fetch one file into a folder, and unpack it there if it is an archive.

    Raises:
        WorkError: see `download`.
    """
    path = folder / file.path
    if path.is_file() and (not file.sha256 or file_sha256(path) == file.sha256):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part, tag = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.tag")
    for attempt in range(_ATTEMPTS):
        try:
            _receive(file.url, part, tag)
            break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if _is_final(error) or attempt + 1 == _ATTEMPTS:
                raise WorkError(f"{file.url}: {_why(error)}; what came so far is kept, run again to go on") from None
            log.warning("%s: %s; trying again", file.url, _why(error))
            time.sleep(min(8, 2**attempt) / 4)
    _check(file, part, tag)
    if file.unpack:
        unpack(part, file, folder)
    part.replace(path)
    tag.unlink(missing_ok=True)
    return path


def _receive(url: str, part: Path, tag: Path) -> None:
    """Append what is missing of the file to `part`, or begin anew where the server has another file by now."""
    start, known = (part.stat().st_size, tag.read_text("utf-8")) if part.exists() and tag.exists() else (0, "")
    request = urllib.request.Request(url, headers={"User-Agent": "mixlingual", "Accept-Encoding": "identity"})
    if start and known:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", known)
    try:
        response = _opener(url).open(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        # 416: nothing is missing any more. The check that follows finds out whether that is so.
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            return
        raise
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise http.client.HTTPException(f"sent {response.headers.get('Content-Range')}, asked for bytes {start}-")
        etag = response.headers.get("ETag", "")
        tag.write_text("" if etag.startswith("W/") else etag, "utf-8")
        with part.open("ab" if resumed else "wb") as sink:
            _copy(response, sink)


def _copy(response: Any, sink: IO[bytes]) -> None:
    """Copy a response's body; one that ends before its length raises, after what came has been written."""
    expected = response.headers.get("Content-Length")
    received = 0
    while chunk := response.read1(_CHUNK_BYTES):
        received += len(chunk)
        sink.write(chunk)
    if expected is not None and received != int(expected):
        raise http.client.HTTPException(f"the connection ended after {received} of {expected} bytes")


def _check(file: RemoteFile, part: Path, tag: Path) -> None:
    found = file_sha256(part)
    if file.sha256 and found != file.sha256:
        part.unlink()
        tag.unlink(missing_ok=True)
        raise WorkError(
            f"{file.url}: what came has SHA-256 {found[:_SHOWN]}..., expected {file.sha256[:_SHOWN]}...: damaged "
            f"on the way, or another release; it was deleted, run again to fetch it anew"
        )


def _is_final(error: Exception) -> bool:
    """Whether asking again cannot help: the server understood and refused, or the address is not allowed."""
    too_many = http.HTTPStatus.TOO_MANY_REQUESTS
    return isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code != too_many


def _why(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    return str(getattr(error, "reason", error)) or type(error).__name__


def _require_allowed(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        raise WorkError(f"{url}: refused; only https is fetched")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to allowed addresses only; one to this machine only from this machine."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _require_allowed(newurl)
        if _is_loopback(urlsplit(newurl).hostname or "") and not _is_loopback(urlsplit(req.full_url).hostname or ""):
            raise WorkError(f"{req.full_url}: refused; it leads to this machine itself ({newurl})")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    _require_allowed(url)
    return urllib.request.build_opener(_SafeRedirects())


def unpack(archive: Path, file: RemoteFile, folder: Path) -> None:
    """Write an archive's plain files into the folder; none can leave it, links are not followed or made.

    Raises:
        WorkError: not a whole archive, a member that would lie outside, or more bytes than a data set can have.
    """
    total = 0
    try:
        for name, size, open_member in _zip_members(archive) if file.unpack == "zip" else _tar_members(archive):
            parts = PurePosixPath(name).parts
            if not parts or "__MACOSX" in parts or parts[-1].startswith("._"):
                continue
            kept = parts[-1:] if file.strip is None else parts[file.strip :]
            total += size
            if not kept or ".." in parts or name.startswith("/") or "\\" in name:
                raise WorkError(f"{file.url}: holds '{name}', which is not a file inside of its folder; not unpacked")
            if total > MAX_UNPACKED_BYTES:
                raise WorkError(f"{file.url}: unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB; not unpacked")
            target = folder.joinpath(*kept)
            target.parent.mkdir(parents=True, exist_ok=True)
            staged = target.with_name(f"{target.name}.part")
            with open_member() as source, staged.open("wb") as sink:
                shutil.copyfileobj(source, sink, _CHUNK_BYTES)
            staged.replace(target)
    except ARCHIVE_ERRORS as error:
        archive.unlink(missing_ok=True)
        raise WorkError(
            f"{file.url}: not a whole archive ({error}); it was deleted, run again to fetch it anew"
        ) from None


Members = Iterator[tuple[str, int, Callable[[], IO[bytes]]]]


def _zip_members(archive: Path) -> Members:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            if not info.is_dir():
                yield info.filename, info.file_size, lambda info=info: opened.open(info)  # type: ignore[misc]


def _tar_members(archive: Path) -> Members:
    with tarfile.open(archive) as opened:
        for info in opened:
            if info.isfile():
                yield info.name, info.size, lambda info=info: opened.extractfile(info)  # type: ignore[misc]
