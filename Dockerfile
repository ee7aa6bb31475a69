# syntax=docker/dockerfile:1
# Two images: `docker build --target cpu -t vidcolor .` (1 GB of packages, no PyTorch: coloring, comparing, the studio) and
# `docker build -t vidcolor:cuda .` (PyTorch with CUDA: NVIDIA GPUs, training, export).
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/films" vidcolor film.mp4 -o out.mp4

FROM python:3.13-slim AS cpu
ENV PYTHONDONTWRITEBYTECODE=1 UV_NO_CACHE=1 UV_SYSTEM_PYTHON=1
RUN pip install --no-cache-dir uv
RUN --mount=type=bind,target=/src \
    printf 'torch\ntorchvision\n' > /tmp/without.txt && uv pip install /src --excludes /tmp/without.txt
# What is made once for a machine, such as networks for its processor, is kept here; a volume keeps it from run to run.
# Every user may write: the user who runs the container should be the one who owns the films.
ENV XDG_CACHE_HOME=/cache XDG_DATA_HOME=/cache HOME=/tmp
RUN mkdir -m 1777 /cache && mkdir /films
USER 1000
WORKDIR /films
VOLUME ["/cache"]
ENTRYPOINT ["vidcolor"]
CMD ["--help"]

FROM cpu AS cuda
USER root
RUN --mount=type=bind,target=/src uv pip install /src
USER 1000
