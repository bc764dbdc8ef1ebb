"""The `opnet` command."""

from __future__ import annotations

import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import torch
import typer

from opnet.cli import commands
from opnet.cli.console import Console
from opnet.core.errors import LostWorkerError, SolveError, TrainingError
from opnet.data.ranks import launched_rank

EXIT_FAILURE, EXIT_WRONG_INPUT, EXIT_INTERRUPTED = 1, 2, 130

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
    help="Learn operators and graph dynamics, and measure how far to trust them.\n\n"
    "Start with:  [bold]opnet run datasets/darcy/quick.toml[/bold]",
)

RecipePath = Annotated[Path, typer.Argument(help="A recipe (TOML); examples lie in datasets/.", show_default=False)]
Out = Annotated[Path | None, typer.Option("--out", help="Folder to write to.", show_default=False)]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Overrule a key, e.g. training.epochs=5; repeatable."),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Overrule the recipe's seed.", show_default=False)]
Device = Annotated[str, typer.Option("--device", help="Where to train: cpu, cuda, cuda:1, ...")]
Data = Annotated[Path | None, typer.Option("--data", help="Folder of existing data files.", show_default=False)]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes that generate; the data are the same.")]
Threads = Annotated[
    int,
    typer.Option(
        "--threads",
        min=1,
        help="Processor threads of training and measuring. One is the surest where cores are shared; more are faster "
        "for large models on idle cores, and change the last digits.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no messages.")]
