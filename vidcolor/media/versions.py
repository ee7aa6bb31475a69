"""The versions of PyAV and FFmpeg."""

import av


def film_versions() -> str:
    """PyAV and FFmpeg with their versions. The encoders' libraries come with PyAV, and state no version."""
    return f"PyAV {av.__version__} with FFmpeg {ffmpeg_version()}"


def ffmpeg_version() -> str:
    """FFmpeg's release, and the versions of the libraries that read and write films."""
    libraries = (f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in ("libavcodec", "libavformat"))
    return f"{getattr(av, 'ffmpeg_version_info', 'of an unknown release')} ({', '.join(libraries)})"
