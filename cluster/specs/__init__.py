"""Cluster specs: one `ClusterConfig` rendered into what Ray's launcher, KubeRay or systemd read, and checked again.

config      what a cluster is
render      ClusterConfig -> files: machine, on_premise, aws, iam, pods, kuberay, kubernetes, images make them
hints       the commands that bring a rendered spec up
validate    files -> problems: schemas of Ray and KubeRay, then what would be open, unguarded or told in plain text
"""
