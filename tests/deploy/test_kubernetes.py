"""The Kubernetes manifests are valid, restricted, and fit the settings and the image."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.deploy import MANIFEST_FILES, MANIFESTS, deployments, pod, resources
from tests.support.processes import ROOT
from workers import __version__

# The volume types of the restricted Pod Security Standard.
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def breaches(spec: dict[str, Any]) -> list[str]:
    """Return what in a pod violates the restricted standard (Kubernetes' page "Pod Security Standards")."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    found += [f"volume {volume['name']}" for volume in spec.get("volumes", []) if not VOLUMES & volume.keys()]
    whole = spec.get("securityContext", {})
    for container in spec["containers"] + spec.get("initContainers", []):
        own = container.get("securityContext", {})
        both = whole | own
        rules = {
            "privileged": not own.get("privileged"),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities.drop": "ALL" in own.get("capabilities", {}).get("drop", []),
            "capabilities.add": set(own.get("capabilities", {}).get("add", [])) <= {"NET_BIND_SERVICE"},
            "runAsNonRoot": both.get("runAsNonRoot") is True,
            "runAsUser": both.get("runAsUser", 1) != 0,
            "seccompProfile": both.get("seccompProfile", {}).get("type") in {"RuntimeDefault", "Localhost"},
            "procMount": own.get("procMount", "Default") == "Default",
            "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
        }
        found += [f"{container['name']}: {rule}" for rule, kept in rules.items() if not kept]
    return found


def kubectl(*arguments: str) -> str:
    command = shutil.which("kubectl")
    if command is None:
        if os.environ.get("CI"):
            pytest.fail("kubectl is not installed, but CI needs it")
        pytest.skip("kubectl is not installed")
    done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kustomize(folder: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(kubectl("kustomize", str(folder))))


@pytest.mark.parametrize("resource", resources(), ids=lambda found: f"{found['kind']}-{found['metadata']['name']}")
def test_each_resource_fits_its_schema(resource: dict[str, Any]) -> None:
    kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def test_the_pods_meet_the_restricted_standard() -> None:
    assert [breaches(found["spec"]["template"]["spec"]) for found in deployments()] == [[], []]


@pytest.mark.parametrize(
    ("place", "key", "value", "breach"),
    [
        ("pod", "hostNetwork", True, "hostNetwork"),
        ("pod", "volumes", [{"name": "disk", "hostPath": {"path": "/"}}], "volume disk"),
        ("context", "runAsUser", 0, "web: runAsUser"),
        ("context", "allowPrivilegeEscalation", True, "web: allowPrivilegeEscalation"),
        ("context", "capabilities", {"drop": ["NET_RAW"]}, "web: capabilities.drop"),
        ("context", "seccompProfile", {"type": "Unconfined"}, "web: seccompProfile"),
    ],
)
def test_a_pod_that_breaks_the_restricted_standard_is_noticed(place: str, key: str, value: object, breach: str) -> None:
    spec = pod("foxhooks-web")
    (spec if place == "pod" else spec["containers"][0]["securityContext"])[key] = value
    assert breach in breaches(spec)


@pytest.mark.parametrize("name", ["foxhooks-web", "foxhooks-worker"])
def test_a_pod_writes_only_to_tmp(name: str) -> None:
    [container] = pod(name)["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")] == ["/tmp"]


@pytest.mark.parametrize("name", ["foxhooks-web", "foxhooks-worker"])
def test_handlers_are_mounted_at_the_working_folder_and_may_be_missing(name: str) -> None:
    spec = pod(name)
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume.get("configMap") for volume in spec["volumes"]}
    assert mounts["handlers"] == "/app"
    assert volumes["handlers"] == {"name": "foxhooks-handlers", "optional": True}
    assert "\nWORKDIR /app\n" in (ROOT / "deploy" / "Dockerfile").read_text()


@pytest.mark.parametrize("name", ["foxhooks-web", "foxhooks-worker"])
def test_service_links_add_no_settings(name: str) -> None:
    assert pod(name)["enableServiceLinks"] is False


def test_pods_stop_within_the_time_a_worker_needs() -> None:
    assert {pod(name)["terminationGracePeriodSeconds"] for name in ("foxhooks-web", "foxhooks-worker")} == {30}


def test_each_process_gets_only_its_own_secrets() -> None:
    secrets = {
        found["metadata"]["name"]: found["stringData"].keys() for found in resources() if found["kind"] == "Secret"
    }
    assert secrets == {
        "foxhooks-web": {"REDIS_URL", "HAPPYFOX_WEBHOOK_SECRETS"},
        "foxhooks-worker": {"REDIS_URL", "HAPPYFOX_API_KEY", "HAPPYFOX_AUTH_CODE"},
    }
    for name in secrets:
        [container] = pod(name)["containers"]
        assert [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source] == [name]


def test_the_example_secrets_are_not_applied() -> None:
    listed = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["resources"]
    assert sorted([*listed, "secrets.example.yaml"]) == MANIFEST_FILES


def test_kustomize_builds_the_base_without_a_namespace() -> None:
    built = kustomize(MANIFESTS)
    for resource in built:
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
    assert sorted(found["kind"] for found in built) == [
        "ConfigMap",
        "Deployment",
        "Deployment",
        "PodDisruptionBudget",
        "Service",
    ]
    assert not any("namespace" in found["metadata"] for found in built)


def test_kustomize_mounts_the_starters_handlers_in_both_pods() -> None:
    version = json.loads(kubectl("version", "--client", "--output=json"))["clientVersion"]
    if int(version["minor"].rstrip("+")) < 21:
        pytest.skip("kubectl before 1.21 (2021) cannot build a folder that is based on another")
    built = kustomize(ROOT / "examples" / "starter")
    [handlers] = [
        found
        for found in built
        if found["kind"] == "ConfigMap" and found["metadata"]["name"].startswith("foxhooks-handlers-")
    ]
    for name in ("handlers.py", "rules.toml", "foxhooks.toml"):
        assert handlers["data"][name] == (ROOT / "examples" / "starter" / name).read_text()
    mounted = [
        volume["configMap"]["name"]
        for found in built
        if found["kind"] == "Deployment"
        for volume in found["spec"]["template"]["spec"]["volumes"]
        if volume["name"] == "handlers"
    ]
    assert mounted == [handlers["metadata"]["name"]] * 2


def test_the_manifests_have_the_version_of_the_project() -> None:
    kustomization = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())
    assert kustomization["images"] == [{"name": "foxhooks", "newTag": __version__}]
