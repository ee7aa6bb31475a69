"""Published colorizers: files of other projects, recognized and asked as their own programs ask them.

`files` says what a file is; `kinds` how each family is asked; `graphs` reads ONNX and OpenVINO files, `state_dicts`
weights of torch; `lookalikes` names what a file seems to be that is none of them.
"""
