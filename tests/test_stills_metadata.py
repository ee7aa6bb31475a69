"""Everything beside the pixels, as exiftool reads it, is the same after coloring."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from vidcolor.stills.files import open_still, write_still
from vidcolor.stills.page import StillSettings

EXIFTOOL = shutil.which("exiftool")
if EXIFTOOL is None:
    pytest.skip("exiftool is not installed: metadata is not compared", allow_module_level=True)

NAME = "vidcolor 9.9 (test)"
Y, X = np.mgrid[:64, :96]
GRAY = ((np.sin(X / 9) + np.cos(Y / 7) + 2) * 60).astype(np.uint8)
EXIF = [
    "-EXIF:Make=Epson", "-EXIF:Model=V850", "-EXIF:Artist=A. Photographer", "-EXIF:Copyright=1906",
    "-EXIF:ImageDescription=Market day", "-EXIF:DateTimeOriginal=1906:04:18 05:12:00", "-EXIF:UserComment=on the back",
    "-EXIF:GPSLatitude=37.77", "-EXIF:GPSLatitudeRef=N", "-EXIF:Orientation#=6", "-EXIF:Software=ScanTool 3",
    "-EXIF:LensModel=Tessar", "-EXIF:XResolution=600", "-EXIF:YResolution=600", "-EXIF:ResolutionUnit#=2",
]  # fmt: skip
XMP = [
    "-XMP-dc:Title=Market", "-XMP-dc:Description=Market day in spring", "-XMP-dc:Subject=market",
    "-XMP-dc:Subject=horses", "-XMP-dc:Creator=A. Photographer", "-XMP-xmp:Rating=4",
    "-XMP-photoshop:City=San Francisco",
    "-XMP-xmp:CreatorTool=ScanTool 3",
]  # fmt: skip
IPTC = ["-IPTC:Headline=Market", "-IPTC:Keywords=horses", "-IPTC:City=San Francisco", "-IPTC:CodedCharacterSet=UTF8"]
WRITTEN = {
    "jpg": [*EXIF, *XMP, *IPTC, "-Comment=found in a box"],
    "png": [*EXIF, *XMP, "-PNG:Author=A. Photographer", "-PNG:Comment=found in a box"],
    "tif": [*EXIF, *XMP, *IPTC, "-IFD0:PageName=front", "-IFD0:DocumentName=album 3"],
    "webp": [*EXIF, *XMP],
    "avif": [*(tag for tag in EXIF if "Orientation" not in tag), *XMP],
    "jp2": [*EXIF, *XMP, *IPTC],
    "heic": [*(tag for tag in EXIF if "Orientation" not in tag), *XMP],
    "gif": ["-Comment=found in a box"],
    "pgm": ["-Comment=found in a box"],
}
# Of the pixels' packing, of the file as such, or meant to change.
CHANGED = {
    "BitsPerSample", "PhotometricInterpretation", "SamplesPerPixel", "StripOffsets", "RowsPerStrip", "StripByteCounts",
    "Compression", "PlanarConfiguration", "Predictor", "ColorType", "Software", "ProcessingSoftware", "ThumbnailOffset",
    "ThumbnailLength", "ThumbnailImage", "CurrentIPTCDigest", "SourceFile", "ColorComponents", "YCbCrSubSampling",
    "EncodingProcess", "MediaDataSize", "MediaDataOffset", "VP8Version", "HorizontalScale", "VerticalScale",
    "BitDepth", "Compatibility", "ColorSpaceSpec", "Colorspace", "ColorSpace", "NumberOfComponents", "BitsPerComponent",
    "MajorBrand", "MinorVersion", "CompatibleBrands", "ColorSpecMethod", "ColorSpecPrecedence",
    "ColorSpecApproximation",
    "ImagePixelDepth", "AV1ConfigurationVersion", "ChromaFormat", "ChromaSamplePosition", "ColorProfiles",
    "ColorPrimaries", "TransferCharacteristics", "MatrixCoefficients", "VideoFullRangeFlag",
    "ColorResolutionDepth", "BitsPerPixel", "HasColorMap", "Filter", "Interlace",
    "ExifByteOrder", "WebPFlags", "PrimaryItemReference", "ImageSpatialExtent", "AlphaIsUsed", "ImageSize",
}  # fmt: skip
STRUCTURE = {"File", "System", "ExifTool", "Composite", "Meta", "QuickTime", "Track1"}


def tags_of(path: Path) -> dict[str, Any]:
    """Every tag, with its group."""
    command = [str(EXIFTOOL), "-j", "-G1", "-a", "-b", "-n", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    tags: dict[str, Any] = json.loads(done.stdout)[0]
    return tags


def lasting(tags: dict[str, Any]) -> dict[str, Any]:
    """What should be the same afterward."""
    kept = {}
    for name, value in tags.items():
        group, _, tag = name.rpartition(":")
        if tag == "Comment" or (group not in STRUCTURE and tag not in CHANGED and not group.startswith("ICC")):
            kept[name] = value
    return kept


def tagged(tmp_path: Path, suffix: str) -> Path:
    path = tmp_path / f"a.{suffix}"
    if suffix == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    options: dict[str, Any] = {"dpi": (600, 600)} if suffix in ("jpg", "png", "tif") else {}
    Image.fromarray(GRAY).save(path, **options)
    done = subprocess.run(
        [str(EXIFTOOL), "-overwrite_original", "-q", *WRITTEN[suffix], str(path)], capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return path


def colored(source: Path, target: Path) -> tuple[str, ...]:
    with open_still(source) as still:
        ab = np.full((2, 16, 16), 25, np.float32)
        return write_still(still, [ab for _ in still.pages], target, StillSettings(NAME))


@pytest.mark.parametrize("suffix", WRITTEN)
def test_every_tag_survives(suffix: str, tmp_path: Path):
    source, target = tagged(tmp_path, suffix), tmp_path / f"b.{'ppm' if suffix == 'pgm' else suffix}"
    colored(source, target)
    old, new = tags_of(source), tags_of(target)
    assert len(lasting(old)) >= (1 if suffix in ("gif", "pgm") else 20)
    changed = {
        name: (value, new.get(name))
        for name, value in lasting(old).items()
        if new.get(name) != value and not (name == "File:Comment" and str(new.get(name, "")).startswith(str(value)))
    }
    assert not changed
    assert not any("Warning" in name or "Error" in name for name in new)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_tag_says_whose_color_it_is_and_the_scanner_keeps_its_own(suffix: str, tmp_path: Path):
    source, target = tagged(tmp_path, suffix), tmp_path / f"b.{'ppm' if suffix == 'pgm' else suffix}"
    colored(source, target)
    tags = tags_of(target)
    if suffix in ("gif", "pgm"):
        assert NAME in next(value for name, value in tags.items() if name.endswith(":Comment"))
    elif suffix == "tif":
        assert tags["IFD0:Software"] == f"ScanTool 3; {NAME}"
    else:
        assert tags["IFD0:ProcessingSoftware"] == NAME
        assert tags["IFD0:Software"] == "ScanTool 3"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "jp2", "avif"])
def test_a_file_without_exif_gets_the_tag_too(suffix: str, tmp_path: Path):
    Image.fromarray(GRAY).save(tmp_path / f"a.{suffix}")
    colored(tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}")
    assert tags_of(tmp_path / f"b.{suffix}")["IFD0:ProcessingSoftware"] == NAME


def test_maker_notes_stay_the_bytes_they_are_where_they_are(tmp_path: Path):
    source = tagged(tmp_path, "jpg")
    note = b"Oddmaker\0\1" + bytes(range(200))
    exif = Image.Exif()
    exif[0x010F] = "Epson"
    exif.get_ifd(0x8769)[0x927C] = note
    Image.fromarray(GRAY).save(source, exif=exif)
    with Image.open(source) as old:
        place = old.info["exif"].index(note)
    colored(source, tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as new:
        assert new.info["exif"].index(note) == place
        assert new.getexif().get_ifd(0x8769)[0x927C] == note


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"tile": (16, 32)}], ids=str)
def test_tiff_keeps_private_tags_of_every_type(options: dict[str, Any], tmp_path: Path):
    extra = [
        (65001, 12, 2, (1.5, -2.5), True), (65002, 5, 1, (7, 3), True), (65003, 2, 0, "private words", True),
        (65004, 3, 3, (1, 2, 3), True), (65005, 7, 5, b"\0\1\2\3\4", True), (315, 2, 0, "Artist", True),
    ]  # fmt: skip
    tifffile.imwrite(tmp_path / "a.tif", GRAY, extratags=extra, resolution=(1200, 600), metadata=None, **options)
    colored(tmp_path / "a.tif", tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as old, tifffile.TiffFile(tmp_path / "b.tif") as new:
        assert new.byteorder == old.byteorder
        assert new.is_bigtiff == old.is_bigtiff
        assert new.pages[0].tile == old.pages[0].tile
        for code in (*range(65001, 65006), 315, 282, 283, 296):
            assert new.pages[0].tags[code].value == old.pages[0].tags[code].value
            assert new.pages[0].tags[code].dtype == old.pages[0].tags[code].dtype


def test_what_a_format_cannot_carry_is_said(tmp_path: Path):
    Image.fromarray(GRAY).save(tmp_path / "a.bmp")
    assert colored(tmp_path / "a.bmp", tmp_path / "b.bmp") == ("BMP has no room for the tag of the software.",)
    Image.init()  # Pillow then asks all of its readers, of which one wants more of a file than tifffile's handle has
    Image.fromarray(GRAY).convert("CMYK").save(tmp_path / "a.tif")
    assert any("CMYK" in loss for loss in colored(tmp_path / "a.tif", tmp_path / "b.tif"))
