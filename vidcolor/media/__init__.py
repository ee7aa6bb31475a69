"""Films in and out: what a file holds, its frames, and the colored copy with all other streams. The only home of PyAV.

Nothing is imported here, so that training on photos works without PyAV.
"""

import os

# SVT-AV1 writes its banner straight to stderr, past FFmpeg's log. It reads this when an encoder opens.
os.environ.setdefault("SVT_LOG", "1")
