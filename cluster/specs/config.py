"""What a cluster is, in one YAML file: its machines, its network, its root; `cluster/specs/render` renders it."""

import ipaddress
import re
import zoneinfo
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from cluster.config import Config
from cluster.specs.schedule import checked_schedule

RAY_VERSION = "2.60.0"
_DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})")
_PLAIN_PATH = re.compile(r"(~?/)?[A-Za-z0-9._/@+-]+")
_PLAIN_URI = r"^([A-Za-z0-9][A-Za-z0-9+.-]*:[A-Za-z0-9._/:?=&%+~-]+|[A-Za-z0-9._/~-]+)$"


def _dns_label(name: str) -> str:
    if not _DNS_LABEL.fullmatch(name):
        raise ValueError("must be up to 40 lower-case letters, digits and -, beginning with a letter")
    return name


def _address(address: str) -> str:
    ipaddress.ip_address(address)
    return address


def _plain_path(path: str) -> str:
    # Paths stand in shell commands of the specs; what would need quoting there is refused here.
    if not _PLAIN_PATH.fullmatch(path) or ".." in path:
        raise ValueError("must be a path of letters, digits and . _ - + @ /, without ..")
    return path


def _pinned_image(image: str) -> str:
    if not _IMAGE.fullmatch(image) or image.endswith(":latest"):
        raise ValueError(
            "must be an image with a tag (not latest) or a digest, such as registry.example/mixlingual:0.1"
        )
    return image


def _somebody_works(provider: Any) -> Any:
    if provider.gpu is None and provider.cpu is None:
        raise ValueError("gpu, cpu: both are missing; the head does no work, so give it workers")
    return provider


Label = Annotated[str, AfterValidator(_dns_label)]
Address = Annotated[str, AfterValidator(_address)]
PlainPath = Annotated[str, AfterValidator(_plain_path)]
Image = Annotated[str, AfterValidator(_pinned_image)]


