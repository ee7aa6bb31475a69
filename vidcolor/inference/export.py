"""Export of models as ONNX or OpenVINO files, whose outputs are compared with torch's.

A file's input is `lightness`, L* 0..100, (B, 1, h, w), its output `ab`, a*b*, (B, 2, h/stride, w/stride), both
float32; h and w may be any multiples of the header's `multiple`.
"""

import json
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcolor import outputs
from vidcolor.choices import EXPORT_FORMS, EXPORT_PRECISIONS
from vidcolor.color import Floats
from vidcolor.errors import ModelError, SinkError, UsageError
from vidcolor.formats import EXPORTS
from vidcolor.inference import calibration, weights
from vidcolor.inference.openvino_backend import convert, has_bf16
from vidcolor.inference.openvino_runtime import load_openvino

if TYPE_CHECKING:
    from torch import nn

OPSET = 17  # has layer normalization; needs ONNX Runtime 1.12 or later
COMPARED_PICTURES = 6  # chosen evenly from the packaged pictures
# Greatest mean |Δab| of a file that is accepted. The default model has 0.00003, 0.05 and 0.6.
MAX_DIFFERENCES = {"fp32": 0.05, "fp16": 0.5, "int8": 4.0}

Run = Callable[[Floats], Floats]  # lightness -> ab


@dataclass(frozen=True)
class Parity:
    """Difference of a runtime's outputs from torch's in fp32, in units of a*b*."""

    runtime: str  # "openvino fp32", "onnxruntime"
    worst: float  # largest difference
    mean: float  # mean difference


@dataclass(frozen=True)
class ExportResult:
    """The files written, and how they compare."""

    files: list[Path]  # that were written
    megabytes: float  # 1e6 bytes, of all files
    pictures: int  # compared
    parities: list[Parity]  # one for each runtime


def export(
    model: Path,
    target: Path,
    *,
    form: str,
    precision: str = "fp32",
    calibrate: Sequence[Path] = (),
    overwrite: bool = False,
) -> ExportResult:
    """Write a model as ONNX or OpenVINO, complete and with outputs that match torch's, or not at all.

    form: one of EXPORT_FORMS.  precision: one of EXPORT_PRECISIONS, of the stored weights; with int8 the network also
    computes in 8 bits.  calibrate: photos and films to measure the 8-bit ranges on; default: the packaged ones.
    Raises ModelError, SinkError, SourceError, UsageError.
    """
    _check(target, form, precision, calibrate, overwrite=overwrite)
    header = weights.read_header(model)
    pictures = (
        calibration.read_lightness(calibrate or calibration.packaged_sources(), header) if precision == "int8" else []
    )
    network, _ = weights.load(model)
    facts = metadata(model, header)
    make = _write_onnx if form == "onnx" else _write_openvino
    compared = _pick_evenly(calibration.read_lightness(calibration.packaged_sources(), header))
    with outputs.replacing_group(target, overwrite=overwrite) as aside:
        make(network, aside, precision, pictures, facts)
        parities = list(_measure_parities(network, aside, compared))
        _check_parity(target, parities[0], MAX_DIFFERENCES[precision])
        written = sorted(aside.parent.iterdir(), key=lambda file: file.suffix)
        size = sum(file.stat().st_size for file in written)
    return ExportResult([target.with_suffix(file.suffix) for file in written], size / 1e6, len(compared), parities)


def metadata(model: Path, header: weights.ModelHeader) -> dict[str, str]:
    """Metadata of an exported file: the model file's header, and its card's license."""
    named = re.search(r"license of the weights: (.+?)(?=\n\n|\n- |\Z)", weights.read_card(model), re.DOTALL)
    return {
        "name": header.name,
        "version": header.version,
        "generator": header.generator,
        "config": json.dumps(header.config),
        "license": " ".join(named.group(1).split()) if named else "not stated",
        "size": str(header.size),
        "multiple": str(header.multiple),
        "sha256": header.sha256,
    }


