"""Films and photos in and out: what a file holds, its frames, and the colored copy with everything else carried along.

Nothing is imported here: training on photos works without PyAV.
"""

import os

# SVT-AV1 writes its banner straight to stderr, past FFmpeg's log. It reads this when an encoder opens.
os.environ.setdefault("SVT_LOG", "1")
