"""Metadata: which tags are copied to the output."""

_STATISTICS = ("BPS", "DURATION", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "_STATISTICS", "ENCODER")
_STRUCTURE = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "vendor_id"}
# What iTunes-style MP4 metadata has a box for. Other tags need QuickTime's key-value form, which FFmpeg reads too.
MP4_TAGS = {
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping",
    "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "episode_sort", "season_number",
    "media_type", "hd_video", "gapless_playback", "compilation", "track", "disc", "creation_time",
}  # fmt: skip


def kept_tags(metadata: dict[str, str]) -> dict[str, str]:
    """The tags that are still true of the output: without entries of the old muxer and encoder."""
    metadata = dict(metadata)
    if "name" in metadata and "title" not in metadata:
        metadata["title"] = metadata.pop("name")  # MP4 calls a track's title so
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _STRUCTURE and not key.upper().startswith(_STATISTICS)
    }