Json = Annotated[bool, typer.Option("--json", help="Print records as JSON instead of tables.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@app.command()
def run(
    recipe: RecipePath,
    out: Out = None,
    data: Data = None,
    device: Device = "cpu",
    seed: Seed = None,
    settings: Settings = None,
    workers: Workers = 1,
    threads: Threads = 1,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Do all a recipe says: make or read data, train, measure, report. Finished parts are reused.

    Example:  opnet run datasets/darcy/quick.toml --set training.epochs=10
    """
    job = commands.open_job(recipe, settings or [], seed, data=data, device=device)
    torch.set_num_threads(threads)
    commands.run(job, Console(quiet=quiet, as_json=json), out=out, workers=workers)


@app.command()
def generate(
    recipe: RecipePath,
    out: Out = None,
    seed: Seed = None,
    settings: Settings = None,
    workers: Workers = 1,
    device: Annotated[str, typer.Option("--device", help="Where to solve: cpu, cuda, cuda:1, ...")] = "cpu",
    append: Annotated[
        bool, typer.Option("--append", help="Let the store in --out grow to the recipe's n_train and n_test.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make the recipe's data set alone, as a store that runs of the recipe will share.

    The recipe needs no [model] and no [training]. Several machines that share a file system make one store together:
    torchrun --nproc-per-node 2 -m opnet generate RECIPE --out DIR

    Example:  opnet generate datasets/darcy/quick.toml --workers 2
    """
    console = Console(quiet=quiet or launched_rank() > 0, as_json=json)
    commands.generate_store(
        recipe, settings or [], seed, console, out=out, workers=workers, device=device, append=append
    )


@app.command()
def train(
    recipe: RecipePath,
    out: Out = None,
    data: Data = None,
    device: Device = "cpu",
    seed: Seed = None,
    settings: Settings = None,
    workers: Workers = 1,
    threads: Threads = 1,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make or find the data and train, without measuring; `opnet run` goes on from there.

    Example:  opnet train datasets/darcy/quick.toml --seed 1
    """
    job = commands.open_job(recipe, settings or [], seed, data=data, device=device)
    torch.set_num_threads(threads)
    commands.train(job, Console(quiet=quiet, as_json=json), out=out, workers=workers)


@app.command()
def evaluate(
    run_folder: Annotated[Path, typer.Argument(help="A run folder with a trained model.", show_default=False)],
    data: Data = None,
    format: Annotated[str | None, typer.Option("--format", help="Format of the files in --data.")] = None,
    metric: Annotated[list[str] | None, typer.Option("--metric", help="Metric to measure; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Results file (JSON) to write.", show_default=False)] = None,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a trained model again, on its own test data or on another data set.

    Example:  opnet evaluate runs/darcy-quick-1a2b3c4d --metric RelativeH1
    """
    commands.evaluate_run(
        run_folder, Console(quiet=quiet, as_json=json), data=data, data_format=format, metrics=metric or [], out=out
    )


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A store, data folder, checkpoint, run folder or results file.")],
    format: Annotated[str | None, typer.Option("--format", help="Format of a foreign data folder.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Print what something holds: contents, units, provenance, error bars.

    Example:  opnet inspect runs/darcy-quick-1a2b3c4d/data
    """
    commands.show_tables(path, Console(as_json=json), format)


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A store, checkpoint, run folder or data folder.", show_default=False)],
    format: Annotated[str | None, typer.Option("--format", help="Format of a foreign data folder.")] = None,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Read every byte again and check it against the digests; exit code 1 if anything is damaged or unfinished.

    Example:  opnet verify datasets/darcy/data/darcy-quick-1a2b3c4d
    """
    return 0 if commands.verify(path, Console(quiet=quiet, as_json=json), format) else EXIT_FAILURE


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A store, or a folder of other people's files.", show_default=False)],
    destination: Annotated[Path, typer.Argument(help="A new or empty folder.", show_default=False)],
    to: Annotated[str, typer.Option("--to", help="store, or the_well.")] = "store",
    format: Annotated[str | None, typer.Option("--format", help="Format of the source, if it is not plain.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--set", help="An argument of the format, such as problem=burgers; repeatable."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the data set; the source's own by default.")] = None,
    quiet: Quiet = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Copy data into an opnet store, or into the layout of The Well.

    Example:  opnet convert datasets/darcy/data/darcy-quick-1a2b3c4d darcy-well --to the_well
    """
    console = Console(quiet=quiet, as_json=json)
    commands.convert(source, destination, console, data_format=format, options=option or [], to=to, name=name)


@app.command("list")
def list_names(
    kind: Annotated[str | None, typer.Argument(help="problems, models, losses, metrics, formats, ...")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List what recipes can name.

    Example:  opnet list models
    """
    commands.list_names(kind, Console(as_json=json))


def main() -> NoReturn:
    """Run the command; every failure leaves with one sentence and an exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_exit_code(sys.argv[1:]))


def _exit_code(arguments: list[str]) -> int:
    try:
        code = app(arguments, standalone_mode=False) or 0
        if code != EXIT_INTERRUPTED:  # what typer makes of KeyboardInterrupt
            return code
        raise KeyboardInterrupt
    except BaseException as error:
        if "--debug" in arguments:
            traceback.print_exception(error)
        return _answer(error)


def _answer(error: BaseException) -> int:
    """Say what went wrong, and the exit code for it; raises again what only a programmer can mend."""
    try:
        raise error
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted; the same command goes on from here", prefix="")
        return EXIT_INTERRUPTED
    except (LostWorkerError, SolveError, TrainingError) as error:
        _say(str(error))
        return EXIT_FAILURE
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        _say(f"{error.filename}: expected a file or folder that can be used, found: {error.strerror}")
        return EXIT_WRONG_INPUT
    except OSError as error:
        _say(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return EXIT_FAILURE
    except ValueError as error:
        _say(str(error))
        return EXIT_WRONG_INPUT
    except Exception as error:
        # Wrong words on the command line: typer may bring its own click, whose classes have no public name.
        if not hasattr(error, "format_message"):
            raise
        if error.format_message():  # empty after `opnet` alone, which has printed its help
            _say(error.format_message())
        return EXIT_WRONG_INPUT


def _say(text: str, prefix: str = "error: ") -> None:
    print(prefix + " ".join(text.split()), file=sys.stderr)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
