"""The Kubernetes manifests are valid, restricted, and fit the settings and the image."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.support.deploy import BASE, MANIFESTS, kubectl, pod, resources
from tests.support.processes import ROOT
from workers import __version__

OURS = ["foxhooks-web", "foxhooks-worker", "foxhooks-dashboard", "foxhooks-gateway"]
PODS = [*OURS, "foxhooks-valkey"]

#: The parts of custom resources that we use, from the reference pages of KEDA 2, the Prometheus operator and the
#: Gateway API. Their complete schemas are not part of Kubernetes.
CUSTOM: dict[str, dict[str, Any]] = {
    "ScaledObject": {
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": "keda.sh/v1alpha1"},
            "spec": {
                "required": ["scaleTargetRef", "triggers"],
                "additionalProperties": False,
                "properties": {
                    "scaleTargetRef": {"required": ["name"]},
                    "minReplicaCount": {"type": "integer"},
                    "maxReplicaCount": {"type": "integer"},
                    "pollingInterval": {"type": "integer"},
                    "cooldownPeriod": {"type": "integer"},
                    "fallback": {"required": ["failureThreshold", "replicas"]},
                    "triggers": {
                        "items": {
                            "required": ["type", "metadata"],
                            "properties": {"metadata": {"additionalProperties": {"type": "string"}}},
                        }
                    },
                },
            },
        },
    },
    "TriggerAuthentication": {
        "properties": {
            "apiVersion": {"const": "keda.sh/v1alpha1"},
            "spec": {
                "properties": {
                    "secretTargetRef": {"type": "array", "items": {"required": ["parameter", "name", "key"]}}
                },
                "additionalProperties": False,
            },
        },
    },
    "ServiceMonitor": {
        "properties": {
            "apiVersion": {"const": "monitoring.coreos.com/v1"},
            "spec": {
                "required": ["selector", "endpoints"],
                "properties": {"endpoints": {"items": {"required": ["port", "path", "authorization"]}}},
            },
        },
    },
    "HTTPRoute": {
        "properties": {
            "apiVersion": {"const": "gateway.networking.k8s.io/v1"},
            "spec": {
                "required": ["parentRefs", "rules"],
                "properties": {"rules": {"items": {"required": ["matches", "backendRefs"]}}},
            },
        },
    },
}

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


def kustomize(folder: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(kubectl("kustomize", str(folder))))


@pytest.mark.parametrize("resource", resources(), ids=lambda found: f"{found['kind']}-{found['metadata']['name']}")
def test_each_resource_fits_its_schema(resource: dict[str, Any]) -> None:
    if schema := CUSTOM.get(resource["kind"]):
        jsonschema.validate(resource, schema)
    else:
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def test_the_pods_meet_the_restricted_standard() -> None:
    assert {name: breaches(pod(name)) for name in PODS} == {name: [] for name in PODS}


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


@pytest.mark.parametrize("name", PODS)
def test_a_pod_writes_only_to_tmp_which_is_bounded(name: str) -> None:
    spec = pod(name)
    [container] = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    data = ["/data"] if name == "foxhooks-valkey" else []
    assert [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")] == [*data, "/tmp"]
    assert all(volume["emptyDir"]["sizeLimit"] for volume in spec["volumes"] if "emptyDir" in volume)


@pytest.mark.parametrize("name", OURS)
def test_handlers_are_mounted_at_the_working_folder_and_may_be_missing(name: str) -> None:
    spec = pod(name)
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume.get("configMap") for volume in spec["volumes"]}
    assert mounts["handlers"] == "/app"
    assert volumes["handlers"] == {"name": "foxhooks-handlers", "optional": True}
    assert "\nWORKDIR /app\n" in (ROOT / "deploy" / "Dockerfile").read_text()


@pytest.mark.parametrize("name", PODS)
def test_service_links_add_no_settings(name: str) -> None:
    assert pod(name)["enableServiceLinks"] is False


def test_pods_stop_within_the_time_a_worker_needs() -> None:
    assert {pod(name)["terminationGracePeriodSeconds"] for name in OURS} == {30}


def test_an_outage_of_the_store_restarts_no_process() -> None:
    worker, web = pod("foxhooks-worker")["containers"][0], pod("foxhooks-web")["containers"][0]
    assert worker["livenessProbe"]["exec"]["command"] == ["foxhooks", "status", "--worker", "--local"]
    assert worker["readinessProbe"]["exec"]["command"] == ["foxhooks", "status", "--worker"]
    assert (web["livenessProbe"]["httpGet"]["path"], web["readinessProbe"]["httpGet"]["path"]) == (
        "/healthz",
        "/readyz",
    )


def test_each_process_gets_only_its_own_secrets() -> None:
    secrets = {
        found["metadata"]["name"]: found["stringData"].keys() for found in resources() if found["kind"] == "Secret"
    }
    assert secrets == {
        "foxhooks-web": {"REDIS_URL", "HAPPYFOX_WEBHOOK_SECRETS"},
        "foxhooks-worker": {"REDIS_URL", "HAPPYFOX_API_KEY", "HAPPYFOX_AUTH_CODE"},
        "foxhooks-dashboard": {"REDIS_URL", "FOXHOOKS_ADMIN_PASSWORD", "FOXHOOKS_TOKENS"},
        "foxhooks-gateway": {"REDIS_URL", "HAPPYFOX_API_KEY", "HAPPYFOX_AUTH_CODE", "REPORTING_TOKEN"},
        "foxhooks-metrics": {"token"},
    }
    for name in OURS:
        [container] = pod(name)["containers"]
        assert [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source] == [name]


def test_the_example_secrets_are_not_applied() -> None:
    applied = [
        name
        for path in MANIFESTS.rglob("kustomization.yaml")
        for name in yaml.safe_load(path.read_text()).get("resources", [])
    ]
    assert not any("secrets" in name for name in applied)


def test_kustomize_builds_the_base_without_a_namespace() -> None:
    built = kustomize(BASE)
    assert sorted(found["kind"] for found in built) == [
        "ConfigMap",
        "Deployment",
        "Deployment",
        "PodDisruptionBudget",
        "PodDisruptionBudget",
        "Service",
    ]
    assert not any("namespace" in found["metadata"] for found in built)


def test_changed_settings_restart_the_pods(tmp_path: Path) -> None:
    def settings_of(account: str) -> set[str]:
        folder = tmp_path / account
        folder.mkdir()
        overlay = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(BASE, folder)],
            "configMapGenerator": [
                {"name": "foxhooks", "behavior": "merge", "literals": [f"HAPPYFOX_URL=https://{account}.happyfox.com"]}
            ],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        pods = [found["spec"]["template"]["spec"] for found in kustomize(folder) if found["kind"] == "Deployment"]
        return {pod["containers"][0]["envFrom"][0]["configMapRef"]["name"] for pod in pods}

    [before], [after] = settings_of("acme"), settings_of("beta")
    assert before != after


@pytest.mark.parametrize("optional", sorted(path.name for path in (MANIFESTS / "components").iterdir()))
def test_each_component_builds_on_the_base(optional: str, tmp_path: Path) -> None:
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(BASE, tmp_path)],
        "components": [os.path.relpath(MANIFESTS / "components" / optional, tmp_path)],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    built = kustomize(tmp_path)
    for resource in built:
        if resource["kind"] not in CUSTOM:
            kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
    pods = [found["spec"]["template"]["spec"] for found in built if found["kind"] in ("Deployment", "StatefulSet")]
    assert [breaches(spec) for spec in pods] == [[]] * len(pods)
    assert [each["image"] for spec in pods for each in spec["containers"] if ":" not in each["image"]] == []
    secrets = {
        source["secretRef"]["name"]
        for spec in pods
        for source in spec["containers"][0].get("envFrom", [])
        if "secretRef" in source
    }
    assert ("foxhooks-worker" in secrets) is (optional != "secret-files")


def test_the_autoscalers_own_the_number_of_workers() -> None:
    for name in ("autoscaling", "keda"):
        [patch] = yaml.safe_load((MANIFESTS / "components" / name / "kustomization.yaml").read_text())["patches"]
        assert yaml.safe_load(patch["patch"]) == [{"op": "remove", "path": "/spec/replicas"}]


def test_the_overlay_for_production_builds_and_separates_the_dashboard() -> None:
    built = kustomize(MANIFESTS / "overlays" / "production")
    assert {found["metadata"]["namespace"] for found in built} == {"foxhooks"}
    [web] = [found for found in built if found["metadata"]["name"] == "foxhooks-web" and found["kind"] == "Deployment"]
    assert {"name": "FOXHOOKS_DASHBOARD", "value": "off"} in web["spec"]["template"]["spec"]["containers"][0]["env"]
    [worker] = [each for each in built if (each["kind"], each["metadata"]["name"]) == ("Deployment", "foxhooks-worker")]
    assert "replicas" not in worker["spec"]


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
    kustomization = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    assert kustomization["images"] == [{"name": "foxhooks", "newTag": __version__}]
