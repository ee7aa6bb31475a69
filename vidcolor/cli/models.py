"""`vidcolor models`."""

import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import click

from vidcolor import choices
from vidcolor.cli.help_formatter import SuggestingGroup
from vidcolor.cli.number_types import Number, Whole
from vidcolor.cli.param_types import AddedName, Choice, Existing, ModelName, Output
from vidcolor.cli.text import answer, say, tell, to_json
from vidcolor.errors import ModelError, UsageError

if TYPE_CHECKING:
    from vidcolor.inference.published.kinds import Scaling


class ModelFile(TypedDict):
    """Beside a model's header."""

    path: str  # of the model's file
    sha256: str  # of the model's file


class ListedModel(TypedDict):
    """A model of `models list`."""

    name: str  # to call it by
    version: str  # of the model
    generator: str  # name of its kind of network
    megabytes: float  # 1e6 bytes, of all its files
    path: str  # of its file


@click.group("models", cls=SuggestingGroup)
def command() -> None:
    """List, show and verify models; add and remove colorizers that others published; average models.

    \b
    Examples:
      vidcolor models list
      vidcolor models add ddcolor_artistic.onnx
    """


@command.command("list")
@click.option("--json", "is_json", is_flag=True, help="Write each model as a JSON object to stdout.")
@click.pass_context
def list_(ctx: click.Context, *, is_json: bool) -> None:
    """Name every model: those in the package, then those that you added.

    \b
    Example:
      vidcolor models list
    """
    from vidcolor.inference import library, weights

    problems = 0
    for name in [*(path.stem for path in weights.packaged_models()), *library.names()]:
        try:
            path = weights.find(name)
            header, size = weights.read_header(path), sum(part.stat().st_size for part in weights.files_of(path))
        except (ModelError, OSError) as error:
            problems += 1
            say(f"vidcolor: {name}: {error}")
            continue
        if is_json:
            listed = ListedModel(
                name=name, version=header.version, generator=header.generator, megabytes=size / 1e6, path=str(path)
            )
            answer(to_json(listed))
        else:
            answer(f"{name:<18} {header.version:<8} {header.generator:<10} {size / 1e6:6.1f} MB  {path}")
    ctx.exit(1 if problems else 0)


@command.command("add")
@click.argument("file", type=Existing())
@click.option("--name", help="Name to call it by. [default: the file's name without its suffix]")
@click.option("--kind", type=Choice(choices.KINDS), help="How it is asked. [default: recognized from the file]")
@click.option("--size", type=Whole(32, 2048), help="Short side, in pixels, that it looks at. [default: the kind's]")
@click.option(
    "--input", "taken", type=Choice(choices.LAB_INPUTS), help="Kind lab: it takes L*, or the gray picture as RGB."
)
@click.option(
    "--range", "span", metavar="LOW..HIGH", help="Kind lab: black and white. [default: 0..100, or 0..1 of RGB]"
)
@click.option("--output", "given", type=Choice(choices.LAB_OUTPUTS), help="Kind lab: it gives a*b*, or RGB.")
@click.option("--scale", type=Number(min=0), help="Kind lab: factor on what it gives. [default: 1]")
@click.option("--json", "is_json", is_flag=True, help="Write what was added as a JSON object to stdout.")
def add(
    *, file: Path, name: str | None, kind: str | None, size: int | None, taken: str | None, span: str | None,
    given: str | None, scale: float | None, is_json: bool,
) -> None:  # fmt: skip
    """Add a colorizer that others published, to be called by its name; also a model of your own.

    FILE is recognized, copied into your folder of models, tried on a picture, and measured. Known are DDColor (.pth,
    .safetensors, .onnx), DeOldify (.onnx), Zhang's siggraph17 (.pth, .onnx) and eccv16 (.pth; .onnx with --kind
    eccv16), and, with --kind lab, any ONNX or OpenVINO file that takes L* or gray RGB and gives a*b* or RGB.

    \b
    Examples:
      vidcolor models add ddcolor_artistic.onnx
      vidcolor models add siggraph17-df00044c.pth --name siggraph17
      vidcolor models add mine.onnx --kind lab --input rgb --range -1..1 --output ab --scale 110
    """
    from vidcolor.inference.adding import add_model
    from vidcolor.inference.published.files import Told

    scaling = _scaling(kind, taken, span, given, scale)
    added = add_model(file, name, Told(kind or "", size, scaling), tell=lambda line: say(f"vidcolor: {line}"))
    if is_json:
        answer(to_json(added))
        return
    answer(f"{added.name}: {added.kind}, added as {added.path}")
    answer(f"license    {added.license}")
    answer(f"cost       {format_cost(added.seconds)} a frame at {added.size} pixels, {added.device}")
    if added.is_slow:
        answer("           slower than a film: films are colored with --every auto unless you say otherwise")
    answer(f"next       vidcolor film.mp4 -o out.mp4 --model {added.name}")
    if added.warning:
        say(f"vidcolor: warning: {added.name}: {added.warning}")


