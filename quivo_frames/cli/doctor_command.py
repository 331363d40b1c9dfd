"""The command `doctor`: what is set up and what answers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from quivo_frames.cli.options import as_json, connection_options, print_facts
from quivo_frames.display.text import format_count, print_text
from quivo_frames.errors import ConfigError

if TYPE_CHECKING:
    from quivo_frames.fetch.diagnosis import DiagnosticCheck

_ADVICE = (
    "Put that right, and run doctor again. This report holds no secret and no value of a setting: it can be sent to "
    "support as it is."
)
_MARKS = {True: "ok", False: "not ok", None: "-"}


@click.command()
@click.argument("order_id", required=False)
@connection_options
@click.option("--yes", is_flag=True, help="Do not ask before refetching the order.")
@as_json
def doctor(order_id: str | None, yes: bool, as_json: bool, connection: dict[str, Any]) -> None:
    """Check settings, network, login and API, and say what to do about what is not ok.

    It logs in, pings, and reads one page of the list of orders. With ORDER_ID, it also refetches that order, after a
    question; the answer is not kept. The report holds no secret, no personal data and no value of a setting: it can be
    sent to support as it is. Exit status 1 if something is not ok.

    Example: quivo-frames doctor

    Example: quivo-frames doctor 100017 --yes
    """
    from quivo_frames.fetch.diagnosis import describe_machine, diagnose_setup
    from quivo_frames.fetch.order_ids import validate_ids

    (chosen,) = [*validate_ids([order_id])] if order_id else [None]
    if chosen and not yes and not _can_be_asked():
        raise ConfigError(
            "A refetch makes Quivo read the order from the shop again: give --yes where nobody can be asked."
        )

    def may_refetch() -> bool:
        return yes or click.confirm("The refetch makes Quivo read the order from the shop again. Go on?", err=True)

    machine, checks = describe_machine(), list["DiagnosticCheck"]()
    if not as_json:
        print_text("quivo-frames {version}, Python {python}, {system}".format_map(machine))
    for check in diagnose_setup({name: value for name, value in connection.items() if value}, chosen, may_refetch):
        checks.append(check)
        if not as_json:
            _print_check(check)
    flaws = sum(check.ok is False for check in checks)
    if as_json:
        print_facts({"ok": not flaws, **machine, "checks": [check._asdict() for check in checks]})
    else:
        print_text(f"{format_count(flaws, 'check')} not ok. {_ADVICE}" if flaws else "Everything is ok.")
    sys.exit(1 if flaws else 0)


def _can_be_asked() -> bool:
    return sys.stdin.isatty()


def _print_check(check: DiagnosticCheck) -> None:
    print_text(f"{_MARKS[check.ok]:8}{check.name}: {check.finding}")
    if check.cure:
        print_text(f"        {check.cure}")
