"""Every suffix of the table is what the table says: a file of each goes through the real command."""

import io
import json
from importlib.util import find_spec
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from media_fixtures import lumas, make_film
from PIL import Image

from vidcolor import cli, formats
from vidcolor.archives.compression import COMPRESSIONS
from vidcolor.archives.entries import kind_of
from vidcolor.archives.opening import is_archive
from vidcolor.films import naming
from vidcolor.media.containers import container_of
from vidcolor.stills.files import open_still

GRAY = np.linspace(0, 255, 40 * 56).reshape(40, 56).astype(np.uint8)
FORMATS = {
    "JPEG": ".jpg .jpeg .jpe .jfif .jif .mpo", "PNG": ".png .apng", "BMP": ".bmp .dib", "GIF": ".gif", "WEBP": ".webp",
    "TIFF": ".tif .tiff .tf8 .btf", "AVIF": ".avif", "HEIF": ".heic .heif .hif", "PPM": ".pgm .ppm .pbm .pnm",
    "jp2": ".jp2 .jpf .jpx", "j2k": ".j2k .j2c .jpc",
}  # fmt: skip
MUXERS = {
    "mp4": ".mp4 .m4v .f4v", "mov": ".mov .qt", "matroska": ".mkv .mk3d", "webm": ".webm", "avi": ".avi .divx",
    "mpeg": ".mpg .mpeg .mpe .vob .evo .mod .tod", "mpeg1video": ".m1v .mpv", "mpeg2video": ".m2v",
    "mpegts": ".mts .m2ts .m2t .ts", "asf": ".wmv .asf", "flv": ".flv", "3gp": ".3gp", "3g2": ".3g2",
    "ogg": ".ogv .ogm", "mxf": ".mxf", "gxf": ".gxf", "dv": ".dv", "rm": ".rm .rmvb", "nut": ".nut",
    "yuv4mpegpipe": ".y4m",
}  # fmt: skip
CODECS = {
    "webm": "libvpx-vp9", "mpeg": "mpeg2video", "mpeg1video": "mpeg1video", "mpeg2video": "mpeg2video", "dv": "dvvideo",
    "asf": "msmpeg4", "flv": "flv1", "3gp": "mpeg4", "3g2": "mpeg4", "ogg": "libvpx", "mxf": "mpeg2video",
    "gxf": "mpeg2video", "rm": "rv10", "nut": "mpeg4", "yuv4mpegpipe": "wrapped_avframe",
}  # fmt: skip


def formats_of(table: dict[str, str]) -> dict[str, str]:
    return {suffix: form for form, listed in table.items() for suffix in listed.split()}


def photo(form: str, suffix: str) -> bytes:
    file = io.BytesIO()
    if form in ("jp2", "j2k"):
        return bytes(imagecodecs.jpeg2k_encode(GRAY, level=0, reversible=True, codecformat=form))
    if form == "TIFF":
        tifffile.imwrite(file, GRAY, photometric="minisblack", bigtiff=suffix in (".btf", ".tf8"))
        return file.getvalue()
    image = Image.fromarray(GRAY)
    if form == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    (image.convert("RGB") if form in ("AVIF", "HEIF", "WEBP") else image).save(file, form)
    return file.getvalue()


def run(*arguments: object, model: Path) -> int:
    return cli.run([*map(str, arguments), "--model", str(model)])


def test_the_table_is_tried_in_full() -> None:
    assert formats_of(FORMATS).keys() == formats.PHOTOS
    assert formats_of(MUXERS).keys() == formats.FILMS
    assert formats.CONTAINERS.keys() <= formats.FILMS
    assert [container_of(Path(f"a{suffix}")).name for suffix in formats.CONTAINERS] == [*formats.CONTAINERS.values()]
    assert not formats.PHOTOS & (formats.FILMS | formats.UNREAD_PHOTOS)
    assert not formats.UNREAD_ARCHIVES & (formats.ZIPS | formats.TARS.keys())
    assert set(formats.TARS.values()) == set(COMPRESSIONS)


