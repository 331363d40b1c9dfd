"""What travels to the workers of an engine, and what they answer: bytes both ways, and nothing of an engine in it.

It goes there by value, so that a worker, or a scheduler, that lacks the package can say so. Whatever goes wrong comes
back as an answer: engines would try again what fails each time, and put texts into their logs that hold values.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from quivo_frames.errors import REPORT_IT, ConfigError, Fault, LostWorker


def versions() -> dict[str, str]:
    """What must be the same here and on the workers: also polars, whose frames do not travel between its versions."""
    return {name: version(name) for name in ("quivo-frames", "polars")}


def errand(work: Callable[[Any], Any], here: dict[str, str]) -> Callable[[bytes], bytes]:
    """A function of a pickled item, for a worker: it answers with a kind of answer and what belongs to it.

    `here` are the `versions` of the driver. It uses nothing but what it imports itself, and is no name of a module:
    so cloudpickle, which Dask and Spark use, takes it along as it is.
    """
    to_do = pickle.dumps(work)

    def run(item: bytes) -> bytes:
        import pickle
        from importlib.metadata import PackageNotFoundError, version

        def there(name: str) -> str | None:
            try:
                return version(name)
            except PackageNotFoundError:
                return None

        found = {name: there(name) for name in here}
        if found != here:
            return pickle.dumps(("other", found))
        try:
            from quivo_frames.errors import QuivoError

            try:
                answer = ("done", pickle.dumps(pickle.loads(to_do)(pickle.loads(item))))
            except QuivoError as error:
                answer = ("refused", pickle.dumps((type(error), error.args)))  # no cause: it may hold values
        except (KeyboardInterrupt, SystemExit):
            raise
        except ImportError as error:
            return pickle.dumps(("lacks", (error.name or "a library").partition(".")[0]))
        except BaseException as error:  # noqa: BLE001 - its text may hold values; a panic of polars is no Exception
            return pickle.dumps(("broke", type(error).__name__))
        return pickle.dumps(answer)

    return run


def packed(items: Sequence[Any]) -> list[bytes]:
    """Items as `errand` takes them."""
    return [pickle.dumps(item) for item in items]


def opened(answer: bytes) -> Any:
    """What the work made of an item.

    Raises:
        QuivoError: what the work raised.
        ConfigError: the worker lacks a library or has another version of it.
        Fault: the work raised something else.
    """
    kind, content = pickle.loads(answer)
    if kind == "done":
        return pickle.loads(content)
    if kind == "refused":
        refusal, said = pickle.loads(content)
        raise refusal(*said)
    if kind == "other":
        wanted = versions()
        other = {name: there for name, there in content.items() if there != wanted[name]}
        has = " and ".join(f"{name} {there}" if there else f"no {name}" for name, there in other.items())
        needs = " and ".join(f"{name}=={number}" for name, number in wanted.items())
        raise ConfigError(f"A worker has {has}. Install {needs}, as here, for the Python of every worker.")
    if kind == "lacks":
        raise lacks(content)
    raise Fault(f"The work broke on a worker ({content}). {REPORT_IT}")


def lacks(module: str) -> ConfigError:
    """The error for a worker that cannot import a module."""
    needs = " and ".join(f"{name}=={number}" for name, number in versions().items())
    return ConfigError(
        f"A worker cannot import {module}. Install {needs}, as here, with all that they need, for the "
        "Python of every worker."
    )


def gave_up(engine: str, error: BaseException) -> LostWorker:
    """The error for an engine that ended the work, without what it said: that may hold values and addresses."""
    return LostWorker(
        f"{engine} ended the work ({type(error).__name__}). Most often workers were lost again and again because "
        "memory was short, or it was stopped. Nothing was changed. Give each worker more memory or fewer cores, and "
        "build again."
    )