def _check(target: Path, form: str, precision: str, calibrate: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse what can be refused before the conversion."""
    if form not in EXPORT_FORMS or precision not in EXPORT_PRECISIONS:
        raise UsageError(f"{form}, {precision}: there is {', '.join(EXPORT_FORMS)}, in {', '.join(EXPORT_PRECISIONS)}.")
    if target.suffix.lower() != EXPORTS[form]:
        raise UsageError(f"{target}: {form} files end in {EXPORTS[form]}; rename it, or choose another --format.")
    if form == "onnx" and precision == "fp16":
        raise UsageError("ONNX in fp16 is not supported; take fp32, which runtimes convert, or --format openvino.")
    if calibrate and precision != "int8":
        raise UsageError(
            f"precision {precision} needs no calibration; pass --precision int8, or leave out --calibrate."
        )
    if form == "onnx" and not find_spec("onnx"):
        raise UsageError("ONNX files are written by the onnx package: pip install 'vidcolor[onnx]'.")
    if precision == "int8":
        calibration.require_nncf()
    if not find_spec("openvino"):
        raise UsageError("exported files are checked by OpenVINO: pip install openvino.")
    for file in (target, target.with_suffix(".bin")) if form == "openvino" else (target,):
        outputs.check(file, overwrite=overwrite)


def _write_openvino(
    network: "nn.Module", target: Path, precision: str, pictures: list[Floats], facts: dict[str, str]
) -> None:
    converted = convert(network)
    converted.reshape([-1, 1, -1, -1])
    if precision == "int8":
        converted = calibration.quantize(converted, pictures)
    for key, value in facts.items():
        converted.set_rt_info(value, ["vidcolor", key])
    try:
        load_openvino().save_model(converted, str(target), compress_to_fp16=precision == "fp16")
    except RuntimeError as error:
        raise SinkError(f"{target}: cannot be written ({error}).") from error


def _write_onnx(
    network: "nn.Module", target: Path, precision: str, pictures: list[Floats], facts: dict[str, str]
) -> None:
    import onnx
    import torch

    side = max(64, int(facts["multiple"]))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 1, side, side),),
            target,
            input_names=["lightness"],
            output_names=["ab"],
            dynamic_axes={
                "lightness": {0: "batch", 2: "height", 3: "width"},
                "ab": {0: "batch", 2: "ab_height", 3: "ab_width"},
            },
            opset_version=OPSET,
            dynamo=False,  # tracing takes 1 s instead of 30, writes one file, and needs no onnxscript
        )
    exported = onnx.load(target)
    if precision == "int8":
        exported = calibration.quantize(exported, pictures)
    onnx.helper.set_model_props(exported, {f"vidcolor.{key}": value for key, value in facts.items()})
    onnx.checker.check_model(exported)
    onnx.save(exported, target)


def _pick_evenly(pictures: list[Floats]) -> list[Floats]:
    step = max(1, len(pictures) // COMPARED_PICTURES)
    return pictures[::step][:COMPARED_PICTURES]


def _measure_parities(network: "nn.Module", file: Path, pictures: list[Floats]) -> Iterator[Parity]:
    """Measure the file's own precision first, then the other runtimes of this machine."""
    import torch

    with torch.inference_mode():
        truths: list[Floats] = [network(torch.from_numpy(picture)).numpy() for picture in pictures]
    for runtime, run in _open_runtimes(file):
        differences = [np.abs(run(picture) - truth) for picture, truth in zip(pictures, truths, strict=True)]
        mean = float(np.mean([difference.mean() for difference in differences]))
        yield Parity(runtime, float(max(difference.max() for difference in differences)), mean)


def _open_runtimes(file: Path) -> Iterator[tuple[str, Run]]:
    core = load_openvino().Core()
    network = core.read_model(str(file))
    for name, hint in (("fp32", "f32"), ("bf16", "bf16"))[: 2 if has_bf16(core) else 1]:
        compiled = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": hint})
        yield f"openvino {name}", partial(_infer, compiled)
    if file.suffix == EXPORTS["onnx"] and find_spec("onnxruntime"):
        yield "onnxruntime", _open_onnxruntime(file)


def _infer(compiled: Any, picture: Floats) -> Floats:
    ab: Floats = compiled(picture)[0]
    return ab


def _open_onnxruntime(file: Path) -> Run:
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda picture: session.run(["ab"], {"lightness": picture})[0]


def _check_parity(target: Path, parity: Parity, limit: float) -> None:
    if not parity.mean <= limit:  # NaN neither
        raise ModelError(
            f"{target}: the exported network differs from the model's by {parity.mean:.2f} a*b* units on average, at"
            f" most {limit} is sound; nothing was written. Another --format or --precision may do."
        )