class NightlyConfig(Config):
    """Work that starts by itself: `mixlingual nightly --config FILE` at set times."""

    config: PlainPath
    """Configuration of the night, where the cluster's machines (or their image) have it."""
    schedule: str = "0 1 * * *"
    """Minute, hour, day of month, month, day of week, as cron has them."""
    time_zone: str = "Etc/UTC"
    """Of the schedule."""
    hours: int = Field(default=12, ge=1, le=24 * 7)
    """A night that takes longer is ended."""

    @field_validator("schedule")
    @classmethod
    def _cron(cls, schedule: str) -> str:
        return checked_schedule(schedule)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, time_zone: str) -> str:
        try:
            zoneinfo.ZoneInfo(time_zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no time zone such as Etc/UTC or Europe/Berlin") from None
        return time_zone


class MachineConfig(Config):
    """One machine: Ray as a service of the user's, reachable from this machine only."""

    kind: Literal["machine"]
    environment: PlainPath = "/opt/mixlingual"
    """Virtual environment with mixlingual in it."""
    object_store_gib: int = Field(default=8, ge=1)
    """Shared memory for Ray Data's blocks."""


class OnPremiseConfig(Config):
    """Machines that are there: Ray is started on them over SSH."""

    kind: Literal["on-premise"]
    head: Address
    """Address of the head in the machines' own network."""
    workers: tuple[Address, ...] = Field(min_length=1)
    """Addresses of the machines that work."""
    ssh_user: str = Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    ssh_key_file: PlainPath = "~/.ssh/id_ed25519"
    """File with the key, on the machine that `ray up` is called on."""
    environment: PlainPath = "/opt/mixlingual"
    """Virtual environment with mixlingual in it, on every machine."""
    object_store_gib: int = Field(default=16, ge=1)
    """Shared memory of each worker for Ray Data's blocks."""

    @model_validator(mode="after")
    def _each_machine_once(self) -> Self:
        machines = [self.head, *self.workers]
        twice = next((machine for machine in machines if machines.count(machine) > 1), None)
        if twice:
            raise ValueError(f"head and workers: {twice} stands twice; each machine has one Ray node")
        return self


class AwsNodes(Config):
    """Machines of one instance type that come and go with the work."""

    instance_type: str = Field(pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$")
    min_nodes: int = Field(default=0, ge=0)
    """Kept running without work."""
    max_nodes: int = Field(ge=1)
    """Started for work, at most."""
    disk_gib: int = Field(default=200, ge=50)
    """Encrypted disk: image, cache of groups and encoders, spilled blocks."""

    @model_validator(mode="after")
    def _fewest_below_most(self) -> Self:
        if self.min_nodes > self.max_nodes:
            raise ValueError(f"min_nodes {self.min_nodes} exceeds max_nodes {self.max_nodes}")
        return self


class AwsGpuNodes(AwsNodes):
    """Machines that train."""

    spot: bool = True
    """Spot instances first, and on-demand ones where there are none."""


class AwsConfig(Config):
    """Machines of AWS, started and ended by Ray's autoscaler on the head."""

    kind: Literal["aws"]
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")
    account: str = Field(pattern=r"^[0-9]{12}$")
    """Account number; narrows the policies to its machines."""
    subnets: tuple[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]{8,17}$")], ...] = Field(min_length=1)
    """Private subnets of one VPC, the first one preferred."""
    security_group: str = Field(pattern=r"^sg-[0-9a-f]{8,17}$")
    """The group that `up-hint` shows how to make: SSH from `ssh_from`, and its own members. Without one, Ray would make
    one whose SSH is open to the world."""
    ssh_from: str
    """Network that may use SSH, such as 203.0.113.0/24."""
    key_pair: str = Field(pattern=r"^[A-Za-z0-9._-]{1,255}$")
    """Name of the EC2 key pair."""
    ssh_key_file: PlainPath
    """File with its private half, on the machine that `ray up` is called on."""
    machine_image: str = Field(pattern=r"^ami-[0-9a-f]{8,17}$")
    """AMI with Docker and, for GPUs, NVIDIA's driver and container toolkit: AWS's Deep Learning Base image has them."""
    ssh_user: str = Field(default="ubuntu", pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    cpu_image: Image
    """Container image for head and CPU workers, built from Dockerfile.cpu."""
    gpu_image: Image
    """Container image for GPU workers, built from Dockerfile.gpu."""
    head_type: str = Field(default="m7i.xlarge", pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$")
    head_disk_gib: int = Field(default=100, ge=50)
    gpu: AwsGpuNodes | None = None
    """Machines that train; None for a cluster without GPUs."""
    cpu: AwsNodes | None = None
    """Machines that prepare, feed and evaluate; jobs' drivers run there, never on spot machines."""

    @field_validator("ssh_from")
    @classmethod
    def _narrow_network(cls, network: str) -> str:
        if ipaddress.ip_network(network).prefixlen < 8:
            raise ValueError("is the whole world, or nearly; name the network of those who may use SSH")
        return network

    _workers = model_validator(mode="after")(_somebody_works)


class PodSize(Config):
    """What one pod asks for and gets."""

    cpus: int = Field(ge=1)
    memory_gib: int = Field(ge=2)
    """All of the pod's memory, its object store included."""
    object_store_gib: int = Field(default=1, ge=1)
    """Shared memory for Ray Data's blocks, a part of the memory."""
    disk_gib: int = Field(default=50, ge=1)
    """Ephemeral storage: logs, cache of groups and encoders, spilled blocks."""

    @model_validator(mode="after")
    def _store_fits(self) -> Self:
        if 2 * self.object_store_gib > self.memory_gib:
            raise ValueError(
                f"object_store_gib {self.object_store_gib} is more than half of memory_gib {self.memory_gib}; "
                "it is a part of the memory, and work needs the rest"
            )
        return self


class PodGroup(PodSize):
    """Workers of one size that come and go with the work."""

    min_pods: int = Field(default=0, ge=0)
    max_pods: int = Field(ge=1)

    @model_validator(mode="after")
    def _fewest_below_most(self) -> Self:
        if self.min_pods > self.max_pods:
            raise ValueError(f"min_pods {self.min_pods} exceeds max_pods {self.max_pods}")
        return self


class GpuPods(PodGroup):
    """Workers that train."""

    gpus: int = Field(ge=1)
    """Per pod; a pod with all GPUs of a node keeps their traffic inside it."""
    node_labels: dict[str, str] = Field(default={"nvidia.com/gpu.present": "true"}, min_length=1)
    """Labels of the nodes to run on; CPU workers keep away from them."""
    priority: int = Field(default=100000, ge=-1_000_000_000, le=1_000_000_000)
    """Of the priority class: above other work of the Kubernetes cluster, or below."""


class RedisConfig(Config):
    """Where the head keeps its state, so that a new head pod goes on with the old one's jobs."""

    address: str = Field(pattern=r"^(rediss?://)?[a-z0-9.-]+:[0-9]{1,5}$")
    """Host and port of a Redis that outlives the cluster."""
    login_name: Label
    """Kubernetes Secret with its password under the key `password`."""


class KubernetesConfig(Config):
    """Pods, made by the KubeRay operator (1.7)."""

    kind: Literal["kubernetes"]
    namespace: Label
    operator_namespace: Label = "kuberay-operator"
    """Namespace of the operator, which may ask the head for the state of jobs."""
    token_name: Label = "mixlingual-ray-token"
    """Kubernetes Secret with the token under the key `auth_token`."""
    storage_role: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$")
    """IAM role that pods may use the bucket with (IRSA on EKS); None leaves credentials to the platform."""
    cpu_image: Image
    """Image for head and CPU workers, built from Dockerfile.cpu."""
    gpu_image: Image
    """Image for GPU workers, built from Dockerfile.gpu."""
    head: PodSize = PodSize(cpus=4, memory_gib=16, object_store_gib=2)
    gpu: GpuPods | None = None
    """Workers that train; None for a cluster without GPUs."""
    cpu: PodGroup | None = None
    """Workers that prepare, feed and evaluate; jobs' drivers run there."""
    redis: RedisConfig | None = None
    """None: a new head pod starts with nothing."""

    _workers = model_validator(mode="after")(_somebody_works)


Provider = Annotated[MachineConfig | OnPremiseConfig | AwsConfig | KubernetesConfig, Field(discriminator="kind")]


class ClusterConfig(Config):
    """A cluster and what it may touch."""

    name: Annotated[str, Field(max_length=28), AfterValidator(_dns_label)]
    """Of the cluster and of all that belongs to it; KubeRay makes longer names of it, which may have 63 characters."""
    root: str = Field(default="runs", min_length=1, pattern=_PLAIN_URI)
    """Folder or `s3:` URI that jobs keep everything under; the policies allow this prefix only."""
    provider: Provider
    """Where the machines come from."""
    nightly: NightlyConfig | None = None
    """What runs every night; None for nothing."""
    idle_minutes: int = Field(default=10, ge=1)
    """Workers without work are given back after this time, where a provider can take them back."""

    @model_validator(mode="after")
    def _reaches_the_root(self) -> Self:
        if not isinstance(self.provider, MachineConfig) and not self.root.startswith(("s3:", "/", "file:/")):
            raise ValueError(
                f"root: '{self.root}' is a folder of each machine's own; use s3://bucket/prefix, or an absolute path "
                "that all machines share"
            )
        return self

    @property
    def bucket_and_prefix(self) -> tuple[str, str] | None:
        """Bucket and prefix of an `s3:` root; None for folders."""
        if not self.root.startswith("s3://"):
            return None
        bucket, _, prefix = self.root.removeprefix("s3://").partition("?")[0].partition("/")
        return bucket, prefix.strip("/")
