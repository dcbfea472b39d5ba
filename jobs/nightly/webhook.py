"""A verdict to whoever wants to know, by HTTP. What cannot be delivered is a warning: a night is not lost for it."""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from typing import Any

from cluster.logs import get_logger, mask_secrets

_ATTEMPTS = 3
_TIMEOUT_SECONDS = 10.0
_PAUSE_SECONDS = 1.0
_logger = get_logger("nightly")


def post(variable: str | None, payload: dict[str, Any]) -> bool:
    """POST JSON to the URL that an environment variable holds; False (and a warning) if it could not be delivered.

    The URL is often a secret: it is in no message and in nothing that is stored.
    """
    if variable is None:
        return False
    url = os.environ.get(variable, "")
    if not url.startswith(("https://", "http://")):
        _logger.warning("webhook: %s is not set to an http(s) URL; nobody was told", variable)
        return False
    body = mask_secrets(json.dumps(payload, ensure_ascii=False)).encode()
    for attempt in range(_ATTEMPTS):
        try:
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):
                return True
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code}"
            if error.code < 500 and error.code != 429:
                break  # asked again it would answer the same
        except urllib.error.URLError as error:
            problem = type(error.reason).__name__ if isinstance(error.reason, Exception) else "no connection"
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = type(error).__name__  # its text may hold the URL
        if attempt + 1 < _ATTEMPTS:
            time.sleep(_PAUSE_SECONDS * 2**attempt)
    _logger.warning("webhook: the URL in %s did not take the verdict (%s)", variable, problem)
    return False
