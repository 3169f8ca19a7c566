"""The commands `phone-bridge flow check` and `flow draw`: flow files without a bridge and without a phone."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bridge.process import FAILED, OK

_COLOURS = {"error": "red", "warning": "yellow"}

_FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group(short_help="Check and draw flow files.")
def flow() -> None:
    """Check and draw flow files, which answer calls by keys and words (agents of the kind flow)."""


@flow.command(short_help="Say what is wrong with a flow file, line by line.")
@_FILE
@click.option(
    "--sounds",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the sounds that the flow plays. [default: sounds, if it is there]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array of problems, and nothing else.")
def check(file: Path, sounds: Path | None, as_json: bool) -> int:
    """Say everything that is wrong with a flow file, each with its line and remedy.

    Exit code 1 if it cannot be used; warnings do not count.
    """
    from bridge.agents.flow.agent import check_file  # noqa: PLC0415  (help texts come without it)

    default = Path("sounds")
    checked = check_file(file, sounds or (default if default.is_dir() else None))
    if as_json:
        problems = [
            {"file": str(file), "line": one.line, "severity": one.severity, "message": one.message}
            for one in checked.problems
        ]
        click.echo(json.dumps(problems, indent=2, ensure_ascii=False))
    else:
        for one in checked.problems:
            severity = click.style(one.severity, fg=_COLOURS[one.severity])
            click.echo(f"{file}:{one.line}: {severity}: {one.message}")
        if checked.flow is not None:
            click.echo(f"{file} can be used: steps {len(checked.flow.steps)}, first {checked.flow.start}")
    return OK if checked.flow is not None else FAILED


@flow.command(short_help="Draw a flow file as a picture.")
@_FILE
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Picture to write: .svg, or .png where cairosvg is installed. [default: the file's name with .svg]",
)
def draw(file: Path, out: Path | None) -> int:
    """Draw a flow file: a box for each step, an arrow for each way on."""
    from bridge.agents.flow.agent import check_file  # noqa: PLC0415  (help texts come without it)
    from bridge.agents.flow.draw import draw as picture  # noqa: PLC0415

    out = out or file.with_suffix(".svg")
    if out.suffix.lower() not in {".svg", ".png"}:
        raise click.BadParameter(f"{out} cannot be drawn: wanted a file ending in .svg or .png", param_hint="--out")
    flow = check_file(file).flow
    if flow is None:
        raise click.ClickException(f"{file} has mistakes: see  phone-bridge flow check {file}")
    svg = picture(flow)
    try:
        if out.suffix.lower() == ".png":
            out.write_bytes(_png(svg))
        else:
            out.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror or error}") from error
    click.echo(f"wrote {out}")
    return OK


def _png(svg: str) -> bytes:
    try:
        from cairosvg import svg2png  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    except (ImportError, OSError):  # OSError: the package is there, and the library that it needs is not
        raise click.ClickException("a PNG needs cairosvg: run  pip install cairosvg, or write an .svg") from None
    png: bytes = svg2png(bytestring=svg.encode(), scale=2)
    return png
