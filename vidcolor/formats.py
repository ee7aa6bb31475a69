"""Which suffix means what, for folders, archives, jobs and every command: in lower case, with the dot.

What a file truly is decides when it is read; its suffix says what it is to be taken for. A test makes a file of each.
"""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


PHOTOS = _set(
    ".jpg .jpeg .jpe .jfif .jif .mpo .png .apng .tif .tiff .btf .tf8 .webp .avif .heic .heif .hif .jp2 .j2k .jpf .jpx "
    ".j2c .jpc .bmp .dib .pgm .ppm .pbm .pnm .gif"
)
TIFFS = _set(".tif .tiff .btf .tf8")
# Pictures of kinds that are not read, so that nobody takes them for colored: they are spoken of.
UNREAD_PHOTOS = _set(
    ".tga .pcx .dcx .sgi .rgb .ico .icns .cur .ras .pam .pfm .xbm .xpm .wbmp .pict .pct .pcd .fpx .iff .lbm .psd .psb "
    ".xcf .exr .hdr .dpx .cin .jxl .jxr .wdp .hdp .jls .jpm .jph .avifs .heics .heifs .djvu .djv .dng .cr2 .cr3 .crw "
    ".nef .nrw .arw .sr2 .srf .orf .rw2 .raf .pef .raw .rwl .3fr .fff .iiq .erf .mrw .x3f .kdc .dcr .mos"
)
CONTAINERS = {  # films that are written, with FFmpeg's names
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"
}  # fmt: skip
FILMS = _set(
    ".mp4 .m4v .mov .qt .mkv .mk3d .webm .avi .divx .mpg .mpeg .mpe .m1v .m2v .mpv .vob .evo .mod .tod .mts .m2ts .m2t "
    ".ts .wmv .asf .flv .f4v .3gp .3g2 .ogv .ogm .mxf .gxf .dv .rm .rmvb .nut .y4m"
)
ZIPS = _set(".zip .cbz")
TARS = {  # by the packing; the whole ending counts
    ".tar": "", ".tar.gz": "gz", ".tgz": "gz", ".tar.xz": "xz", ".txz": "xz", ".tar.bz2": "bz2", ".tbz": "bz2",
    ".tbz2": "bz2", ".tar.zst": "zst", ".tzst": "zst",
}  # fmt: skip
UNREAD_ARCHIVES = _set(
    ".7z .rar .cbr .cb7 .cbt .lha .lzh .arj .ace .sit .sitx .dmg .iso .lz .lzma .z .gz .xz .bz2 .zst"
)


def archive_ending(name: str) -> str:
    """The ending by which a name is that of an archive which is read and written; "" for all others."""
    name = name.lower()
    return next((ending for ending in (*ZIPS, *TARS) if name.endswith(ending)), "")
