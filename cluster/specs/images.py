"""Dockerfiles: one for machines without GPUs, one for those with; the same but for the index library."""

from cluster.specs.launcher import SETTINGS

FLAVOURS = {"cpu": "faiss on the CPU", "gpu": "faiss on the GPU; torch brings the CUDA libraries, the node the driver"}
_TEMPLATE = """\
# {what}.
# docker build -f Dockerfile.{flavour} -t registry.example/mixlingual:0.1-{flavour} PATH-OF-THE-CHECKOUT
FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY cluster cluster
COPY retrieval retrieval
COPY trainer trainer
COPY jobs jobs
# The versions that were tested together; torch and setuptools first, as the Makefile has them.
RUN python -m venv /opt/mixlingual \\
 && /opt/mixlingual/bin/pip install --no-cache-dir -c constraints.txt torch setuptools wheel \\
 && /opt/mixlingual/bin/pip install --no-cache-dir -c constraints.txt --no-build-isolation '.[{flavour}]'

FROM python:3.12-slim-bookworm
# The cluster launcher copies files into containers and reaches workers over SSH.
RUN apt-get update \\
 && apt-get install --yes --no-install-recommends openssh-client rsync \\
 && rm -rf /var/lib/apt/lists/* \\
 && useradd --create-home --uid 1000 mixlingual
COPY --from=build /opt/mixlingual /opt/mixlingual
COPY jobs/configs /opt/mixlingual/configs
ENV PATH=/opt/mixlingual/bin:$PATH PYTHONDONTWRITEBYTECODE=1 {settings}
USER 1000
WORKDIR /home/mixlingual
"""


def dockerfiles() -> dict[str, str]:
    """File name -> Dockerfile."""
    settings = " ".join(f"{name}={value}" for name, value in SETTINGS.items())
    return {
        f"Dockerfile.{flavour}": _TEMPLATE.format(flavour=flavour, what=what[0].upper() + what[1:], settings=settings)
        for flavour, what in FLAVOURS.items()
    }
