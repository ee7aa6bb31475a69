"""Pages of pictures before and after: one HTML file that needs no other file, for any browser, from any folder.

A page is a gallery of small pictures, each with a divider between before and after; one that is opened fills the
window, with the divider under mouse, finger and keys. Style and script are page.css and page.js beside this file. A
security policy in the page lets it load nothing and run no script but this one.
"""

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vidcolor.printable import printable
from vidcolor.stills.rgb import read_size

FEW = 8  # pictures at most that are shown larger


@dataclass(frozen=True)
class Clip:
    """A short film without sound, H.264 in MP4, that has the picture before above the one after."""

    content: bytes
    width: int  # pixels
    height: int  # of both pictures together


@dataclass(frozen=True)
class Pair:
    """A picture before and after, as JPEG files of one size."""

    name: str
    before: bytes  # for the gallery: some 20 kilobytes
    after: bytes
    large: tuple[bytes, bytes] | None = None  # for the window; without it the small ones are shown there too
    clip: Clip | None = None  # shown in the window instead


def document(title: str, body: str) -> str:
    """A whole page. body: HTML, from `gallery` and others; names in it go through `escape`."""
    style, script = _read_asset("page.css"), _read_asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _PAGE.format(title=escape(title), style=style, script=script, digest=digest, body=body)


def gallery(pairs: Sequence[Pair]) -> str:
    """The pictures, in rows of one height; the fewer, the larger."""
    size = "one" if len(pairs) == 1 else "few" if len(pairs) <= FEW else "many"
    return f'<div class="gallery {size}">{"".join(map(_figure, pairs))}</div>' if pairs else ""


def escape(value: object) -> str:
    """Escape text for HTML. Names from strangers' archives may be no Unicode, or change the writing direction."""
    return html.escape(printable(str(value)))


def _figure(pair: Pair) -> str:
    name = escape(pair.name)
    width, height = read_size(pair.before) or (4, 3)
    kind, large = "pair", ""
    if pair.clip is not None:
        source = _data_url("video/mp4", pair.clip.content)
        kind = "pair film"
        large = f'<video src="{source}" width={pair.clip.width} height={pair.clip.height} playsinline></video>'
    elif pair.large is not None:
        large = _image("after", name, pair.large[1]) + _image("before", name, pair.large[0])
    return (
        f'<figure style="--ratio:{width / height:.3f}"><button type=button class="{kind}" aria-label="open {name}">'
        f"{_image('after', name, pair.after)}{_image('before', name, pair.before)}</button>"
        f'<figcaption title="{name}">{name}</figcaption>{large and f"<template>{large}</template>"}</figure>\n'
    )


def _image(side: str, name: str, jpeg: bytes) -> str:
    width, height = read_size(jpeg) or (4, 3)
    source = _data_url("image/jpeg", jpeg)
    return f'<img class={side} src="{source}" alt="{side}: {name}" width={width} height={height} loading=lazy>'


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@cache
def _read_asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


_PAGE = """<!doctype html>
<html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width, initial-scale=1">
<meta http-equiv=Content-Security-Policy content="default-src 'none'; img-src data:; media-src data:; style-src \
'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'">
<title>{title}</title><link rel=icon href="data:,"><style>{style}</style></head><body>
<header class=top><h1>{title}</h1>
<fieldset class=choice aria-label="All pictures">
<label><input type=radio name=all value=100><span>Before</span></label>
<label><input type=radio name=all value=50 checked><span>Both</span></label>
<label><input type=radio name=all value=0><span>After</span></label></fieldset>
<button type=button id=theme aria-label="Dark or light" title="Dark or light">&#9680;</button>
<button type=button class=show-help aria-label="Keys" title="Keys (?)">?</button></header>
<main>{body}</main>
<dialog id=viewer aria-labelledby=caption>
<p id=caption aria-live=polite></p>
<div class="bar tools">
<button type=button id=previous aria-label="Previous picture" title="Previous (up)">&#8593;</button>
<button type=button id=next aria-label="Next picture" title="Next (down)">&#8595;</button>
<button type=button id=only-before title="b">Before</button><button type=button id=only-after title="a">After</button>
<button type=button id=farther aria-label="Zoom out" title="Zoom out (-)">&#8722;</button>
<button type=button id=nearer aria-label="Zoom in" title="Zoom in (+)">+</button>
<button type=button id=play title="Play or pause (space)" hidden></button></div>
<div class="bar end"><button type=button class=show-help aria-label="Keys" title="Keys (?)">?</button>
<button type=button id=close aria-label="Close" title="Close (Esc)">&#10005;</button></div>
<div id=stage><div id=frame tabindex=-1>
<div class="layer after"><span class="label right" aria-hidden=true>after</span></div>
<div class="layer before"><span class="label left" aria-hidden=true>before</span></div>
<div id=divider role=slider tabindex=0 autofocus aria-label="Divider between before and after" aria-valuemin=0 \
aria-valuemax=100 aria-valuenow=50></div></div>
<p id=sorry role=status hidden>This browser does not play H.264; this is one frame of the clip.</p></div></dialog>
<dialog id=help aria-labelledby=keys><h2 id=keys>Keys</h2><dl>
<dt><kbd>&larr;</kbd> <kbd>&rarr;</kbd></dt><dd>move the divider</dd>
<dt><kbd>&uarr;</kbd> <kbd>&darr;</kbd></dt><dd>previous and next picture</dd>
<dt><kbd>b</kbd> <kbd>a</kbd> <kbd>s</kbd></dt><dd>before, after, split</dd>
<dt><kbd>+</kbd> <kbd>-</kbd> <kbd>z</kbd> <kbd>0</kbd></dt><dd>nearer, farther, single pixels, whole picture</dd>
<dt><kbd>Shift</kbd> and arrows</dt><dd>move the picture while it is near</dd>
<dt><kbd>Space</kbd></dt><dd>play or pause a clip</dd>
<dt><kbd>Esc</kbd></dt><dd>back</dd></dl>
<p class=soft>Mouse or finger: drag the divider; wheel, pinch or double click to come nearer; drag to move.</p>
<button type=button id=close-help>Close</button></dialog>
<script>{script}</script></body></html>
"""
