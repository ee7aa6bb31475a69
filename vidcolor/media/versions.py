"""Which FFmpeg PyAV has brought."""

import av


def film_versions() -> str:
    """Of what decodes and encodes. The encoders' libraries come with PyAV, and tell no version of their own."""
    return f"PyAV {av.__version__} with FFmpeg {ffmpeg_version()}"


def ffmpeg_version() -> str:
    """The release, and the libraries that matter to films."""
    libraries = (f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in ("libavcodec", "libavformat"))
    return f"{getattr(av, 'ffmpeg_version_info', 'of an unknown release')} ({', '.join(libraries)})"
