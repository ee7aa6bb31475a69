"""The programs that vidcolor is timed against. films.py runs each in its own process.

`python peers.py naive CLIP OUT MODEL SECONDS`: RGB frame by frame, as colorizers are commonly written.
`python peers.py eager CLIP OUT WEIGHTS SIDE SECONDS`: DDColor in eager torch, a frame at a time.
`python peers.py plain CLIP OUT`: a plain transcode through PyAV, for machines without the `ffmpeg` command.
Both print {"event": "progress", "frames": N} after each frame, as `vidcolor --json` does now and then.
"""

import json
import sys
import time
from pathlib import Path

import av
from av.video.frame import PictureType

X264 = {"crf": "18", "preset": "veryfast"}  # vidcolor's own defaults


def naive(clip: str, target: str, model: str, seconds: str) -> None:
    """Decode to RGB, scikit-image to Lab, the network, enlarge a*b*, back to RGB, encode; for some seconds."""
    import cv2
    import numpy as np
    import torch
    from skimage.color import lab2rgb, rgb2lab

    from vidcolor.frames import PictureFormat
    from vidcolor.inference import weights
    from vidcolor.inference.colorizer import View

    network, header = weights.load(Path(model))
    began = 0.0
    with av.open(clip) as source, av.open(target, "w") as output, torch.inference_mode():
        film = source.streams.video[0]
        shown = PictureFormat(film.width, film.height, 8, (1, 1), False, "bt709")
        rows, columns = View().network_size(shown, header.size)
        picture = output.add_stream("libx264", rate=film.average_rate, options=X264)
        picture.width, picture.height, picture.pix_fmt = film.width, film.height, "yuv420p"
        for count, frame in enumerate(source.decode(film), start=1):
            lightness = rgb2lab(frame.to_ndarray(format="rgb24"))[..., :1].astype(np.float32)
            small = cv2.resize(lightness, (columns, rows), interpolation=cv2.INTER_AREA)
            ab = network(torch.from_numpy(small)[None, None])[0].permute(1, 2, 0).numpy()
            ab = cv2.resize(ab, (film.width, film.height), interpolation=cv2.INTER_CUBIC)
            rgb = lab2rgb(np.concatenate([lightness, ab], axis=2))
            colored = av.VideoFrame.from_ndarray((rgb * 255).round().astype(np.uint8), format="rgb24")
            colored.pts, colored.time_base = frame.pts, frame.time_base
            output.mux(picture.encode(colored))
            progress(count)
            began = began or time.monotonic()
            if time.monotonic() - began > float(seconds):
                break
        output.mux(picture.encode(None))


def eager(clip: str, target: str, model: str, side: str, seconds: str) -> None:
    """A published colorizer as its own script runs it: a frame at a time in eager torch; for some seconds."""
    import warnings

    import cv2
    import numpy as np
    import torch
    from skimage.color import lab2rgb, rgb2lab

    warnings.simplefilter("ignore")
    from spandrel_extra_arches.architectures.DDColor import DDColorArch

    network = DDColorArch().load(torch.load(model, weights_only=True)).model.eval()
    began, size = 0.0, int(side)
    with av.open(clip) as source, av.open(target, "w") as output, torch.inference_mode():
        film = source.streams.video[0]
        picture = output.add_stream("libx264", rate=film.average_rate, options=X264)
        picture.width, picture.height, picture.pix_fmt = film.width, film.height, "yuv420p"
        for count, frame in enumerate(source.decode(film), start=1):
            rgb = frame.to_ndarray(format="rgb24").astype(np.float32) / 255
            lightness = rgb2lab(rgb)[..., :1].astype(np.float32)
            square = rgb2lab(cv2.resize(rgb, (size, size)))[..., :1].astype(np.float32)
            gray = lab2rgb(np.concatenate([square, np.zeros((size, size, 2), np.float32)], axis=2)).astype(np.float32)
            ab = network(torch.from_numpy(gray).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
            lab = np.concatenate([lightness, cv2.resize(ab, (film.width, film.height))], axis=2)
            out = (np.clip(lab2rgb(lab), 0, 1) * 255).round().astype(np.uint8)
            colored = av.VideoFrame.from_ndarray(out, format="rgb24")
            colored.pts, colored.time_base = frame.pts, frame.time_base
            output.mux(picture.encode(colored))
            progress(count)
            began = began or time.monotonic()
            if time.monotonic() - began > float(seconds):
                break
        output.mux(picture.encode(None))


def plain(clip: str, target: str) -> None:
    """The picture through the same encoder with the same settings, the sound as it is."""
    with av.open(clip) as source, av.open(target, "w") as output:
        film = source.streams.video[0]
        film.thread_type = "AUTO"
        picture = output.add_stream("libx264", rate=film.average_rate, options=X264)
        picture.width, picture.height, picture.pix_fmt = film.width, film.height, "yuv420p"
        picture.codec_context.thread_type = "AUTO"
        picture.codec_context.thread_count = 0
        copies = {stream.index: output.add_stream_from_template(stream) for stream in source.streams.audio}
        count = 0
        for packet in source.demux(film, *source.streams.audio):
            if packet.stream.index in copies:
                if packet.dts is not None:
                    packet.stream = copies[packet.stream.index]
                    output.mux(packet)
                continue
            for frame in packet.decode():
                frame.pict_type = PictureType.NONE  # else the encoder would repeat the source's key frames
                output.mux(picture.encode(frame))
                count += 1
                progress(count)
        output.mux(picture.encode(None))


def progress(frames: int) -> None:
    print(json.dumps({"event": "progress", "frames": frames}), flush=True)


if __name__ == "__main__":
    {"naive": naive, "eager": eager, "plain": plain}[sys.argv[1]](*sys.argv[2:])