def test_a_photo_of_every_suffix_is_colored(tmp_path: Path, tiny_model: Path) -> None:
    forms = formats_of(FORMATS)
    if not find_spec("pillow_heif"):
        forms = {suffix: form for suffix, form in forms.items() if form != "HEIF"}
    (tmp_path / "in").mkdir()
    for suffix, form in forms.items():
        (tmp_path / "in" / f"photo{suffix}").write_bytes(photo(form, suffix))
    assert run(tmp_path / "in", "-o", tmp_path / "out", "-q", model=tiny_model) == 0
    for suffix in forms:
        with open_still(tmp_path / "out" / f"photo{suffix}") as still:
            assert still.pages[0].tone != "gray", suffix
    for suffix in forms:  # as one file, too
        name = f"photo{suffix}"
        assert run(tmp_path / "in" / name, "-o", tmp_path / f"one{suffix}", "-q", model=tiny_model) == 0
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / "out" / name).read_bytes(), suffix


def test_a_picture_of_every_other_suffix_is_spoken_of(tmp_path: Path, tiny_model: Path, capsys) -> None:
    (tmp_path / "in").mkdir()
    for suffix in formats.UNREAD_PHOTOS | formats.UNREAD_ARCHIVES:
        (tmp_path / "in" / f"scan{suffix}").write_bytes(b"any")
        (tmp_path / "in" / f"SCAN 2{suffix.upper()}").write_bytes(b"any")
    (tmp_path / "in" / "._scan.tga").write_bytes(b"of a Mac")
    Image.fromarray(GRAY).save(tmp_path / "in" / "photo.png")
    assert run(tmp_path / "in", "-o", tmp_path / "out", "-q", model=tiny_model) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == len(formats.UNREAD_PHOTOS | formats.UNREAD_ARCHIVES)
    for suffix in formats.UNREAD_PHOTOS | formats.UNREAD_ARCHIVES:
        assert sum(f"SCAN 2{suffix.upper()} and 1 other: not colored: {suffix} " in line for line in told) == 1
        assert (tmp_path / "out" / f"scan{suffix}").read_bytes() == b"any"
    for suffix in sorted(formats.UNREAD_PHOTOS):
        name = f"scan{suffix}"
        assert run(tmp_path / "in" / name, "-o", tmp_path / name, model=tiny_model) == 1
        said = capsys.readouterr().err
        assert f"{name}: not a picture of a known kind" in said
        assert not (tmp_path / name).exists()


def make(path: Path, muxer: str) -> Path:
    sizes = {"dv": (720, 576), "gxf": (720, 576), "rm": (64, 48)}
    codec = CODECS.get(muxer, "libx264")
    return make_film(path, container=muxer, codec=codec, size=sizes.get(muxer, (176, 144)), pts=range(5))


def test_a_film_of_every_suffix_is_colored(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "in").mkdir()
    made = {}
    for suffix, muxer in formats_of(MUXERS).items():
        film = tmp_path / "in" / f"film of {suffix[1:]}{suffix}"
        made[suffix] = film
        make(film, muxer)
    assert made
    assert run(tmp_path / "in", "-o", tmp_path / "out", "-q", "--recolor", model=tiny_model) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["counts"] == {"colored": len(made)}
    for suffix, film in made.items():
        kept = suffix in formats.CONTAINERS
        assert lumas(tmp_path / "out" / (film.name if kept else f"{film.stem}.mkv"))
        assert naming.plan_jobs([film], f"{tmp_path}/x/")[0].target.suffix == (suffix if kept else ".mkv")


def test_archives_are_known_by_the_same_suffixes(tmp_path: Path) -> None:
    for ending in formats.ZIPS | formats.TARS.keys():
        (tmp_path / f"box{ending.upper()}").write_bytes(b"any")
        assert is_archive(tmp_path / f"box{ending.upper()}")
        assert kind_of(f"box{ending}") == "archive"
