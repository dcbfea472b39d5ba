"""`mixlingual cluster`: render writes, validate refuses with exit code 2 and one line each, up-hint only prints."""

import json
from pathlib import Path

import pytest
import yaml
from specs.clusters import EXAMPLES

from jobs.cli import main

KUBERNETES = next(str(path) for path in EXAMPLES if path.stem == "64-gpus-kubernetes")


def test_render_then_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "spec"
    assert main(["cluster", "render", "--config", KUBERNETES, "--out", str(out), "provider.gpu.max_pods=2"]) == 0
    assert set(capsys.readouterr().out.split()) == {str(path) for path in out.iterdir()}
    assert yaml.safe_load((out / "raycluster.yaml").read_text())["spec"]["workerGroupSpecs"][0]["maxReplicas"] == 2
    assert main(["cluster", "validate", str(out), "--config", KUBERNETES]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == "8 file(s), no problems"
    assert "note: RayJob was not held against KubeRay's schema; give --crds FOLDER" in said.err


def test_problems_are_lines_on_standard_error_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["cluster", "render", "--config", KUBERNETES, "--out", str(tmp_path)])
    cluster = tmp_path / "raycluster.yaml"
    cluster.write_text(cluster.read_text().replace("mode: token", "mode: disabled").replace("ClusterIP", "NodePort"))
    capsys.readouterr()
    assert main(["cluster", "validate", "--json", str(cluster)]) == 2
    said = capsys.readouterr()
    problems = [line for line in said.err.splitlines() if "note:" not in line]
    assert len(problems) == 3 and all(line.startswith(f"mixlingual: {cluster}: spec.") for line in problems)
    found = json.loads(said.out)
    assert not found["valid"] and {problem["field"] for problem in found["problems"]} == {
        "spec.authOptions.mode",
        "spec.headGroupSpec.serviceType",
        "spec.headGroupSpec.rayStartParams.dashboard-host",
    }


def test_hints_name_what_was_rendered_and_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", "up-hint", "--config", KUBERNETES, "--out", str(tmp_path / "spec")]) == 0
    hints = capsys.readouterr().out
    assert f"kubectl apply -f {tmp_path}/spec/surroundings.yaml" in hints
    assert "create secret generic mixlingual-ray-token" in hints and "openssl rand" in hints
    assert not (tmp_path / "spec").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["validate"], "cluster validate: names no file"),
        (["validate", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["validate", KUBERNETES, "--crds", "nowhere"], "--crds: nowhere is not a folder"),
        (["render", "--config", KUBERNETES, "nam=x"], "nam: unknown key; did you mean 'name'?"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", *arguments]) == 2
    assert line in capsys.readouterr().err
