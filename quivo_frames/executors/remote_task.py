"""The function that is sent to workers of an engine, and the bytes that they answer, whatever the engine.

The function is pickled by value, so that a worker or a scheduler without the package can say so. All errors come back
as answers: an engine would retry what fails each time, and log error texts, which may hold values of orders.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import resources
from importlib.metadata import version
from importlib.resources.abc import Traversable
from typing import Any

from quivo_frames.errors import FAULT_CURE, ConfigError, Fault, LostWorker

DriverCode = tuple[dict[str, str], str]
"""Versions, and a digest of the code."""


def required_versions() -> dict[str, str]:
    """Versions that workers must have too; of polars as well, because frames do not travel between its versions."""
    return {name: version(name) for name in ("quivo-frames", "polars")}


@cache
def code_digest() -> str:
    """A digest of all modules of the package, by path and content.

    Between releases, one version stands for many states of the code. Tasks travel as the path of their function: with
    another layout a worker cannot find it, with other code it would build other tables.
    """
    digest = hashlib.sha256()
    for path, content in sorted(_package_modules(resources.files("quivo_frames"))):
        digest.update(f"{path} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _package_modules(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _package_modules(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            yield f"{prefix}{entry.name}", entry.read_bytes().replace(b"\r\n", b"\n")  # as git may check it out


def driver_code() -> DriverCode:
    """The versions and the code that this process has, for workers to compare."""
    return required_versions(), code_digest()


def remote_task(work: Callable[[Any], Any], driver: DriverCode | None = None) -> Callable[[bytes], bytes]:
    """A function for workers: takes a pickled item, and answers with a pickled kind of answer and its content.

    `driver` is the `driver_code` of the driver, None: of this process. The function is a closure and imports all that
    it uses, so that cloudpickle, which Dask and Spark use, pickles it by value.
    """
    pickled_work = pickle.dumps(work)
    versions, digest = driver or driver_code()

    def run(item: bytes) -> bytes:
        import pickle
        from importlib.metadata import PackageNotFoundError, version

        def installed(name: str) -> str | None:
            try:
                return version(name)
            except PackageNotFoundError:
                return None

        found = {name: installed(name) for name in versions}
        if found != versions:
            return pickle.dumps(("other versions", found))
        try:
            import quivo_frames

            try:
                from quivo_frames.executors.remote_task import code_digest

                same_code = code_digest() == digest
            except ImportError:  # this module is elsewhere, or nowhere; it needs no other library
                same_code = False
            if not same_code:
                return pickle.dumps(("other code", quivo_frames.__name__))
            from quivo_frames.errors import QuivoError

            try:
                answer = ("done", pickle.dumps(pickle.loads(pickled_work)(pickle.loads(item))))
            except QuivoError as error:
                answer = ("refused", pickle.dumps((type(error), error.args)))  # no cause: it may hold values
        except (KeyboardInterrupt, SystemExit):
            raise
        except ImportError as error:
            return pickle.dumps(("missing", (error.name or "a library").partition(".")[0]))
        except BaseException as error:  # noqa: BLE001 - its text may hold values; a panic of polars is no Exception
            return pickle.dumps(("broke", type(error).__name__))
        return pickle.dumps(answer)

    return run


def pickle_items(items: Sequence[Any]) -> list[bytes]:
    """Items as remote tasks take them."""
    return [pickle.dumps(item) for item in items]


def unpack_answer(answer: bytes) -> Any:
    """The result for an item.

    Raises:
        QuivoError: as the work raised it.
        ConfigError: the worker lacks a library, has another version of it, or other code of this package.
        Fault: the work raised something else.
    """
    kind, content = pickle.loads(answer)
    if kind == "done":
        return pickle.loads(content)
    if kind == "refused":
        refusal, said = pickle.loads(content)
        raise refusal(*said)
    if kind == "other versions":
        wanted = required_versions()
        other = {name: found for name, found in content.items() if found != wanted[name]}
        has = " and ".join(f"{name} {found}" if found else f"no {name}" for name, found in other.items())
        needs = " and ".join(f"{name}=={number}" for name, number in wanted.items())
        raise ConfigError(f"A worker has {has}. Install {needs}, as here, for the Python of every worker.")
    if kind == "other code":
        raise ConfigError(
            f"A worker has quivo-frames {required_versions()['quivo-frames']} too, but other code of it than this "
            "process. Install the same build, as here, for the Python of every worker; if it was changed while this "
            "process ran, start again."
        )
    if kind == "missing":
        raise missing_module_error(content)
    raise Fault(f"The work broke on a worker ({content}). {FAULT_CURE}")


def missing_module_error(module: str) -> ConfigError:
    """The error for a worker that cannot import a module."""
    needs = " and ".join(f"{name}=={number}" for name, number in required_versions().items())
    return ConfigError(
        f"A worker cannot import {module}. Install {needs}, as here, with all that they need, for the "
        "Python of every worker."
    )


def lost_engine_error(engine: str, error: BaseException) -> LostWorker:
    """The error for an engine that ended the work, without what it said: that may hold values and addresses."""
    return LostWorker(
        f"{engine} ended the work ({type(error).__name__}). Most often workers were lost again and again because "
        "memory was short, or it was stopped. Nothing was changed. Give each worker more memory or fewer cores, and "
        "build again."
    )
