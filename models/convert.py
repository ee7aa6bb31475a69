"""Convert the packaged models for OpenVINO; `python models/convert.py` after a model or vidcolor/networks changed."""

from vidcolor.inference import openvino_backend, weights

for model in weights.packaged_models():
    print(openvino_backend.write_graph(model))
