"""Which suffix means what, for every command and module: in lower case, with the dot. The one table of suffixes.

What a file truly is decides when it is read; its suffix says what it is to be taken for. A test makes a file of each.
"""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


PHOTOS = _set(
    ".jpg .jpeg .jpe .jfif .jif .mpo .png .apng .tif .tiff .btf .tf8 .webp .avif .heic .heif .hif .jp2 .j2k .jpf .jpx "
    ".j2c .jpc .bmp .dib .pgm .ppm .pbm .pnm .gif"
)
# Photos that training, calibration and evaluation look for in folders and archives, and that stills to follow are.
# What is added here changes which pictures are learned from: the same data gives another model.
LEARNED_PHOTOS = _set(".jpg .jpeg .png .webp .tif .tiff .bmp")
ANIMATIONS = _set(".gif")  # photos that FFmpeg reads as films
NUMBERED_PICTURES = _set(".png .tif .tiff .jpg .jpeg .bmp .dpx .exr .jp2 .j2k .pgm .ppm .webp")  # a film's, by FFmpeg
# Pictures of kinds that are not read, so that nobody takes them for colored: they are spoken of.
UNREAD_PHOTOS = _set(
    ".tga .pcx .dcx .sgi .rgb .ico .icns .cur .ras .pam .pfm .xbm .xpm .wbmp .pict .pct .pcd .fpx .iff .lbm .psd .psb "
    ".xcf .exr .hdr .dpx .cin .jxl .jxr .wdp .hdp .jls .jpm .jph .avifs .heics .heifs .djvu .djv .dng .cr2 .cr3 .crw "
    ".nef .nrw .arw .sr2 .srf .orf .rw2 .raf .pef .raw .rwl .3fr .fff .iiq .erf .mrw .x3f .kdc .dcr .mos"
)
CONTAINERS = {  # films that are written, with FFmpeg's names
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"
}  # fmt: skip
FALLBACK_CONTAINER = ".mkv"  # holds every stream of a film whose own container is not written
FILMS = _set(
    ".mp4 .m4v .mov .qt .mkv .mk3d .webm .avi .divx .mpg .mpeg .mpe .m1v .m2v .mpv .vob .evo .mod .tod .mts .m2ts .m2t "
    ".ts .wmv .asf .flv .f4v .3gp .3g2 .ogv .ogm .mxf .gxf .dv .rm .rmvb .nut .y4m"
)
ZIPS = _set(".zip .cbz")
TARS = {  # by the packing; the whole ending counts
    ".tar": "", ".tar.gz": "gz", ".tgz": "gz", ".tar.xz": "xz", ".txz": "xz", ".tar.bz2": "bz2", ".tbz": "bz2",
    ".tbz2": "bz2", ".tar.zst": "zst", ".tzst": "zst",
}  # fmt: skip
# The last suffixes of archives that are read; what ends in .gz may be anything, but nothing else that is learned from.
ARCHIVES = frozenset(f".{ending.rpartition('.')[2]}" for ending in (*ZIPS, *TARS))
UNREAD_ARCHIVES = _set(
    ".7z .rar .cbr .cb7 .cbt .lha .lzh .arj .ace .sit .sitx .dmg .iso .lz .lzma .z .gz .xz .bz2 .zst"
)
# Archives for sure, which are refused by name; a .gz or .iso may be anything.
REFUSED_ARCHIVES = UNREAD_ARCHIVES & _set(".7z .rar .cbr .cb7 .lha .lzh .arj .ace .sit .sitx")
REFERENCE_LISTS = _set(".txt .csv .tsv")  # of times and stills
EXPORTS = {"onnx": ".onnx", "openvino": ".xml"}  # models for other programs, by --format
MODEL_GRAPHS = (".onnx", ".xml")  # published colorizers as graphs: ONNX, OpenVINO
MODEL_WEIGHTS = (".pth", ".pt", ".ckpt")  # and as weights of torch
MODELS = (".safetensors", *MODEL_GRAPHS, *MODEL_WEIGHTS)  # files that --model takes
# What commands write that no run looks for in a folder, so that it may lie in an input.
RESULTS = _set(".html .csv .json .safetensors .bin") | frozenset(EXPORTS.values())


def archive_ending(name: str) -> str:
    """The ending by which a name is that of an archive which is read and written; "" for all others."""
    name = name.lower()
    return next((ending for ending in (*ZIPS, *TARS) if name.endswith(ending)), "")
