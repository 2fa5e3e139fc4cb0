# syntax=docker/dockerfile:1
#
# Build, for a CPU or for an NVIDIA GPU:
#   docker build -t lit-genre .
#   docker build -t lit-genre:cu130 --build-arg TORCH=cu130 .
#
# Run, with your files in the folder ~/music:
#   docker run --rm --init -v ~/music:/work lit-genre classify song.mp3 --ckpt_path best.ckpt
#   docker run --rm --init -v ~/music:/work -v lit-genre-home:/home/lit --gpus all --shm-size 8g lit-genre:cu130 \
#     fit --config crnn
#   docker run --rm --init -v ~/music:/work -p 127.0.0.1:7860:7860 lit-genre \
#     serve --ckpt_path best.ckpt --host 0.0.0.0 --no_browser
#
# - The program runs as the user `lit`. To write to a folder of yours, it needs your ids:
#   --build-arg UID=$(id -u) --build-arg GID=$(id -g)
# - The volume lit-genre-home keeps the key that signs the configurations of runs (SECURITY.md), from one container to
#   the next. Without the key, the paths in these configurations must be given again.
# - `serve` must listen on all addresses of the container. `-p 127.0.0.1:...` publishes the port on this machine only.
# - There is no compiler in the image, and --model.compile_backbone=true needs one.

# constraints.txt was written with Python 3.11; for 3.12 and 3.13 all of its versions have wheels, too.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build

# Build of PyTorch: cpu or cu130 (CUDA 13.0).
ARG TORCH=cpu
# Plugins to install, folders of plugins/: "musicnn timm transformers short_chunk_cnn".
ARG PLUGINS=""
ARG UV=0.13.8

# uv finds the packages of a build of PyTorch by its name, which pip cannot.
RUN pip install --no-cache-dir "uv==${UV}" && python -m venv /opt/lit-genre
ENV UV_NO_CACHE=1 VIRTUAL_ENV=/opt/lit-genre

WORKDIR /source
# The libraries first: Docker reuses this layer, of some GB, when only the code has changed.
COPY pyproject.toml constraints.txt ./
RUN uv pip install --torch-backend "${TORCH}" -c constraints.txt \
        -r pyproject.toml --extra hub --extra onnx --extra serve

COPY . .
# musicnn's package contains the weights of the plugin; its own dependencies are not used.
RUN uv pip install --no-deps . \
    && for plugin in ${PLUGINS}; do \
        uv pip install --torch-backend "${TORCH}" -c constraints.txt "./plugins/${plugin}" || exit 1; \
        if [ "${plugin}" = musicnn ]; then uv pip install --no-deps musicnn==0.1.0 || exit 1; fi; \
    done

RUN /opt/lit-genre/bin/python -c "import lit_genre.model.spectrogram.frontend, torch; print(torch.__version__)" \
    && /opt/lit-genre/bin/lit-genre --version


FROM python:${PYTHON}-slim

ARG UID=1000
ARG GID=1000
RUN groupadd --non-unique --gid "${GID}" lit \
    && useradd --non-unique --uid "${UID}" --gid "${GID}" --create-home lit \
    && install --directory --owner=lit --group=lit /work

COPY --from=build /opt/lit-genre /opt/lit-genre
ENV PATH=/opt/lit-genre/bin:${PATH} PYTHONUNBUFFERED=1

USER ${UID}:${GID}
WORKDIR /work
ENTRYPOINT ["lit-genre"]
CMD ["--help"]
