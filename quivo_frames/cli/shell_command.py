"""The command `completion`, and the text of `--version`."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import click

from quivo_frames.display.text import print_text

SHELLS = ("bash", "zsh", "fish")
_PROGRAM = "quivo-frames"
_PACKAGES = ("polars", "pandera", "msgspec", "requests", "duckdb", "deltalake", "xlsxwriter", "altair")
"""The packages whose versions a report of a fault needs, as far as they are installed."""


def print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the version, and on a second line those of Python and of the packages that matter; then end.

    With -v, each is a line of its own, and the first of them says which core builds tables.
    """
    if asked and not ctx.resilient_parsing:
        print_text(f"{_PROGRAM}, version {version('quivo_frames')}")
        python, packages, system = f"Python {platform.python_version()}", _installed_packages(), platform.platform()
        if ctx.params["verbose"]:
            from quivo_frames.flattening.core_choice import describe_core

            print_text("\n".join([f"core {describe_core()}", python, *packages, system]))
        else:
            print_text(f"{python}, {', '.join(packages)}; {system}")
        ctx.exit()


def _installed_packages() -> Iterator[str]:
    for package in _PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script that completes commands and options in a shell. Load it when the shell starts.

    In bash: quivo-frames completion bash > ~/.quivo-frames.bash, and a line `. ~/.quivo-frames.bash` in ~/.bashrc.

    In zsh: quivo-frames completion zsh > ~/.quivo-frames.zsh, and a line `. ~/.quivo-frames.zsh` in ~/.zshrc, after
    compinit.

    In fish: quivo-frames completion fish > ~/.config/fish/completions/quivo-frames.fish

    Example: quivo-frames completion bash
    """
    from click.shell_completion import get_completion_class

    root = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None
    print_text(kind(root, {}, _PROGRAM, f"_{_PROGRAM.upper().replace('-', '_')}_COMPLETE").source().rstrip("\n"))
