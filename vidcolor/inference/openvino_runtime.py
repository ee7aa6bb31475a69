"""OpenVINO, the library that runs networks on the CPU."""

import sys
from typing import Any


def load_openvino() -> Any:
    """Import OpenVINO without its telemetry, which would send usage reports."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing it fails, as if not installed
    import openvino

    return openvino
