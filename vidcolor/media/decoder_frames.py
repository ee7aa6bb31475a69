"""A decoded frame as the other stages see it: its luma untouched, its chroma on request, both cropped to what shows."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from av.video.frame import VideoFrame

from vidcolor.frames import Crop, Frame, Plane
from vidcolor.media.damage import Damage
from vidcolor.media.pixels import chroma_of, layout_of, luma_of, reformat, to_planar
from vidcolor.media.probe import ProbeResult, crop_to_shown


class FrameConverter:
    """Turns the decoder's frames into `Frame`s of one size and format."""

    def __init__(self, coded: ProbeResult, crop: Crop | None) -> None:
        """coded: the film before cropping.  crop: what to cut away; None: nothing."""
        self._coded, self._crop = coded, crop
        self._shown_chroma_size = (crop_to_shown(coded) if crop else coded).info.picture.chroma_size

    def convert(self, native: VideoFrame, damage: Damage, *, is_from_device: bool) -> Frame:
        """The frame, cropped. A frame of another size or format than the film's is converted, and counted in `damage`.

        is_from_device: a graphics chip decoded it, whose formats are others and no damage.
        """
        whole = self._convert_whole(native, damage, is_from_device=is_from_device)
        if self._crop is None:
            return whole
        chroma = whole.chroma and partial(self._crop_chroma, self._crop, whole.chroma)
        return replace(whole, luma=self._crop.apply(whole.luma), chroma=chroma)

    def _convert_whole(self, native: VideoFrame, damage: Damage, *, is_from_device: bool) -> Frame:
        picture, pixel_format = self._coded.info.picture, self._coded.info.pixel_format
        if (native.width, native.height) != (picture.width, picture.height):
            # One output stream has one size. The frame is scaled rather than the film refused, and it is counted.
            damage.resized_frames += 1
            native = _scale(native, picture.width, picture.height, pixel_format)
        elif is_from_device and native.format.name != pixel_format:
            # The conversion moves chroma alone, and keeps times, flags and side data, which the sink asks for.
            luma = luma_of(native, layout_of(native.format.name))
            planar = reformat(native, format=self._coded.layout.planar)
            return Frame(luma, native.pts, planar, self._chroma(planar))
        elif native.format.name != pixel_format:
            damage.resized_frames += 1
            native = reformat(native, format=pixel_format)
        layout = layout_of(native.format.name)
        if not layout.readable:
            converted = to_planar(native, layout, picture)
            luma = luma_of(converted, layout_of(converted.format.name))
            return Frame(luma, native.pts, native, self._chroma(converted))
        return Frame(luma_of(native, layout), native.pts, native, self._chroma(native))

    def _chroma(self, native: VideoFrame) -> Callable[[], tuple[Plane, Plane]] | None:
        layout = layout_of(native.format.name)
        return None if layout.is_gray else partial(chroma_of, native, layout, self._coded.info.picture)

    def _crop_chroma(self, crop: Crop, chroma: Callable[[], tuple[Plane, Plane]]) -> tuple[Plane, Plane]:
        """The chroma samples from where the shown picture begins, or the ones that its first pixel shares."""
        across, down = self._coded.info.picture.chroma_shift
        top, left = crop.top >> down, crop.left >> across
        rows, columns = self._shown_chroma_size
        cb, cr = (plane[top : top + rows, left : left + columns] for plane in chroma())
        return cb, cr


def _scale(native: VideoFrame, width: int, height: int, pixel_format: str) -> VideoFrame:
    scaled = reformat(native, width=width, height=height, format=pixel_format, interpolation="BICUBIC")
    scaled.pts, scaled.time_base = native.pts, native.time_base
    return scaled
