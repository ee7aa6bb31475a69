"""The programs that vidcolor is timed against. films.py and others run each in its own process.

`python peers.py naive CLIP OUT MODEL SECONDS`: RGB frame by frame, as colorizers are commonly written.
`python peers.py eager CLIP OUT WEIGHTS SIDE SECONDS`: DDColor in eager torch, a frame at a time.
`python peers.py ddcolor CLIP OUT ENCODER SIDE SECONDS`: the same with random weights and another encoder.
`python peers.py deoldify CLIP OUT FACTOR SECONDS`: DeOldify's network for films with random weights, likewise.
`python peers.py plain CLIP OUT`: a plain transcode through PyAV, for machines without the `ffmpeg` command.
All print {"event": "progress", "frames": N} after each frame, as `vidcolor --json` does now and then.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

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

    def color(gray: Any) -> Any:
        height, width = gray.shape[:2]
        rows, columns = View().network_size(PictureFormat(width, height, 8, (1, 1), False, "bt709"), header.size)
        lightness = rgb2lab(gray)[..., :1].astype(np.float32)
        small = cv2.resize(lightness, (columns, rows), interpolation=cv2.INTER_AREA)
        ab = network(torch.from_numpy(small)[None, None])[0].permute(1, 2, 0).numpy()
        ab = cv2.resize(ab, (width, height), interpolation=cv2.INTER_CUBIC)
        return (lab2rgb(np.concatenate([lightness, ab], axis=2)) * 255).round().astype(np.uint8)

    color_film(clip, target, float(seconds), color)


def eager(clip: str, target: str, model: str, side: str, seconds: str) -> None:
    """A published colorizer as its own script runs it: a frame at a time in eager torch; for some seconds."""
    import torch

    warnings.simplefilter("ignore")
    from spandrel_extra_arches.architectures.DDColor import DDColorArch

    run_ddcolor(DDColorArch().load(torch.load(model, weights_only=True)).model, clip, target, int(side), float(seconds))


def ddcolor(clip: str, target: str, encoder: str, side: str, seconds: str) -> None:
    """`eager` with random weights. encoder: convnext-t, or convnext-l as DDColor is published."""
    run_ddcolor(make_ddcolor(encoder), clip, target, int(side), float(seconds))


def make_ddcolor(encoder: str) -> Any:
    """DDColor's network with random weights, whose colors mean nothing and whose work is that of the trained one."""
    import torch

    warnings.simplefilter("ignore")
    from spandrel_extra_arches.architectures.DDColor import DDColor

    torch.manual_seed(0)
    network = DDColor(encoder_name=encoder, num_output_channels=2, last_norm="Spectral", num_queries=100)
    with torch.no_grad():
        for _ in range(3):
            network.train()(torch.rand(1, 3, 64, 64))  # finds the spectral norms
        network.refine_net[0][0].weight_u.div_(20)  # colors that can be seen
    return network


def run_ddcolor(network: Any, clip: str, target: str, size: int, seconds: float) -> None:
    """Color a film by DDColor's network, which gets the gray as RGB and gives a*b*."""
    import cv2
    import numpy as np
    import torch
    from skimage.color import lab2rgb, rgb2lab

    network.eval()

    def color(gray: Any) -> Any:
        rgb = gray.astype(np.float32) / 255
        lightness = rgb2lab(rgb)[..., :1].astype(np.float32)
        square = rgb2lab(cv2.resize(rgb, (size, size)))[..., :1].astype(np.float32)
        shown = lab2rgb(np.concatenate([square, np.zeros((size, size, 2), np.float32)], axis=2)).astype(np.float32)
        ab = network(torch.from_numpy(shown).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
        lab = np.concatenate([lightness, cv2.resize(ab, gray.shape[1::-1])], axis=2)
        return (np.clip(lab2rgb(lab), 0, 1) * 255).round().astype(np.uint8)

    color_film(clip, target, seconds, color)


def deoldify(clip: str, target: str, factor: str, seconds: str) -> None:
    """DeOldify's network for films, which gives RGB of a square; its chroma goes to the frame's own luma."""
    import cv2
    import numpy as np
    import torch
    from rivals import DeOldify

    torch.manual_seed(0)
    network, side = DeOldify().eval(), 16 * int(factor)
    mean, deviation = (torch.tensor(values)[:, None, None] for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))

    def color(gray: Any) -> Any:
        square = torch.from_numpy(cv2.resize(gray, (side, side))).permute(2, 0, 1) / 255
        found = (network(((square - mean) / deviation)[None])[0] * deviation + mean).clamp(0, 1) * 255
        large = cv2.resize(found.permute(1, 2, 0).numpy().astype(np.uint8), gray.shape[1::-1])
        ycc = cv2.cvtColor(large, cv2.COLOR_RGB2YUV)
        ycc[..., 0] = cv2.cvtColor(gray, cv2.COLOR_RGB2YUV)[..., 0]
        return cv2.cvtColor(ycc, cv2.COLOR_YUV2RGB)

    color_film(clip, target, float(seconds), color)


def color_film(clip: str, target: str, seconds: float, color: Callable[[Any], Any]) -> None:
    """Decode to RGB, color frame by frame, encode; for some seconds after the first frame.

    color: RGB (H, W, 3), 8 bit, to RGB.
    """
    import torch

    began = 0.0
    with av.open(clip) as source, av.open(target, "w") as output, torch.inference_mode():
        film = source.streams.video[0]
        picture = output.add_stream("libx264", rate=film.average_rate, options=X264)
        picture.width, picture.height, picture.pix_fmt = film.width, film.height, "yuv420p"
        for count, frame in enumerate(source.decode(film), start=1):
            colored = av.VideoFrame.from_ndarray(color(frame.to_ndarray(format="rgb24")), format="rgb24")
            colored.pts, colored.time_base = frame.pts, frame.time_base
            output.mux(picture.encode(colored))
            progress(count)
            began = began or time.monotonic()
            if time.monotonic() - began > seconds:
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
    contenders = {"naive": naive, "eager": eager, "ddcolor": ddcolor, "deoldify": deoldify, "plain": plain}
    if len(sys.argv) < 2 or sys.argv[1] not in contenders:
        sys.exit(__doc__)
    contenders[sys.argv[1]](*sys.argv[2:])
