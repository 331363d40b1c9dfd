"""Verbs about object stores (s3://, gs://, az://): whether an address is one, and what their refusals mean. Floor 1.

Credentials, region and endpoint come from the environment, as the libraries of the stores name them: AWS_ACCESS_KEY_ID
and its like, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY. What polars,
obstore and Delta Lake say of a refusal holds addresses, answers of servers, sometimes rows: none of it is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from quivo_frames.errors import ConfigError, ExportError, QuivoError

SCHEMES = ("s3", "gs", "az")
NO_BUCKET = r"NoSuchBucket|ContainerNotFound|bucket does not exist|container does not exist"
"""What every store says somewhere when a bucket or container is missing, and not a file in it."""
NO_CONDITIONS = r"NotImplemented|status\D{0,9}501\b"
"""What stores say somewhere that cannot write a file on a condition."""

_CONFIG = {
    NO_BUCKET: "there is no such bucket or container. Create it, or correct the address",
    r"configured region|PermanentRedirect|AuthorizationHeaderMalformed": (
        "the bucket is in another region. Set it in the environment, as AWS_REGION"
    ),
    r"status\D{0,9}40[13]\b|AccessDenied|Forbidden|Unauth|PermissionDenied|InvalidAccessKeyId|SignatureDoesNotMatch"
    r"|ExpiredToken|AuthenticationFailed": (
        "access was refused. Look at the credentials in the environment, and at the rights that they have"
    ),
    r"169\.254\.169\.254|latest/api/token|metadata\.google|[Mm]issing.*credential|[Cc]redentials? .*not"
    r"|Missing ?(Access|Secret)|Account must be specified": (
        "no credentials were found. Set them in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ),
    NO_CONDITIONS: (
        "the store cannot write a file only if it is not there yet, as Delta Lake needs. Export to parquet, or set "
        "AWS_S3_ALLOW_UNSAFE_RENAME=true where nobody else writes"
    ),
    r"URL scheme is not allowed|BadScheme": "it is not encrypted. Use https, or set AWS_ALLOW_HTTP=true for a test",
    r"PermissionError|Permission denied|os error 13\b": "the folder may not be written to. Change its rights",
    r"Read-only file system|os error 30\b": "the disk is read-only. Give another place",
}
_PLACE = {
    r"No space left|os error 28\b|Disk quota": "the disk is full. Make room",
    r"NoSuchKey|BlobNotFound|No such object": "a file that belongs there is gone. Look who removed it",
    r"PreconditionError|AlreadyExistsError|CommitFailedError": "another job wrote there at the same time. Wait until "
    "it has ended",
    r"SlowDown|status\D{0,9}(429|50[0234])\b": "the store is overloaded or out of order. Wait a while",
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
        raise ConfigError(f"quivo_frames does not know {scheme}:// addresses. Give a folder, or one of: {kinds}.")
    if "?" in rest or re.match(r"[^/@]*:[^/@]*@", rest):
        raise ConfigError(f"The {scheme}:// address holds more than a place. Credentials belong into the environment.")
    if not rest.strip("/"):
        raise ConfigError(f"{out} names no bucket. Give one, such as {scheme}://bucket/folder.")
    if found := re.search(r"[*\[\]]|//|(?<=/)\.\.?(?=/|$)", rest.rstrip("/")):
        raise ConfigError(f"The address {out} holds {found[0]}, which is read otherwise there. Give another name.")
    return out.rstrip("/")


def holds_parquet(folder: str) -> bool:
    """Whether there are parquet files right below an address of an object store."""
    try:
        pl.scan_parquet(f"{folder}/*.parquet").collect_schema()
    except (FileNotFoundError, pl.exceptions.ComputeError) as error:
        if isinstance(error, FileNotFoundError) and re.search(NO_BUCKET, str(error)):
            raise
        return not re.search("expanded paths were empty|not found|No such file", str(error))
    return True


@contextmanager
def told(what: str, again: str, after: str = "", failing: type[QuivoError] = ExportError) -> Iterator[None]:
    """What goes wrong inside, as a sentence.

    Args:
        what: What cannot be done then, and where: "The tables cannot be written to s3://lake/out".
        again: What to do when the cause is mended: "export again".
        after: The state that it leaves, as a sentence.
        failing: What is raised where the place is to blame.

    Raises:
        ConfigError: the address, the credentials or the rights are to be mended.
        QuivoError: of the kind `failing`: the place or the network failed.
    """
    try:
        yield
    except QuivoError:
        raise
    except Exception as error:
        kind, why = _meaning(error, failing)
        cure = f"{why}, and {again}" if why else f"({type(error).__name__}). {again[0].upper()}{again[1:]}"
        raise kind(f"{what}{': ' if why else ' '}{cure}. {after}".rstrip()) from error


def _meaning(error: Exception, failing: type[QuivoError]) -> tuple[type[QuivoError], str]:
    """Of which kind an error is, and what it means; empty where nobody knows."""
    text = f"{type(error).__name__}: {error}"
    for kind, meanings in ((ConfigError, _CONFIG), (failing, _PLACE)):
        for pattern, meaning in meanings.items():
            if re.search(pattern, text):
                return kind, meaning
    return failing, ""
