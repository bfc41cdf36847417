"""llmresearch report | measure | size | doctor | verify | selfcheck"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from .records import LlmResearchError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="Compare LLM inference engines, and say what the data can carry.")  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
File = Annotated[Path | None, typer.Option("-f", "--file", help="Parameters as YAML.")]
Raw = Annotated[Path | None, typer.Option(help="The raw file to continue, or to read.")]


@app.command()
def report(
    study: str,
    file: File = None,
    parameter: Annotated[list[tuple[str, str]] | None, typer.Option("-p", help="A parameter over the file's.", metavar="NAME VALUE")] = None,
    raw: Raw = None,
    measure: Annotated[bool, typer.Option(help="Measure what the raw file lacks.")] = True,
    out: Annotated[Path | None, typer.Option(help="The folder for the report (default: the study's `folder`).")] = None,
):
    """Measure what is missing, execute the study's notebook and render it."""
    from .render import report as render

    found = render(study, file, _overrides(parameter), raw=raw, out_folder=out, measure=measure)
    typer.echo(f"{found.markdown}\n{found.html}")


def _overrides(pairs):
    """The (NAME, VALUE) pairs as a dict; each value is read as YAML."""
    import yaml

    return {name: yaml.safe_load(value) for name, value in pairs or ()}


@app.command()
def measure(file: Path, raw: Annotated[Path, typer.Option(help="The raw file to write or to continue.")]):
    """Measure only: no notebook, no analysis. Run it again to go on where it stopped."""
    from .matrix import load, measuring, plan
    from .runner import measure as run

    values = load(file)
    cells = plan({"study": file.name.split(".")[0]} | measuring(_checked(values, file)))
    typer.echo(run(cells, raw, params=values))


def _checked(values, file):
    """The values, where every key is one of measuring or of the study's notebook."""
    from .matrix import Params, known_keys
    from .render import ReportError, declared, find

    try:
        known = declared(find(file.name.split(".")[0]))
    except ReportError:
        known = {}
    known_keys(str(file), {k: v for k, v in values.items() if k not in known}, Params)
    return values


@app.command()
def doctor(
    as_json: Json = False,
    python: Annotated[list[str] | None, typer.Option(help="BACKEND=PATH: an engine's own interpreter.")] = None,
):
    """What is here, and what each backend lacks."""
    from . import doctor as doctor_

    found = doctor_.examine(dict(pair.split("=", 1) for pair in python or () if "=" in pair))
    typer.echo(json.dumps(found, indent=1) if as_json else doctor_.text(found))


@app.command()
def verify(folders: list[Path]):
    """Derive every number, table, figure and claim of a rendered report again from its raw file."""
    from .verify import verify as differences

    found = [line for folder in folders for line in differences(folder)]
    for line in found:
        typer.echo(line)
    if found:
        raise typer.Exit(1)
    typer.echo(f"verified: {', '.join(map(str, folders))}")


@app.command()
def selfcheck(checks: Annotated[list[str] | None, typer.Argument()] = None, as_json: Json = False):
    """Check the clock, the harness and its statistics on this machine, and store the certificate."""
    from . import selfcheck as selfcheck_

    results = []
    for result in selfcheck_.run(checks):
        results.append(result)
        typer.echo(_line(result), err=as_json)
    found = selfcheck_.certificate(results)
    path = selfcheck_.store(found)
    typer.echo(json.dumps(found, indent=1) if as_json else f"certificate: {path}")
    if not all(result["passed"] for result in results):
        raise typer.Exit(1)


def _line(result):
    """A check's result in a line: its name, its verdict, its figures."""
    figures = {k: v for k, v in result.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    shown = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
    why = f" ({result['why']})" if result.get("why") else ""
    return f"{'passed' if result['passed'] else 'FAILED'}  {result['name']:14} {shown}{why}"


def main():
    """The console script: a user's mistake is one sentence on standard error and exit code 1."""
    try:
        app()
    except LlmResearchError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped: everything measured so far is in the raw file; run the same command to go on.", file=sys.stderr)
        sys.exit(130)
