#!/bin/sh
# An environment for benchmarks with peers that the project does not depend on: `benchmarks/peers.sh FOLDER`, then
# `FOLDER/bin/python benchmarks/feed.py`. All else it borrows from the environment of the python that is on the path, so
# every side of a comparison runs on one torch, one numpy and one tokenizer.
set -eu
[ $# -eq 1 ] || { echo "usage: benchmarks/peers.sh FOLDER" >&2; exit 2; }
python=${PYTHON:-.venv/bin/python}
"$python" -m venv "$1"
site=$("$1/bin/python" -c 'import site; print(site.getsitepackages()[0])')
# As a folder of packages, so that its own .pth files count too: the project itself is installed by one.
"$python" -c 'import site; print(f"import site; site.addsitedir({site.getsitepackages()[0]!r})")' > "$site/project.pth"
# mosaicml-streaming wants numpy < 2.2 and transformers < 5, but reads local shards with newer ones; what it imports on top
# of ours comes by name, since its clouds would bring a gigabyte.
"$1/bin/pip" install --quiet --no-deps \
    mosaicml-streaming==0.13.0 Brotli==1.2.1 python-snappy==0.7.3 cramjam==2.14.0 zstd==1.5.7.2 xxhash==3.6.0 \
    catalogue==2.0.10
# Importing it imports its data sets of images, and they a torchvision that would have to belong to our torch.
: > "$site/streaming/__init__.py"

# The trainer of sentence-transformers, and ranx, with what they import on top of ours.
"$1/bin/pip" install --quiet accelerate==1.15.0 datasets==5.2.0 ranx==0.3.21
