"""What a file seems to be that is no colorizer, by its first bytes and the names in it."""

import io
import json
import pickletools
import zipfile
from contextlib import suppress
from pathlib import Path

from vidcolor.errors import ModelError
from vidcolor.printable import printable

HEAD = 4096  # bytes that are looked at
MAX_PICKLE = 20_000_000  # bytes of a file's table of contents that are looked through
DEOLDIFY_ONNX = (
    "take the same model as ONNX: deoldify.onnx, deoldify_artistic.onnx or deoldify_stable.onnx of FaceFusion's or"
    " deoldify-onnx's releases"
)

# Where a file begins so, it is ...
_STARTS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"\x89HDF", "an HDF5 file (Keras?)"),
    (b"\x1f\x8b", "packed by gzip: unpack it first"),
    (b"BZh", "packed by bzip2: unpack it first"),
    (b"\xfd7zXZ", "packed by xz: unpack it first"),
    (b"7z\xbc\xaf", "packed by 7-Zip: unpack it first"),
    (b"Rar!", "packed by RAR: unpack it first"),
    (b"%PDF", "a PDF document"),
    (b"ftrt", "a TensorRT engine, which is made for one GPU"),
    (b"GGUF", "a language model (GGUF)"),
)


def describe_file(path: Path) -> str:
    """Say what a file seems to be, "" where nothing is known. Raises ModelError where it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
    if not head:
        return "an empty file"
    if not any(head):
        return "nothing but zeros, as an interrupted download leaves"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")) or b"<html" in text[:1000]:
        return "a web page, saved in place of the file: download the file itself"
    for start, meaning in _STARTS:
        if head.startswith(start):
            return meaning
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model, which is not read: take the ONNX or PyTorch file"
    if head[4:8] == b"PTMF":
        return "a PyTorch Lite model, which is not read: take the ONNX or PyTorch file"
    if head.startswith(b"PK"):
        return _describe_zip(path)
    if text.startswith((b"{", b"[")) and _is_json(head):
        return "a text of JSON, perhaps a server's refusal: download the file itself"
    if text.startswith(b"<?xml") and b"<net" not in text:
        return "an XML text, perhaps a server's refusal: download the file itself"
    return ""


def describe_pickle(content: bytes) -> str:
    """Say what a pickle holds that is no weights, without running it: the first names it would call; "" for none."""
    names: list[str] = []
    texts: list[str] = []
    stream = io.BytesIO(content[:MAX_PICKLE])
    with suppress(Exception):  # pickletools raises what it likes at bytes that are no pickle
        for _ in range(4):  # older files have three pickles before the one with the weights
            for code, argument, _ in pickletools.genops(stream):
                if code.name == "GLOBAL":
                    names.append(str(argument).replace(" ", "."))
                elif code.name == "STACK_GLOBAL":
                    names.append(".".join(texts[-2:]))
                elif isinstance(argument, str):
                    texts.append(argument)
    if any(text.startswith("layers.") and "shuf.conv" in text for text in texts) or any("fastai" in n for n in names):
        return f"weights of fastai (DeOldify?), whose network only fastai's code builds: {DEOLDIFY_ONNX}"
    return next(
        (f"a pickle with code in it ({printable(name[:60])})" for name in names if not _is_of_weights(name)), ""
    )


def _is_of_weights(name: str) -> bool:
    is_type = name.startswith("torch.") and name.endswith(("Storage", "Size", ".device"))
    return is_type or name in _DTYPES or name.startswith(_REBUILDERS)


_REBUILDERS = ("torch._utils._rebuild", "torch.storage", "collections.OrderedDict")
_DTYPES = {f"torch.{kind}" for kind in ("float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool")}


def _is_json(head: bytes) -> bool:
    with suppress(ValueError):
        json.loads(head)
        return True
    return head[:1] in b"{[" and all(byte >= 9 for byte in head)  # cut at HEAD


def _describe_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        return "a zip or PyTorch file that is cut short: download it again"
    if any(name.endswith("bytecode.pkl") for name in names):
        return "a PyTorch Lite model, which is not read: take the ONNX file, or the weights (.pth)"
    if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
        return "a TorchScript program, which holds code: take the ONNX file, or the weights (.pth)"
    if any(name.endswith(".mlmodel") for name in names):
        return "a Core ML model: take the ONNX or PyTorch file"
    if not any(name.endswith("data.pkl") for name in names):
        return "a zip archive: unpack it first"
    return ""
