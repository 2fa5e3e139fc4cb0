"""Marks the configurations that this account wrote, so that one from elsewhere cannot choose files and folders.

The last line of a run's config.yaml is a comment with a keyed hash (HMAC-SHA-256, RFC 2104) of all lines before it. The
key is made at the first run and stays in the account's state folder. A run folder may be moved; an edited configuration
counts as one from elsewhere.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

_PREFIX: Final = "# Signature of the account that wrote this file: "
_KEY_BYTES: Final = 32


def sign(text: str) -> str:
    """Append the signature to the text of a configuration; without it where no key can be kept."""
    key = _key(create=True)
    text = text if text.endswith("\n") else text + "\n"
    return text if key is None else f"{text}{_PREFIX}{_hash(text, key)}\n"


def is_signed(text: str) -> bool:
    """Check that this account wrote a configuration, and that it is unchanged."""
    body, prefix, signature = text.rpartition(_PREFIX)
    key = _key(create=False)
    return bool(prefix) and key is not None and hmac.compare_digest(_hash(body, key), signature.strip())


def _hash(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _key_path() -> Path:
    # The folder that the XDG base directory specification names for what outlives a program's end.
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "lit-genre" / "key"


def _key(create: bool) -> bytes | None:
    """Read the account's key, or make it; None where it cannot be kept."""
    try:
        path = _key_path()
        if create and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Written beside and linked into place, so that of two first runs one key stays.
            part = path.with_name(f"key.{secrets.token_hex(4)}.part")
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
            try:
                os.link(part, path)
            except FileExistsError:
                pass
            finally:
                part.unlink()
        key = path.read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: the account has no home folder.
        return None
    return key if len(key) == _KEY_BYTES else None
