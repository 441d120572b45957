"""The doctor: says what works, mends what does not, and downloads nothing."""

import json
from pathlib import Path

import pytest
import torch

from ovs3d import doctor
from ovs3d.cli.main import main
from ovs3d.encoders.weights import MissingWeights

TINY = ["doctor", "--encoder", "tiny-clip", "--dino", "tiny-dino"]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets a variable, which other tests must not see."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def found(name: str, encoder: str = "tiny-clip", dino: str = "tiny-dino") -> doctor.Finding:
    (finding,) = [each for each in doctor.examine(encoder, dino) if each.name.startswith(name)]
    return finding


def test_ten_lines_and_what_the_demo_needs_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(TINY) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10 and all(line.startswith(("ok ", "no ")) for line in lines)
    assert any("bundled encoders" in line and line.startswith("ok") for line in lines)


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    findings = report["findings"]
    assert report["ready"] and {"name", "works", "found", "mend", "needed"} == set(findings[0]) and len(findings) == 10


def test_weights_that_are_missing_are_not_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ovs3d.encoders.hub.try_to_load_from_cache", lambda repository, file: None)
    finding = found("RN50", encoder="RN50:openai")
    assert not finding.works and "/path/to/file" in finding.mend and not finding.needed


def test_missing_tokenizer_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        if name == "some-siglip":
            raise MissingWeights("The tokenizer of some-siglip is not on this machine.")

    monkeypatch.setattr(doctor, "load_encoder", fail)
    assert "The tokenizer of some-siglip" in found("some-siglip", encoder="some-siglip").mend


def test_fault_of_a_library_is_told_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ValueError("no tokenizer\nat all")

    monkeypatch.setattr(doctor, "load_patch_encoder", fail)
    findings = list(doctor.examine("tiny-clip", "some-dino"))
    (finding,) = [each for each in findings if each.name == "some-dino"]
    assert finding.mend == "ValueError: no tokenizer" and len(findings) == 10


def test_misspelt_encoder_is_named() -> None:
    finding = found("VIT-B", encoder="VIT-B-16")
    assert not finding.works and "is not an encoder" in finding.mend


def test_missing_program_for_videos_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "ensure_ffmpeg", lambda: None)
    assert main(TINY) == 1
    assert "imageio-ffmpeg" in capsys.readouterr().out
    assert main([*TINY, "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)["ready"]


def test_missing_system_library_of_open3d_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError("libusb-1.0.so.0: cannot open shared object file")

    monkeypatch.setattr(doctor, "import_module", refuse)
    finding = found("Open3D")
    assert not finding.works and "libusb" in finding.found and "apt install" in finding.mend


def test_full_disk_and_missing_compiler_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1e9})())
    monkeypatch.setattr(doctor, "library", lambda: None)
    monkeypatch.setenv("OVS3D_CACHE", str(tmp_path / "not" / "there"))
    assert "OVS3D_CACHE" in found("disk").mend and "gcc" in found("kernels").mend


def test_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    card = type("Card", (), {"name": "Some GPU", "total_memory": 24_000_000_000})()
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    assert doctor.device().found == "Some GPU, 24 GB"
