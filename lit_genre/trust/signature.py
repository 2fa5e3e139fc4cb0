"""Sign the configurations that this account writes; only these may choose files and folders.

The last line of a run's config.yaml is a comment with a keyed hash (HMAC-SHA-256, RFC 2104) of all lines before it. The
key is created at the first run, in the state folder of the account. A moved run folder keeps its valid signature. An
edited configuration has no valid signature, and counts as one of another account.
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
    """Append a signature to the text of a configuration.

    Args:
        text: Text of config.yaml.

    Returns:
        The text with the signature as its last line; without it if the key cannot be stored.
    """
    key = _key(create=True)
    text = text if text.endswith("\n") else text + "\n"
    return text if key is None else f"{text}{_PREFIX}{_hash(text, key)}\n"


def is_signed(text: str) -> bool:
    """Check that this account wrote a configuration, and that it is unchanged.

    Args:
        text: Text of config.yaml with its last line.

    Returns:
        Whether the signature is valid; False if there is none.
    """
    body, prefix, signature = text.rpartition(_PREFIX)
    key = _key(create=False)
    return bool(prefix) and key is not None and hmac.compare_digest(_hash(body, key), signature.strip())


def _hash(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _key_path() -> Path:
    # The XDG base directory specification: this folder is for data that persists between runs of a program.
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "lit-genre" / "key"


def _key(create: bool) -> bytes | None:
    """Return the key of the account, creating it if asked to; None if it cannot be read or stored."""
    try:
        path = _key_path()
        if create and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Written to a temporary file and then linked: if two first runs create a key at the same time, both use the
            # key that is linked first.
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
