"""Verbs about object stores (s3://, gs://, az://): whether an address is one, and what their refusals mean. Floor 1.

Credentials, region and endpoint come from the environment, as the libraries of the stores name them: AWS_ACCESS_KEY_ID
and its like, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY. What polars and
Delta Lake say of a refusal holds addresses, answers of servers, and sometimes rows: none of it is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from quivo_frames.errors import ConfigError, ExportError, QuivoError

SCHEMES = ("s3", "gs", "az")

_NO_BUCKET = "there is no such bucket or container. Create it, or correct the address"
_NO_RIGHT = "access was refused. Look at the credentials in the environment, and at the rights that they have"
_CONFIG = {
    r"NoSuchBucket|ContainerNotFound|bucket does not exist|container does not exist": _NO_BUCKET,
    r"\b40[13]\b|AccessDenied|Forbidden|Unauthorized|PermissionDenied|InvalidAccessKeyId|SignatureDoesNotMatch"
    r"|ExpiredToken|AuthenticationFailed": _NO_RIGHT,
    r"169\.254\.169\.254|metadata\.google|[Mm]issing.*credential|[Cc]redentials? .*not|Account must be specified": (
        "no credentials were found. Set them in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ),
    r"NotImplemented|\b501\b": (
        "the store cannot write a file only if it is not there yet, as Delta Lake needs. Export to parquet, or set "
        "AWS_S3_ALLOW_UNSAFE_RENAME=true where nobody else writes"
    ),
    r"URL scheme is not allowed|BadScheme": "it is not encrypted. Use https, or set AWS_ALLOW_HTTP=true for a test",
    r"PermissionError|Permission denied|os error 13\b": "the folder may not be written to. Change its rights",
    r"Read-only file system|os error 30\b": "the disk is read-only. Give another place",
}
_EXPORT = {
    r"No space left|os error 28\b|Disk quota": "the disk is full. Make room",
    r"[Cc]onnect|timed out|timeout|dns|sending request|[Rr]esolv": "the store gives no answer. Look at the network "
    "and at the endpoint, such as AWS_ENDPOINT_URL",
}  # fmt: skip


def is_remote(out: str) -> bool:
    """Whether it is an address, and not a path of this machine."""
    return "://" in out


def address(out: str) -> str:
    """An address of an object store, without a slash at its end.

    Raises:
        ConfigError: it is of another kind, or holds what belongs into the environment.
    """
    scheme, _, rest = out.partition("://")
    if scheme not in SCHEMES:
        kinds = ", ".join(f"{known}://" for known in SCHEMES)
        raise ConfigError(f"Tables cannot be exported to {scheme}:// addresses. Give a folder, or one of: {kinds}.")
    if "?" in rest or re.match(r"[^/@]*:[^/@]*@", rest):
        raise ConfigError(f"The {scheme}:// address holds more than a place. Credentials belong into the environment.")
    if not rest.strip("/"):
        raise ConfigError(f"{out} names no bucket. Give one, such as {scheme}://bucket/folder.")
    return out.rstrip("/")


def holds_parquet(folder: str) -> bool:
    """Whether there are parquet files right below an address of an object store."""
    try:
        pl.scan_parquet(f"{folder}/*.parquet").collect_schema()
    except (FileNotFoundError, pl.exceptions.ComputeError) as error:
        if isinstance(error, FileNotFoundError) and re.search(next(iter(_CONFIG)), str(error)):
            raise
        return not re.search("expanded paths were empty|not found|No such file", str(error))
    return True


@contextmanager
def told(out: str, after: str) -> Iterator[None]:
    """What goes wrong inside, as a sentence; `after` says in what state that leaves the place.

    Raises:
        ConfigError: the address, the credentials or the rights are to be mended.
        ExportError: the place or the network failed.
    """
    try:
        yield
    except QuivoError:
        raise
    except Exception as error:
        raise _meaning(out, after, error) from error


def _meaning(out: str, after: str, error: Exception) -> QuivoError:
    text = f"{type(error).__name__}: {error}"
    for kind, meanings in ((ConfigError, _CONFIG), (ExportError, _EXPORT)):
        for pattern, meaning in meanings.items():
            if re.search(pattern, text):
                return kind(f"The tables cannot be written to {out}: {meaning}, and export again. {after}")
    return ExportError(f"The tables cannot be written to {out} ({type(error).__name__}). Export again. {after}")
