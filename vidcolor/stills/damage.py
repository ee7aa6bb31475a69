"""The exceptions that Pillow and decompressors raise for damaged content."""

import lzma
import struct
import tarfile
import zipfile
import zlib

from PIL import Image

DAMAGED = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, ArithmeticError, NotImplementedError, RuntimeError,
    struct.error, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, Image.DecompressionBombError,
)  # fmt: skip  # Pillow says SyntaxError for a broken PNG
