"""IAM policies: the head may start and end this cluster's machines, all machines may use the cluster's prefix."""

from typing import Any

from cluster.specs.aws import worker_profile
from cluster.specs.config import AwsConfig, ClusterConfig

VERSION = "2012-10-17"
_CLUSTER_TAG = "ray-cluster-name"
"""Ray tags each machine with the cluster's name."""
_Statement = dict[str, Any]


def trust_policy() -> dict[str, Any]:
    """Who may take the roles on: EC2, for its machines."""
    principal = {"Service": "ec2.amazonaws.com"}
    return {
        "Version": VERSION,
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
    }


def head_policy(config: ClusterConfig, provider: AwsConfig) -> dict[str, Any]:
    """What the head may do: everything that Ray's node provider calls, on this cluster's machines alone."""
    return {"Version": VERSION, "Statement": [*_autoscaler(config, provider), *_storage(config, provider)]}


def worker_policy(config: ClusterConfig, provider: AwsConfig) -> dict[str, Any]:
    """What workers may do: use the prefix."""
    return {"Version": VERSION, "Statement": [*_storage(config, provider), *_images(provider)]}


def _autoscaler(config: ClusterConfig, provider: AwsConfig) -> list[_Statement]:
    here = f"arn:aws:ec2:{provider.region}:{provider.account}"
    instances = f"{here}:instance/*"
    parts = [
        *(f"{here}:subnet/{subnet}" for subnet in provider.subnets),
        f"{here}:security-group/{provider.security_group}",
        f"{here}:key-pair/{provider.key_pair}",
        f"{here}:network-interface/*",
        f"{here}:volume/*",
        f"arn:aws:ec2:{provider.region}::image/{provider.machine_image}",
    ]
    own = {"StringEquals": {f"ec2:ResourceTag/{_CLUSTER_TAG}": config.name}}
    return [
        {
            "Sid": "See",  # EC2 knows no narrower resource for these
            "Effect": "Allow",
            "Action": ["ec2:DescribeInstances", "ec2:DescribeInstanceTypes"],
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:RequestedRegion": provider.region}},
        },
        {
            "Sid": "StartTagged",
            "Effect": "Allow",
            "Action": "ec2:RunInstances",
            "Resource": instances,
            "Condition": {
                "StringEquals": {f"aws:RequestTag/{_CLUSTER_TAG}": config.name, "ec2:MetadataHttpTokens": "required"}
            },
        },
        {"Sid": "StartFromThese", "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": parts},
        {
            "Sid": "TagAtStart",
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": instances,
            "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}},
        },
        {
            "Sid": "TagAndEndOwn",
            "Effect": "Allow",
            "Action": ["ec2:CreateTags", "ec2:TerminateInstances"],
            "Resource": instances,
            "Condition": own,
        },
        {
            "Sid": "HandRoleToWorkers",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": f"arn:aws:iam::{provider.account}:role/{worker_profile(config)}",
            "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        },
        *_images(provider),
    ]


def _storage(config: ClusterConfig, provider: AwsConfig) -> list[_Statement]:
    """What `cluster.storage` asks of a bucket, within the prefix."""
    if config.bucket_and_prefix is None:
        return []
    bucket, prefix = config.bucket_and_prefix
    below = f"{prefix}/*" if prefix else "*"
    listing: _Statement = {
        "Sid": "List",
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": f"arn:aws:s3:::{bucket}",
    }
    if prefix:
        listing["Condition"] = {"StringLike": {"s3:prefix": [prefix, below]}}
    uploads: _Statement = {  # S3 knows no narrower condition for this
        "Sid": "ListUploads",
        "Effect": "Allow",
        "Action": "s3:ListBucketMultipartUploads",
        "Resource": f"arn:aws:s3:::{bucket}",
    }
    objects: _Statement = {
        "Sid": "ReadAndWrite",
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
        "Resource": f"arn:aws:s3:::{bucket}/{below}",
    }
    return [listing, uploads, objects]


def _images(provider: AwsConfig) -> list[_Statement]:
    """Pulling container images from the account's own registry, where they are there."""
    registry = f"{provider.account}.dkr.ecr.{provider.region}.amazonaws.com/"
    names = [i.removeprefix(registry) for i in (provider.cpu_image, provider.gpu_image) if i.startswith(registry)]
    if not names:
        return []
    repositories = sorted({name.partition("@")[0].partition(":")[0] for name in names})
    here = f"arn:aws:ecr:{provider.region}:{provider.account}:repository"
    return [
        {"Sid": "LogInToRegistry", "Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        {
            "Sid": "PullImages",
            "Effect": "Allow",
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"],
            "Resource": [f"{here}/{repository}" for repository in repositories],
        },
    ]
