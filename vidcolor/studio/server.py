"""The studio's server: the page, and what it asks for, on this machine alone.

Every address begins with a secret that only the terminal shows. Requests under another host's name, as by DNS
rebinding, or from another site's page are refused.
"""

import json
import secrets
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from vidcolor.errors import UsageError, VidcolorError
from vidcolor.films.job import FilmOptions, colorize_film_file
from vidcolor.inference import library, weights
from vidcolor.inference.settings import ModelSettings
from vidcolor.studio.desk import Desk
from vidcolor.studio.film_desk import FilmDesk
from vidcolor.studio.pictures import SIDE
from vidcolor.studio.rendering import Rendering

ASSETS = {
    "": ("studio.html", "text/html"),
    "studio.css": ("studio.css", "text/css"),
    "studio.js": ("studio.js", "text/javascript"),
}
POLICY = (
    "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'self'; script-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MAX_BODY = 8_000_000  # bytes of a project that a page sends


def make_app(desk: Desk, hosts: tuple[str, ...], secret: str | None = None) -> Starlette:
    """The application.

    hosts: names with port, by which it may be asked; none: by any.  secret: None: a new one, see app.state.
    """
    chosen = secret or secrets.token_urlsafe(18)
    pages = _Pages(desk)
    prefix = f"/{chosen}/"
    answers = [
        ("state", pages.state, "GET"), ("picture", pages.picture, "GET"), ("likely", pages.likely, "GET"),
        ("color", pages.color, "GET"), ("alike", pages.alike, "GET"), ("palette", pages.keep_palette, "POST"),
        ("reach", pages.reach, "GET"), ("clip", pages.clip, "GET"),
        ("project", pages.save, "PUT"), ("render", pages.render, "POST"), ("render", pages.stop, "DELETE"),
        *((name, pages.asset, "GET") for name in ASSETS),
    ]  # fmt: skip
    routes = [Route(prefix + name, answer, methods=[method]) for name, answer, method in answers]
    app = Starlette(
        routes=routes,
        exception_handlers={VidcolorError: _tell, HTTPException: _tell_refusal, Exception: _tell_unexpected},
    )
    app.add_middleware(BaseHTTPMiddleware, dispatch=_Guard(hosts))
    app.state.secret, app.state.pages = chosen, pages
    return app


class _Guard:
    """Refuses requests by other names, and from other pages; and lets pages load nothing from elsewhere."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._hosts = hosts

    async def __call__(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not self._hosts:
            pass  # served to others on purpose: the secret alone protects it
        elif host not in self._hosts or (
            origin is not None and origin not in {f"http://{name}" for name in self._hosts}
        ):
            return JSONResponse({"problem": "this page is for this machine alone."}, status_code=403)
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return JSONResponse({"problem": "another page asked."}, status_code=403)
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


def _tell(_: Request, error: Exception) -> Response:
    return JSONResponse({"problem": str(error)}, status_code=400)


def _tell_refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"problem": error.detail}, status_code=error.status_code)


def _tell_unexpected(_: Request, error: Exception) -> Response:
    problem = f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]}; please report it."
    return JSONResponse({"problem": problem}, status_code=500)


class _Json(JSONResponse):
    """JSON in ASCII: names of files may be no text."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode()


class _Pages:
    """What is answered. Methods without `async` run in threads."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.rendering: Rendering | None = None
        self._clips = tempfile.TemporaryDirectory(prefix="vidcolor-studio-", ignore_cleanup_errors=True)
        self._clipping, self._closing = threading.Lock(), threading.Event()

    def close(self) -> bool:
        """Stop what runs; whether something was being colored."""
        self._closing.set()
        is_rendering = self.rendering is not None and self.rendering.is_running
        if self.rendering is not None:
            self.rendering.stop()
        self._desk.stop()
        self._clips.cleanup()
        return is_rendering

    def asset(self, request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        if name not in ASSETS:
            return JSONResponse({"problem": "there is no such page."}, status_code=404)
        file, kind = ASSETS[name]
        return Response((Path(__file__).parent / "page" / file).read_bytes(), media_type=kind)

    def state(self, _: Request) -> Response:
        desk = self._desk
        unread = desk.refresh()
        version, said = desk.tell()
        return _Json({
            "kind": desk.kind, "project": desk.path.name, "folder": str(desk.source.parent),
            "surveyed": desk.is_surveyed, "problem": desk.problem or desk.why_changed() or unread,
            "version": version, "looks": desk.looks,
            "saturation": desk.settings.saturation, "palette": "", "model": desk.settings.model,
            "models": _model_names(), "palettes": desk.palettes(),
            "rendering": self.rendering.state() if self.rendering is not None else None,
            **desk.describe(), **said,
        })  # fmt: skip

    def picture(self, request: Request) -> Response:
        asked = request.query_params
        side = max(32, min(SIDE, _whole(asked.get("side", str(SIDE)), "side")))
        choice = self._choice(request) if any(name in asked for name in ("model", "saturation", "palette")) else None
        jpeg = self._desk.picture(
            _whole(asked.get("frame", "0"), "frame"), side=side, is_gray="gray" in asked, choice=choice
        )
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-cache"})

    def _choice(self, request: Request) -> ModelSettings:
        asked, settings = request.query_params, self._desk.settings
        palette, model = asked.get("palette"), asked.get("model") or settings.model
        self._check_choice(model, palette)
        return ModelSettings(
            model, settings.device, settings.precision, settings.size, settings.batch_size,
            _number(asked.get("saturation", str(settings.saturation)), "saturation"),
            self._desk.path.parent / palette if palette else settings.palette,
        )  # fmt: skip

    def _check_choice(self, model: str | None, palette: str | None) -> None:
        """Raise UsageError for what is not offered: a page reaches no other files."""
        if palette and palette not in self._desk.palettes():
            raise UsageError(f"{palette}: is no photo beside the {self._desk.source_key}.")
        if model and model not in (self._desk.settings.model, *_model_names()):
            raise UsageError(f"{model}: is no model that is offered.")

    def likely(self, request: Request) -> Response:
        return JSONResponse(self._desk.likely_colors(*_place(request)))

    def color(self, request: Request) -> Response:
        return JSONResponse(self._desk.color_at(*_place(request)))

    def reach(self, request: Request) -> Response:
        first, last = (_whole(request.query_params.get(name, "0"), name) for name in ("first", "last"))
        return JSONResponse(self._film.reach(first, last))

    @property
    def _film(self) -> FilmDesk:
        if not isinstance(self._desk, FilmDesk):
            raise UsageError("photos have no shots.")
        return self._desk

    def alike(self, request: Request) -> Response:
        return JSONResponse(self._film.shots_like(_whole(request.query_params.get("frame", "0"), "frame")))

    async def keep_palette(self, request: Request) -> Response:
        asked = await _read_object(request)
        number = asked.get("frame")
        if not isinstance(number, int) or isinstance(number, bool):
            raise UsageError("which picture should be kept as a palette is not said.")
        return JSONResponse(await run_in_threadpool(self._desk.keep_palette, number))

    def clip(self, request: Request) -> Response:
        """A shot in color, as a small film with its sound."""
        desk = self._film
        first, last = (_whole(request.query_params.get(name, "0"), name) for name in ("first", "last"))
        start, end = desk.times_of(first, last)
        target = Path(self._clips.name) / f"{desk.version}-{start:.3f}-{end:.3f}.mp4"
        with self._clipping:
            if not target.exists():
                options = FilmOptions(
                    desk.settings, project=desk.path if desk.path.exists() else None, codec=desk.clip_codec,
                    pix_fmt="yuv420p", start=start, end=end, recolor=True, resume=False, overwrite=True,
                    convert_audio="aac",
                )  # fmt: skip
                colorize_film_file(desk.source, target, options, desk.settings.load, on_frame=self._check_open)
        return FileResponse(target, media_type="video/mp4")

    def _check_open(self, _: int) -> None:
        if self._closing.is_set():
            raise UsageError("the studio has ended.")

    async def save(self, request: Request) -> Response:
        entries = await _read_object(request)
        version = entries.pop("version", None)
        return JSONResponse({"version": await run_in_threadpool(self._save, entries, version)})

    def _save(self, entries: dict[str, Any], version: Any) -> int:
        (_, said), choices = self._desk.tell(), entries.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict) and choice not in said["choices"]:
                self._check_choice(choice.get("model"), choice.get("palette"))
        return self._desk.save(entries, version)

    async def render(self, request: Request) -> Response:
        asked = await _read_object(request)
        name = asked.get("output", "")
        if (
            not isinstance(name, str)
            or not name
            or Path(name).name != name
            or name.startswith(".")
            or not name.isprintable()
        ):
            return JSONResponse(
                {"problem": f"give a name alone: it is written beside the {self._desk.source_key}."}, status_code=400
            )
        if self.rendering is not None and self.rendering.is_running:
            return JSONResponse({"problem": "it is being colored already."}, status_code=409)
        output = self._desk.source.parent / name
        self.rendering = Rendering(self._desk, output, is_overwriting=bool(asked.get("overwrite")))
        return JSONResponse(self.rendering.state())

    def stop(self, _: Request) -> Response:
        if self.rendering is not None:
            self.rendering.stop()
        return JSONResponse(None)


async def _read_object(request: Request) -> dict[str, Any]:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY:
            raise HTTPException(413, "this is too much for a project.")
    try:
        found = json.loads(bytes(content))
    except (ValueError, RecursionError) as error:
        raise UsageError("what the page sent is no JSON.") from error
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UsageError("what the page sent is no text.") from error
    if not isinstance(found, dict):
        raise UsageError("what the page sent is no object.")
    return found


def _place(request: Request) -> tuple[int, float, float]:
    asked = request.query_params
    x, y = (_number(asked.get(name, "0"), name) for name in ("x", "y"))
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise UsageError(f"{x:g}, {y:g} is no place: x and y are shares of the picture.")
    return _whole(asked.get("frame", "0"), "frame"), x, y


def _whole(text: str, name: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise UsageError(f"{name} {text[:40]!r} is no whole number.")
    return int(text)


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise UsageError(f"{name} {text[:40]!r} is no number.") from error
    if not abs(value) < 1e9:
        raise UsageError(f"{name} {text[:40]!r} is no number.")
    return value


def _model_names() -> list[str]:
    return sorted({path.stem for path in weights.packaged_models()} | set(library.names()))
