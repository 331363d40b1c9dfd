"""python -m tests.benchmarks PART, as -h lists them; what a part prints says how to read it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.benchmarks import (
    audit,
    build,
    cores,
    engines,
    explorer,
    fallback,
    fetch,
    measure,
    memory,
    profiling,
    renew,
    scale,
    start,
)
from tests.benchmarks.orders import KINDS


def main() -> None:
    """Runs one part."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description="Ratios measured in one run.")
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("build", help="build beside the floor and beside what others would write")
    part.add_argument("--orders", type=int, nargs="+", default=list(build.SIZES), dest="sizes")
    part.add_argument("--shape", action="append", default=[], choices=build.SHAPES, dest="shapes")
    part.add_argument("--rounds", type=int, default=3)
    part.add_argument(
        "--only", action="append", default=[], choices=build.NAMES, help="this one, beside the floor and quivo_frames"
    )
    part.add_argument("--python", default=sys.executable, help="interpreter for quivo_frames: one without pandas")
    part = parts.add_parser("start", help="import, and a small build with the start of the interpreter")
    part.add_argument("--rounds", type=int, default=start.ROUNDS)
    part = parts.add_parser("profile", help="where the CPU time of build goes")
    part.add_argument("--orders", type=int, default=10_000)
    part.add_argument("--rounds", type=int, default=3)
    part = parts.add_parser("fallback", help="what unusual orders cost, and how many leave the compiled core")
    part.add_argument("--orders", type=int, default=fallback.ORDERS)
    part.add_argument("--rounds", type=int, default=3)
    part.add_argument("--kind", action="append", default=[], choices=list(KINDS), dest="kinds")
    part = parts.add_parser("memory", help="whether the memory of build stays flat")
    part.add_argument("--orders", type=int, nargs="+", default=list(memory.ORDERS), dest="sizes")
    part.add_argument("--shape", action="append", default=[], choices=build.SHAPES, dest="shapes")
    part = parts.add_parser("cores", help="one job against two")
    part.add_argument("--orders", type=int, default=cores.ORDERS)
    part.add_argument("--rounds", type=int, default=5)
    part = parts.add_parser("audit", help="audit, KPIs and report beside the build")
    part.add_argument("--orders", type=int, default=audit.ORDERS)
    part.add_argument("--rounds", type=int, default=3)
    part = parts.add_parser("renew", help="a build after few orders changed, beside a build of all")
    part.add_argument("--orders", type=int, default=renew.ORDERS)
    part.add_argument("--rounds", type=int, default=5)
    part = parts.add_parser(
        "scale", help="many orders: archive, build, renewed build, audit, exports; takes hours and disk"
    )
    part.add_argument("--orders", type=int, default=scale.ORDERS)
    part.add_argument("--folder", type=Path, required=True, help="for all that it writes, which stays there")
    part.add_argument("--jobs", type=int, default=0, help="0: as many as there are cores")
    part.add_argument("--step", action="append", default=[], choices=list(scale.STEPS), dest="steps")
    part.add_argument("--derived", action="store_true", help="build derived tables as well")
    part = parts.add_parser("explorer", help="how quick the explorer's pages are, and what memory it takes")
    part.add_argument("--orders", type=int, default=explorer.ORDERS, help="so many, if the folder has no tables yet")
    part.add_argument("--folder", type=Path, required=True, help="with the tables, or for them, which stay there")
    part.add_argument("--rounds", type=int, default=explorer.ROUNDS)
    part = parts.add_parser("engines", help="builds on engines beside processes of this machine (make bench-engines)")
    part.add_argument("--orders", type=int, nargs="+", default=list(engines.SIZES), dest="sizes")
    part.add_argument("--rounds", type=int, default=3)
    part.add_argument("--way", action="append", default=[], choices=engines.WAYS, dest="ways")
    part = parts.add_parser("fetch", help="refetch beside what others would write, against limits of a stand-in API")
    part.add_argument("--quick", action="store_true", help="few short scenarios, in two to four minutes")
    part.add_argument("--noise", action="store_true", help="with a share of requests that fail, and without (7 min)")
    part.add_argument("--rounds", type=int, default=1)
    part.add_argument("--only", action="append", default=[], choices=fetch.NAMES, help="this candidate")
    part.add_argument(
        "--scenario", action="append", default=[], metavar="WORDS", help="only those with these words in their names"
    )
    given = vars(parser.parse_args())
    name = given.pop("part")
    modules = {
        "build": build, "start": start, "profile": profiling, "memory": memory, "cores": cores, "audit": audit,
        "renew": renew, "scale": scale, "fallback": fallback, "engines": engines, "fetch": fetch, "explorer": explorer,
    }  # fmt: skip
    run = modules[name].run
    measure.keep(name, run(**given))


if __name__ == "__main__":
    sys.exit(main())
