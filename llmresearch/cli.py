"""llmresearch.reporting.report | measure | size | doctor | verify | selfcheck"""

import json
import sys
from pathlib import Path

import click

from .records import LlmResearchError

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def app():
    """Compare LLM inference engines, and say what the data can carry."""


@app.command()
@click.argument("study")
@click.option("-f", "--file", type=click.Path(path_type=Path), help="Parameters as YAML.")
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter over the file's.")
@click.option("--raw", type=click.Path(path_type=Path), help="The raw file to continue, or to read.")
@click.option("--measure/--no-measure", default=True, help="Measure what the raw file lacks.", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="The report's folder (default: the parameter `folder`).")
def report(study, file, pairs, raw, measure, out):
    """Measure what is missing, execute the study's notebook and render it."""
    from .reporting.render import report as render

    found = render(study, file, _values(pairs), raw=raw, out_folder=out, measure=measure)
    click.echo(f"{found.markdown}\n{found.html}")


def _values(pairs):
    """The (NAME, VALUE) pairs as a dict; each value is read as YAML."""
    import yaml

    return {name: yaml.safe_load(value) for name, value in pairs}


@app.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--raw", required=True, type=click.Path(path_type=Path), help="The raw file to write or to continue.")
def measure(file, raw):
    """Measure only: no notebook, no analysis. Run it again to go on where it stopped."""
    from .matrix import load, measuring, plan
    from .runner import measure as run

    values = load(file)
    study = file.name.split(".")[0]
    _known(values, file, study)
    click.echo(run(plan({"study": study} | measuring(values)), raw, params=values))


def _known(values, file, study):
    """Nothing; refuses a key that neither measuring nor the study's notebook knows."""
    from .matrix import Params, known_keys
    from .reporting.render import ReportError, declared, find

    try:
        notebook = declared(find(study))
    except ReportError:
        notebook = {}
    known_keys(str(file), {k: v for k, v in values.items() if k not in notebook}, Params)


@app.command()
@as_json
def size(as_json, **question):
    """GPU memory of a model on an engine: what it reserves and requires, whether it fits, and what to change."""
    from .sizer.command import size as answer

    click.echo(answer(json_=as_json, **question))


def _size_options(command):
    """One option per argument of `sizer.estimate`, as the sizer itself lists them."""
    from .sizer.command import OPTIONS

    for name, (kind, words) in reversed(OPTIONS.items()):
        flag = f"--{name.replace('_', '-')}"
        option = click.Option([flag], is_flag=True, default=None, help=words) if kind is bool else click.Option([flag], type=kind, help=words)
        command.params.insert(0, option)
    return command


_size_options(size)


@app.command()
@as_json
@click.option("--python", nargs=2, multiple=True, metavar="BACKEND PATH", help="An engine's own interpreter.")
@click.option("-f", "--file", type=click.Path(path_type=Path), help="A parameter file that names interpreters as `python`.")
def doctor(as_json, python, file):
    """What is here, and what each backend lacks."""
    from . import doctor as doctor_

    found = doctor_.examine((doctor_.pythons_of(file) if file else {}) | dict(python))
    click.echo(json.dumps(found, indent=1) if as_json else doctor_.text(found))


@app.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FOLDER|PAGE...")
def verify(folders):
    """Derive every number, table, figure and claim of a rendered report again from its raw file.

    A report is named by its folder (outputs/tr118) or by one of its pages (outputs/TR118.md, outputs/TR118.html).
    """
    from .reporting.verify import verify as differences

    found = [line for folder in folders for line in differences(folder)]
    for line in found:
        click.echo(line)
    if found:
        sys.exit(1)
    click.echo(f"verified: {', '.join(map(str, folders))}")


@app.command()
@click.argument("checks", nargs=-1)
@as_json
def selfcheck(checks, as_json):
    """Check the clock, the harness and its statistics on this machine, and store the certificate."""
    from . import selfcheck as selfcheck_

    results = []
    for result in selfcheck_.run(checks):
        results.append(result)
        click.echo(_line(result), err=as_json)
    found = selfcheck_.certificate(results)
    path = selfcheck_.store(found)
    click.echo(json.dumps(found, indent=1) if as_json else f"certificate: {path}")
    if any(result["passed"] is False for result in results):
        sys.exit(1)


def _line(result):
    """A check's result in a line: its name, its verdict, its figures."""
    figures = {k: v for k, v in result.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    shown = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
    why = result.get("skipped") or result.get("why")
    word = "skipped" if result.get("skipped") else "passed" if result["passed"] else "FAILED"
    return f"{word}  {result['name']:14} {shown}{f' ({why})' if why else ''}"


@app.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
def bundle(folder, file):
    """Pack a rendered report with its raw data, parameters, certificate and environment into one tar file."""
    from .reporting.bundle import pack

    click.echo(pack(folder, file))


@app.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder for the second measurement.")
@click.option("--tolerance", default=0.02, show_default=True, help="On ratios with their intervals.")
def reproduce(file, out, tolerance):
    """Measure a bundle again on this machine, and say whether its claims' ratios were REPRODUCED."""
    from .reporting.bundle import reproduce as again

    found = again(file, out, tolerance)
    click.echo(found)
    if found.conclusion != "REPRODUCED":
        sys.exit(1)


def main():
    """The console script: a user's mistake is one sentence on standard error and exit code 1."""
    try:
        app(standalone_mode=False)
    except LlmResearchError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        print("stopped: everything measured so far is in the raw file; run the same command to go on.", file=sys.stderr)
        sys.exit(130)
