"""`vidcolor models`."""

import json
from dataclasses import asdict

import click

from vidcolor.cli.names import ModelName


@click.group("models")
def command() -> None:
    """List, show and verify the models in the package, or a model file.

    \b
    Example:
      vidcolor models list
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a model on stdout.")
def list_(as_json: bool) -> None:
    """Name every packaged model.

    \b
    Example:
      vidcolor models list
    """
    from vidcolor import weights

    for path in weights.packaged():
        header = weights.read_header(path)
        megabytes = path.stat().st_size / 1e6
        if as_json:
            facts = {
                "name": path.stem,
                "version": header.version,
                "generator": header.generator,
                "megabytes": megabytes,
            }
            click.echo(json.dumps(facts))
        else:
            click.echo(f"{path.stem:<12} {header.version:<8} {header.generator:<8} {megabytes:6.1f} MB  {path}")


@command.command("show")
@click.argument("model", default="default", type=ModelName())
@click.option("--json", "as_json", is_flag=True, help="The header as one JSON object on stdout.")
def show(model: str, as_json: bool) -> None:
    """Show a model's header and its card: data, licence, scores.

    \b
    Example:
      vidcolor models show default
    """
    from vidcolor import weights

    path = weights.find(model)
    header = asdict(weights.read_header(path)) | {"path": str(path), "sha256": weights.sha256(path)}
    if as_json:
        click.echo(json.dumps(header))
        return
    for key in ("name", "version", "generator", "size", "path", "sha256"):
        click.echo(f"{key:<10} {header[key]}")
    card = path.with_suffix(".md")
    click.echo(f"\n{card.read_text(encoding='utf-8')}" if card.is_file() else "(this model has no card)")


@command.command("verify")
@click.argument("models", metavar="[MODEL]...", nargs=-1, type=ModelName())
def verify(models: tuple[str, ...]) -> None:
    """Load models whole and compare them with the checksums on their cards (default: every packaged model).

    \b
    Example:
      vidcolor models verify default
    """
    from vidcolor import weights

    for path in [weights.find(model) for model in models] or weights.packaged():
        digest = weights.verify(path)
        click.echo(f"{path.stem}: sound, sha256 {digest}")
