"""The files in docs/cluster: they say what the page says, and the commands in them exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_docs import refusal

FOLDER = Path(__file__).parent.parent / "docs" / "cluster"


def kubernetes(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / name).read_text()))


def cluster_of(name: str) -> dict[str, Any]:
    spec = kubernetes(name)["spec"]
    return dict(spec.get("rayClusterSpec", spec))


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_commands_in_the_files_exist(path: Path) -> None:
    words = [shlex.split(line) for line in re.findall(r"rsvqa build .*", path.read_text())]
    assert [(line, refusal(line)) for line in words if refusal(line)] == []


def test_every_job_is_a_build_that_can_go_on() -> None:
    assert kubernetes("rayjob.yaml")["spec"]["entrypoint"].split()[:2] == ["rsvqa", "build"]
    assert kubernetes("rayjob.yaml")["spec"]["backoffLimit"] > 0


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycluster.yaml"])
def test_no_unit_runs_beside_the_driver_and_workers_are_never_none(name: str) -> None:
    cluster = cluster_of(name)
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (workers,) = cluster["workerGroupSpecs"]
    assert 1 <= workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycluster.yaml"])
def test_every_machine_has_the_disk_and_a_worker_its_memory(name: str) -> None:
    cluster = cluster_of(name)
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert {volume["name"] for volume in pod["volumes"]} == {"data", "shm"}
        (container,) = pod["containers"]
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/dev/shm"}
    (workers,) = cluster["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    limits = container["resources"]["limits"]
    assert int(limits["memory"].removesuffix("Gi")) >= 1.5 * int(limits["cpu"])


def test_both_kubernetes_files_describe_one_cluster() -> None:
    assert cluster_of("rayjob.yaml") == cluster_of("raycluster.yaml")


def test_the_release_of_ray_is_the_tested_one() -> None:
    pins = (FOLDER.parents[1] / "constraints.txt").read_text()
    (release,) = re.findall(r"^ray==(.*)$", pins, re.MULTILINE)
    assert cluster_of("rayjob.yaml")["rayVersion"] == release
    assert f"FROM rayproject/ray:{release}-" in (FOLDER / "Dockerfile").read_text()
