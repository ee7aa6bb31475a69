# Two images: `docker build --target cpu -t vidcolor .` (about 1 GB, no PyTorch: coloring, comparing, the studio) and
# `docker build -t vidcolor:cuda .` (PyTorch with CUDA: NVIDIA GPUs, training, export).
# docker run --rm -v "$PWD:/work" vidcolor film.mp4 -o out.mp4

FROM python:3.13-slim AS cpu
ENV PYTHONDONTWRITEBYTECODE=1 UV_NO_CACHE=1 UV_SYSTEM_PYTHON=1
RUN pip install --no-cache-dir uv
COPY . /src
RUN printf 'torch\ntorchvision\n' > /tmp/without.txt && uv pip install /src --excludes /tmp/without.txt && rm /tmp/without.txt
# Networks prepared for this machine are kept here; a volume keeps them from run to run.
ENV XDG_CACHE_HOME=/cache
RUN useradd --uid 1000 --create-home vidcolor && mkdir /cache /work && chown vidcolor /cache /work
USER vidcolor
WORKDIR /work
VOLUME ["/cache"]
ENTRYPOINT ["vidcolor"]
CMD ["--help"]

FROM cpu AS cuda
USER root
RUN uv pip install /src
USER vidcolor
