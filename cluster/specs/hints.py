"""The commands that bring a rendered spec up, in order; nothing here runs them."""

import json
import shlex
from pathlib import Path

from cluster.specs.aws import head_profile, worker_profile
from cluster.specs.config import AwsConfig, ClusterConfig, KubernetesConfig, MachineConfig, OnPremiseConfig
from cluster.specs.pods import DASHBOARD_PORT, TOKEN_KEY
from cluster.specs.render import LAUNCHER

_NEW_TOKEN = "openssl rand -hex 32"
_TOKEN_FILE = [
    "# a token, once; whoever submits jobs needs the same file",
    f"test -s ~/.ray/auth_token || (umask 077 && mkdir -p ~/.ray && {_NEW_TOKEN} > ~/.ray/auth_token)",
]


def up_hint(config: ClusterConfig, folder: Path) -> list[str]:
    """Shell lines that bring up what was rendered into `folder`; those that begin with # say what the next ones do."""
    at = shlex.quote(str(folder))
    match config.provider:
        case MachineConfig():
            return [*_TOKEN_FILE, *_machine(config, at), *_submitting(config)]
        case OnPremiseConfig():
            return [*_TOKEN_FILE, *_launcher(config, at)]
        case AwsConfig() as provider:
            return [*_TOKEN_FILE, *_images(at, provider), *_aws(config, provider, at), *_launcher(config, at)]
        case KubernetesConfig() as provider:
            return [*_images(at, provider), *_kubernetes(config, provider, at)]


def _machine(config: ClusterConfig, at: str) -> list[str]:
    units = "~/.config/systemd/user"
    started = [f"{config.name}-ray.service"] + ([f"{config.name}-nightly.timer"] if config.nightly else [])
    return [
        "# Ray as a service of yours, which goes on when you log out",
        f"mkdir -p {units} && cp {at}/{config.name}-* {units}/",
        "systemctl --user daemon-reload && loginctl enable-linger",
        f"systemctl --user enable --now {' '.join(started)}",
    ]


def _launcher(config: ClusterConfig, at: str) -> list[str]:
    spec = f"{at}/{LAUNCHER}"
    return [
        "# the head, which starts the others; again after every change",
        f"ray up --yes {spec}",
        "# the dashboard, through SSH (leave it running)",
        f"ray dashboard {spec}",
        *_submitting(config),
        "# the end",
        f"ray down --yes {spec}",
    ]


def _submitting(config: ClusterConfig) -> list[str]:
    """Handing work in; the head has no CPUs, so that a command that asks for one runs on a worker."""
    provider = config.provider
    on_workers = isinstance(provider, OnPremiseConfig) or getattr(provider, "cpu", None) is not None
    where = f"mixlingual submit --address http://127.0.0.1:{DASHBOARD_PORT}{' --cpus 1' if on_workers else ''}"
    return ["# work, from a checkout", f"{where} -- run --config YOUR-RUN.yaml --root {shlex.quote(config.root)}"]


def _images(at: str, provider: AwsConfig | KubernetesConfig) -> list[str]:
    lines = ["# the images, from a checkout"]
    for flavour, image in (("cpu", provider.cpu_image), ("gpu", provider.gpu_image)):
        lines.append(f"docker build -f {at}/Dockerfile.{flavour} -t {image} . && docker push {image}")
    return lines


def _aws(config: ClusterConfig, provider: AwsConfig, at: str) -> list[str]:
    group, ec2 = provider.security_group, f"aws ec2 --region {provider.region}"
    let_in = f"{ec2} authorize-security-group-ingress --group-id {group}"
    within = json.dumps([{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}])
    lines = [
        "# the security group, once; its id belongs into provider.security_group",
        f"{ec2} create-security-group --group-name {config.name}-ray --description 'Ray, closed' --vpc-id YOUR-VPC",
        f"{let_in} --protocol tcp --port 22 --cidr {provider.ssh_from}",
        f"{let_in} --ip-permissions {shlex.quote(within)}",
        "# the roles of head and workers, once; the policies again after every change",
    ]
    for role, policy in ((head_profile(config), "iam-head.json"), (worker_profile(config), "iam-worker.json")):
        lines += [
            f"aws iam create-role --role-name {role} --assume-role-policy-document file://{at}/iam-trust.json",
            f"aws iam put-role-policy --role-name {role} --policy-name ray --policy-document file://{at}/{policy}",
            f"aws iam create-instance-profile --instance-profile-name {role}",
            f"aws iam add-role-to-instance-profile --instance-profile-name {role} --role-name {role}",
        ]
    return lines


def _kubernetes(config: ClusterConfig, provider: KubernetesConfig, at: str) -> list[str]:
    into = f"kubectl --namespace {provider.namespace}"
    lines = [
        "# namespace, account, closed network, priority",
        f"kubectl apply -f {at}/surroundings.yaml",
        "# the token, once; it is in no file of the spec",
        f'{into} create secret generic {provider.token_name} --from-literal={TOKEN_KEY}="$({_NEW_TOKEN})"',
    ]
    if provider.redis is not None:
        lines += [
            "# the password of Redis, once, read from a file",
            f"{into} create secret generic {provider.redis.login_name} --from-file=password=YOUR-FILE",
        ]
    lines += [
        "# a cluster that stands",
        f"{into} apply -f {at}/raycluster.yaml",
        "# work, through a tunnel (leave the first one running)",
        f"{into} port-forward service/{config.name}-head-svc {DASHBOARD_PORT}",
        f'export RAY_AUTH_MODE=token RAY_AUTH_TOKEN="$({into} get secret {provider.token_name} '
        f"-o jsonpath='{{.data.{TOKEN_KEY}}}' | base64 -d)\"",
        *_submitting(config),
    ]
    if config.nightly is not None:
        lines += [
            "# one night now, in a cluster of its own",
            f"{into} apply -f {at}/rayjob.yaml",
            "# every night: with KubeRay's feature gate RayCronJob, each in a cluster of its own ...",
            f"{into} apply -f {at}/raycronjob.yaml",
            "# ... or without the gate, on the cluster that stands",
            f"{into} apply -f {at}/cronjob.yaml",
        ]
    return lines
