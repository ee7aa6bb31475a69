"""Films in and out: what a file holds, its frames, and the coloured copy with everything else carried along."""

import os

# SVT-AV1 writes its banner straight to stderr, past FFmpeg's log. It reads this when an encoder opens.
os.environ.setdefault("SVT_LOG", "1")

from .encoders import OutputSettings
from .plan import Plan, StreamPlan, plan
from .probe import probe
from .sink import FilmSink
from .source import Damage, FilmSource

__all__ = ["Damage", "FilmSink", "FilmSource", "OutputSettings", "Plan", "StreamPlan", "plan", "probe"]
