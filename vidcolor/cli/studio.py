"""`vidcolor studio`."""

import os
import socket
import threading
import webbrowser
from contextlib import closing, suppress
from pathlib import Path

import click

from vidcolor import choices
from vidcolor.cli.next_command import color_command, tell_next
from vidcolor.cli.number_types import Number, Whole
from vidcolor.cli.param_types import DEVICE, Choice, Existing, ModelName, Output
from vidcolor.cli.text import say
from vidcolor.errors import UsageError

LOOPBACK = "127.0.0.1"


@click.command("studio")
@click.argument("source", metavar="FILM|FOLDER", type=Existing())
@click.option(
    "--project",
    type=Output(path_type=Path),
    help="Project file to work in. [default: the source's name.vidcolor.json]",
)
@click.option(
    "--model", type=ModelName(), default="default", show_default=True,
    help="Model of shots and photos for which no other is chosen.",
)  # fmt: skip
@click.option("--size", type=Whole(32, 4096), help="Short side, in pixels, that the network looks at.")
@click.option("--saturation", type=Number(0, 4), default=1.0, show_default=True, help="Factor on color.")
@click.option("--palette", type=Existing(), help="Photo whose range of colors is taken, where the network is unsure.")
@click.option(
    "--device", type=DEVICE, default="auto", show_default=True, help="auto, all, cpu, or a list: cuda:0,cuda:1."
)
@click.option(
    "--precision", type=Choice(choices.PRECISIONS), default="auto", show_default=True,
    help="Arithmetic of the network, as in colorize.",
)  # fmt: skip
@click.option("--port", type=Whole(0, 65535), default=0, show_default=True, help="Port of the page; 0: a free one.")
@click.option(
    "--host", default=LOOPBACK, show_default=True, help="Address to serve at; others than this reach further."
)
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the page in a browser.")
def command(
    *, source: Path, project: Path | None, model: str, size: int | None, saturation: float, palette: Path | None,
    device: str, precision: str, port: int, host: str, browser: bool,
) -> None:  # fmt: skip
    """See a film shot by shot, or a folder's photos, in a browser, choose colors, and say what they are.

    What you decide lies in a project file beside it, which colorize takes with --project. The page is served on
    this machine alone, and needs no network.

    \b
    Examples:
      vidcolor studio film.mp4
      vidcolor studio scans/
      vidcolor studio film.mp4 --no-browser --port 8765
      vidcolor film.mp4 -o out.mp4 --project film.vidcolor.json
    """
    import uvicorn

    from vidcolor.inference.settings import ModelSettings
    from vidcolor.studio.desk import Desk
    from vidcolor.studio.film_desk import FilmDesk
    from vidcolor.studio.photo_desk import PhotoDesk
    from vidcolor.studio.server import make_app

    settings = ModelSettings(model, device, precision, size, None, saturation, palette)
    with closing(_listen(host, port)) as listening, settings.load() as colorizer:
        desk: Desk = (PhotoDesk if source.is_dir() else FilmDesk)(source, settings, colorizer, project)
        number = listening.getsockname()[1]
        names = (f"localhost:{number}", f"{LOOPBACK}:{number}")
        app = make_app(desk, names if host == LOOPBACK else ())
        address = f"http://{f'[{host}]' if ':' in host else host}:{number}/{app.state.secret}/"
        if host != LOOPBACK:
            say(f"vidcolor: warning: --host {host}: who knows the address can read and change this project.")
        say(f"vidcolor: {address}")
        say(f"What you decide lies in {desk.path}. Ctrl-C ends the studio.")
        say(f"Over SSH, forward the port: ssh -L {number}:{host}:{number} THIS-MACHINE")
        desk.start()
        if browser:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        # A server that ends tells its log of every request that it cuts off; what goes wrong is told on the page.
        config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=1)
        try:
            with suppress(KeyboardInterrupt):  # which is how the studio ends
                uvicorn.Server(config).run(sockets=[listening])
        finally:
            is_rendering = app.state.pages.close()
        if is_rendering:
            say("vidcolor: the coloring was stopped; start it again, and it goes on where it was.")
        tell_next(
            color_command(
                source,
                [
                    ("--project", desk.path if desk.path.exists() else None),
                    ("--model", None if model == "default" else model), ("--size", size),
                    ("--saturation", None if saturation == 1 else f"{saturation:g}"), ("--palette", palette),
                ],
            )
        )  # fmt: skip


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UsageError where that cannot be."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name != "nt":  # where it would let two studios have the same port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen()
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise UsageError(
            f"--host {host}, --port {port}: cannot be served at ({error.strerror}). Choose others."
        ) from error
    return listening
