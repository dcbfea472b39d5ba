"""Ray's token: every cluster asks for one, every client has it from its environment or its home folder.

RAY_AUTH_MODE        `token` unless the user says otherwise
RAY_AUTH_TOKEN       the token itself; counts most
RAY_AUTH_TOKEN_PATH  a file that holds it
~/.ray/auth_token    where Ray looks last, and keeps the token of clusters that it starts on this machine

Ray ends a process whose token file cannot be read, and says other things in four paragraphs: so we look first.
"""

import contextlib
import os
import secrets
from pathlib import Path

from cluster.errors import ConfigError

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_REMEDY = f"set {TOKEN} to the cluster's token, or {TOKEN_PATH} to a file that holds it"


def uses_token() -> bool:
    """Whether this process talks to Ray with a token: yes, unless the user set another mode."""
    return os.environ.get(MODE, "token").lower() == "token"


def require_token(where: str) -> None:
    """Return if there is a token to show to a cluster, without looking whether it is the right one.

    Args:
        where: the cluster in words, the beginning of the sentence.

    Raises:
        ConfigError: there is none.
    """
    if not uses_token() or os.environ.get(TOKEN):
        return
    named = os.environ.get(TOKEN_PATH)
    if named:
        if not _holds_a_token(Path(named)):
            raise ConfigError(f"{where} asks for a token, and {TOKEN_PATH} names {named}, which holds none; {_REMEDY}")
    elif not _holds_a_token(default_token_path()):
        raise missing_token(where)


def missing_token(where: str) -> ConfigError:
    """The cluster asks for a token and none was shown."""
    also = "" if uses_token() else f" and {MODE} to token"
    return ConfigError(f"{where} asks for a token, and there is none here; {_REMEDY}{also}")


def wrong_token(where: str, or_else: str = "") -> ConfigError:
    """The cluster refused the token that was shown.

    Args:
        or_else: what else it may have refused, where that cannot be told.
    """
    if not uses_token():
        return missing_token(where)
    source = TOKEN if os.environ.get(TOKEN) else os.environ.get(TOKEN_PATH) or default_token_path()
    return ConfigError(f"{where} refuses the token from {source}{or_else}; {_REMEDY}")


def default_token_path() -> Path:
    """Where Ray looks for a token that the environment does not name."""
    return Path.home() / ".ray" / "auth_token"


def ensure_local_token() -> None:
    """Make a token for clusters of this machine where there is none, readable by its user alone.

    Ray would make one too, but as readable as the user's other files.
    """
    path = default_token_path()
    if not uses_token() or os.environ.get(TOKEN) or os.environ.get(TOKEN_PATH) or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        with contextlib.suppress(FileExistsError):  # another process was first; its token counts
            path.hardlink_to(written)
    finally:
        written.unlink()


def _holds_a_token(path: Path) -> bool:
    try:
        return bool(path.read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return False