def format_cost(seconds: float) -> str:
    """A time of a frame."""
    return f"{seconds:.2g} s" if seconds >= 0.1 else f"{seconds * 1000:.2g} ms"


def _scaling(
    kind: str | None, taken: str | None, span: str | None, given: str | None, scale: float | None
) -> "Scaling | None":
    """What the options of kind lab say together. Raises UsageError."""
    from vidcolor.inference.published.kinds import Scaling

    if kind != "lab":
        if any(option is not None for option in (taken, span, given, scale)):
            raise UsageError("--input, --range, --output and --scale describe a file of --kind lab.")
        return None
    found = re.fullmatch(r"(-?[0-9.]+)\.\.(-?[0-9.]+)", span or ("0..1" if taken == "rgb" else "0..100"))
    try:
        low, high = map(float, found.groups()) if found else (1.0, 0.0)
    except ValueError:
        low, high = 1.0, 0.0
    if not low < high:
        raise UsageError(f"--range {span!r}: needs black and white, such as 0..1, 0..255 or -1..1.")
    return Scaling(taken or "l", low, high, given or "ab", 1.0 if scale is None else scale)  # type: ignore[arg-type]  # checked


@command.command("remove")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=AddedName())
def remove(names: tuple[str, ...]) -> None:
    """Remove models that you added.

    \b
    Example:
      vidcolor models remove ddcolor_artistic
    """
    from vidcolor.inference import library, weights

    for name in names:
        if name in {path.stem for path in weights.packaged_models()}:
            raise UsageError(f"{name} is in the package, and stays.")
        tell(f"{name}: removed from {library.remove(name)}")


@command.command("show")
@click.argument("model", default="default", type=ModelName())
@click.option("--json", "is_json", is_flag=True, help="Write the header as a JSON object to stdout.")
def show(model: str, is_json: bool) -> None:
    """Show a model's header and its card: data, license, scores.

    \b
    Example:
      vidcolor models show default
    """
    from vidcolor.inference import weights
    from vidcolor.inference.published import files

    path = weights.find(model)
    header = {**asdict(weights.read_header(path)), **ModelFile(path=str(path), sha256=weights.sha256(path))}
    if is_json:
        answer(to_json(header))
        return
    for key in ("name", "version", "generator", "size", "path", "sha256"):
        answer(f"{key:<10} {header[key]}")
    if files.is_published(path):
        answer(*(f"{key:<10} {value}" for key, value in header["notes"].items()))
        return
    card = weights.read_card(path)
    answer(*("", *card.split("\n")) if card else ("(this model has no card)",))


@command.command("verify")
@click.argument("models", metavar="[MODEL]...", nargs=-1, type=ModelName())
@click.pass_context
def verify(ctx: click.Context, *, models: tuple[str, ...]) -> None:
    """Load models completely and compare them with the checksums on their cards (default: all that are listed).

    \b
    Example:
      vidcolor models verify default
    """
    from vidcolor.inference import library, weights
    from vidcolor.inference.trial import verify as verify_model

    known = [*(path.stem for path in weights.packaged_models()), *library.names()]
    problems = []
    for model in models or known:
        try:
            digest = verify_model(model)
        except ModelError as error:
            if models:
                raise
            problems.append(error)
            say(f"vidcolor: {error}")
            continue
        answer(f"{Path(model).stem if weights.is_file(model) else model}: sound, sha256 {digest}")
    ctx.exit(1 if problems else 0)


@command.command("average")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=ModelName())
@click.option("-o", "--output", required=True, type=Output(path_type=Path), help="Model file to write.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def average(models: tuple[str, ...], output: Path, overwrite: bool) -> None:
    """Write the average of models' weights; a model named twice counts twice.

    The average of the default model and one trained from it lies between the two: some of the era's colors. The
    average of several runs from one model is often better than each.

    \b
    Examples:
      vidcolor models average default western.safetensors -o gentler.safetensors
    """
    from vidcolor.inference import weights

    if len(models) < 2:
        raise UsageError("one model is its own average; name two or more.")
    weights.check_output(output, overwrite=overwrite)
    network, header = weights.average([weights.find(model) for model in models])
    weights.save(output, network, replace(header, name=output.stem))
    tell(f"{output}: the average of {len(models)} models")
