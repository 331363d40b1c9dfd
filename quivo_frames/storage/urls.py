"""Addresses of object stores (s3://, gs://, az://, abfss://), and what the errors of storage mean.

Credentials, region and endpoint come from the environment, under the names that the libraries of the stores use:
AWS_ACCESS_KEY_ID and the like, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY.
Errors of polars, obstore and Delta Lake quote addresses, responses of servers, sometimes rows: no text of theirs is
passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from quivo_frames.errors import ConfigError, ExportError, QuivoError, is_disk_full, is_panic

OBJECT_STORE_SCHEMES = ("s3", "gs", "az", "abfss")
MISSING_BUCKET = r"NoSuchBucket|ContainerNotFound|bucket does not exist|container does not exist"
"""A pattern in the error of every store for a missing bucket or container, but not for a missing file."""
NO_CONDITIONAL_WRITES = r"NotImplemented|status\D{0,9}501\b"
"""A pattern in the error of stores that cannot write a file on a condition."""

_CONFIGURATION_CAUSES = {
    MISSING_BUCKET: "there is no such bucket or container. Create it, or correct the address",
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
    NO_CONDITIONAL_WRITES: (
        "the store cannot write a file only if it is not there yet, as Delta Lake needs. Export to parquet, or set "
        "AWS_S3_ALLOW_UNSAFE_RENAME=true where nobody else writes"
    ),
    r"URL scheme is not allowed|BadScheme": "it is not encrypted. Use https, or set AWS_ALLOW_HTTP=true for a test",
    r"PermissionError|Permission denied|os error 13\b": "the folder may not be written to. Change its rights",
    r"Read-only file system|os error 30\b": "the disk is read-only. Give another place",
}
_STORE_CAUSES = {
    r"NoSuchKey|BlobNotFound|No such object": "a file that belongs there is gone. Look who removed it",
    r"PreconditionError|AlreadyExistsError|CommitFailedError": "another job wrote there at the same time. Wait until "
    "it has ended",
    r"SlowDown|status\D{0,9}(429|50[0234])\b": "the store is overloaded or out of order. Wait a while",
    r"[Cc]onnect|timed out|timeout|dns|sending request|[Rr]esolv": "the store gives no answer. Look at the network "
    "and at the endpoint, such as AWS_ENDPOINT_URL",
}  # fmt: skip


def is_remote(out: str) -> bool:
    """Whether it is an address, not a path of this machine."""
    return "://" in out


def check_address(out: str) -> str:
    """The address of a folder in an object store, checked, and without a slash at its end.

    Raises:
        ConfigError: it is of another kind, or holds credentials, which belong into the environment.
    """
    scheme, _, rest = out.partition("://")
    if scheme not in OBJECT_STORE_SCHEMES:
        kinds = ", ".join(f"{known}://" for known in OBJECT_STORE_SCHEMES)
        raise ConfigError(f"quivo_frames does not know {scheme}:// addresses. Give a folder, or one of: {kinds}.")
    if "?" in rest or re.match(r"[^/@]*:[^/@]*@", rest):
        raise ConfigError(f"The {scheme}:// address holds more than a place. Credentials belong into the environment.")
    if not rest.strip("/"):
        raise ConfigError(f"{out} names no bucket. Give one, such as {scheme}://bucket/folder.")
    if found := re.search(r"[*\[\]]|//|(?<=/)\.\.?(?=/|$)", rest.rstrip("/")):
        raise ConfigError(f"The address {out} holds {found[0]}, which is read otherwise there. Give another name.")
    return out.rstrip("/")


def refuse_password(out: str) -> None:
    """Refuse an address with a password, before it is printed, stored or logged.

    Raises:
        ConfigError: it holds one.
    """
    if re.search(r"://[^/?#@]*:[^/?#]*@|[?&][^=&]*pass[^=&]*=", out, re.IGNORECASE):
        raise ConfigError(
            "The address holds a password. Leave it out: passwords and keys belong into the environment; that of "
            "Postgres into PGPASSWORD, or into ~/.pgpass."
        )


def holds_parquet(folder: str, name: str = "*") -> bool:
    """Whether a folder of an object store holds parquet files of a name, not counting its subfolders."""
    try:
        pl.scan_parquet(f"{folder}/{name}.parquet").collect_schema()
    except (FileNotFoundError, pl.exceptions.ComputeError) as error:
        if isinstance(error, FileNotFoundError) and re.search(MISSING_BUCKET, str(error)):
            raise
        return not re.search("expanded paths were empty|not found|No such file", str(error))
    return True


@contextmanager
def explain_storage_errors(
    problem: str, remedy: str, aftermath: str = "", error_class: type[QuivoError] = ExportError
) -> Iterator[None]:
    """Raise errors of the block as a sentence: what failed, the cause, the remedy.

    Args:
        problem: What cannot be done, and where: "The tables cannot be written to s3://lake/out".
        remedy: What to do once the cause is removed: "export again".
        aftermath: The state that the failure leaves, as a sentence.
        error_class: What is raised if the place or the network failed.

    Raises:
        ConfigError: the address, the credentials or the rights have to be corrected.
        QuivoError: an `error_class`: the place or the network failed.
    """
    try:
        yield
    except QuivoError:
        raise
    except BaseException as error:
        if not (isinstance(error, Exception) or is_panic(error)):
            raise
        raised_class, cause = _diagnose_error(error, error_class)
        if cause:
            sentence = f"{problem}: {cause}, and {remedy}."
        else:
            sentence = f"{problem} ({type(error).__name__}). {remedy[0].upper()}{remedy[1:]}."
        raise raised_class(f"{sentence} {aftermath}".rstrip()) from error


def _diagnose_error(error: BaseException, error_class: type[QuivoError]) -> tuple[type[QuivoError], str]:
    """What to raise for an error, and its cause with what to do about it; an empty text if the cause is unknown."""
    if is_disk_full(error):
        return error_class, "the disk is full. Make room"
    text = f"{type(error).__name__}: {error}"
    for found_class, causes in ((ConfigError, _CONFIGURATION_CAUSES), (error_class, _STORE_CAUSES)):
        for pattern, cause in causes.items():
            if re.search(pattern, text):
                return found_class, cause
    return error_class, ""
