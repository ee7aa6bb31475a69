"""`vidcolor export`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidcolor import choices
from vidcolor.cli.param_types import Choice, Existing, ModelName, Output
from vidcolor.cli.text import tell, to_json
from vidcolor.counts import counted
from vidcolor.errors import UsageError
from vidcolor.formats import EXPORTS

if TYPE_CHECKING:
    from vidcolor.inference.export import ExportResult


@click.command("export")
@click.argument("model", type=ModelName())
@click.option("-o", "--output", required=True, type=Output(path_type=Path), help="File to write: .onnx or .xml.")
@click.option(
    "--format", "form", type=Choice(choices.EXPORT_FORMS), help="What to write. [default: by the file's suffix]"
)
@click.option(
    "--precision", type=Choice(choices.EXPORT_PRECISIONS), default="fp32", show_default=True,
    help="Precision of the weights; with int8 the network also computes in 8 bits.",
)  # fmt: skip
@click.option(
    "--calibrate", multiple=True, type=Existing(),
    help="Photos or films like yours to fit int8 to: folder, archive or file; may be repeated. [default: packaged]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@click.option(
    "--json", "is_json", is_flag=True, help="Write the files and their comparison as a JSON object to stdout."
)
def command(
    *, model: str, output: Path, form: str | None, precision: str, calibrate: tuple[Path, ...], overwrite: bool,
    is_json: bool,
) -> None:  # fmt: skip
    """Write a model as ONNX or OpenVINO for other programs, and compare its outputs with torch's.

    MODEL is a packaged model's name or a model file. The new file takes L* (batch, 1, height, width) and gives a*b*;
    height and width may be any multiples of what its metadata name as `multiple`.

    \b
    Examples:
      vidcolor export default -o default.onnx
      vidcolor export mine.safetensors -o mine.xml --precision int8 --calibrate scans/
    """
    from vidcolor.inference import weights
    from vidcolor.inference.export import export

    forms = {suffix: name for name, suffix in EXPORTS.items()}
    if form is None and output.suffix.lower() not in forms:
        known = " or ".join(f"{suffix} ({name})" for suffix, name in forms.items())
        raise UsageError(f"{output}: the suffix says what to write, {known}.")
    chosen = form or forms[output.suffix.lower()]
    done = export(
        weights.find(model), output, form=chosen, precision=precision, calibrate=calibrate, overwrite=overwrite
    )
    _print_result(done, is_json=is_json)


def _print_result(done: "ExportResult", *, is_json: bool) -> None:
    if is_json:
        tell(to_json(done))
        return
    tell(f"{', '.join(str(file) for file in done.files)}: {done.megabytes:.1f} MB")
    tell(f"a*b* beside torch in fp32, {counted(done.pictures, 'picture')}:  largest difference    mean")
    for parity in done.parities:
        tell(f"  {parity.runtime:<36} {parity.worst:18.4f} {parity.mean:10.4f}")
