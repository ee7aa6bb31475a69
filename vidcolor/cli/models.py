"""`vidcolor models`."""

from dataclasses import asdict, replace
from pathlib import Path

import click

from vidcolor.cli.help_formatter import SuggestingGroup
from vidcolor.cli.param_types import ModelName
from vidcolor.cli.text import answer, tell, to_json
from vidcolor.errors import UsageError


@click.group("models", cls=SuggestingGroup)
def command() -> None:
    """List, show and verify the models in the package, or a model file; average models.

    \b
    Example:
      vidcolor models list
    """


@command.command("list")
@click.option("--json", "is_json", is_flag=True, help="Write each model as a JSON object to stdout.")
def list_(is_json: bool) -> None:
    """Name every packaged model.

    \b
    Example:
      vidcolor models list
    """
    from vidcolor.inference import weights

    for path in weights.packaged_models():
        header = weights.read_header(path)
        megabytes = path.stat().st_size / 1e6
        if is_json:
            facts = {
                "name": path.stem,
                "version": header.version,
                "generator": header.generator,
                "megabytes": megabytes,
            }
            answer(to_json(facts))
        else:
            answer(f"{path.stem:<12} {header.version:<8} {header.generator:<8} {megabytes:6.1f} MB  {path}")


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

    path = weights.find(model)
    header = asdict(weights.read_header(path)) | {"path": str(path), "sha256": weights.sha256(path)}
    if is_json:
        answer(to_json(header))
        return
    for key in ("name", "version", "generator", "size", "path", "sha256"):
        answer(f"{key:<10} {header[key]}")
    card = weights.read_card(path)
    answer(*("", *card.split("\n")) if card else ("(this model has no card)",))


@command.command("verify")
@click.argument("models", metavar="[MODEL]...", nargs=-1, type=ModelName())
def verify(models: tuple[str, ...]) -> None:
    """Load models completely and compare them with the checksums on their cards (default: all packaged models).

    \b
    Example:
      vidcolor models verify default
    """
    from vidcolor.inference import weights

    for path in [weights.find(model) for model in models] or weights.packaged_models():
        digest = weights.verify(path)
        answer(f"{path.stem}: sound, sha256 {digest}")


@command.command("average")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=ModelName())
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Model file to write.")
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
