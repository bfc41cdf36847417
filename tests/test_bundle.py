"""A report in one file: what is inside, what is refused, and the study measured again from it."""

import io
import json
import tarfile

import pytest
from example import NOTEBOOK, copied

from llmresearch.reporting import bundle
from llmresearch.reporting.claims import ReportError


@pytest.fixture
def packed(tmp_path):
    return bundle.pack(copied(tmp_path / "report"), tmp_path / "fixture.tar.gz")


def tar_with(path, name, kind=tarfile.REGTYPE, link=""):
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        tar.addfile(member, io.BytesIO(b""))
    return path


def test_a_bundle_holds_pages_raw_file_sidecar_parameters_and_environment(packed, tmp_path):
    inside = bundle.unpack(packed, tmp_path / "there")
    names = {p.relative_to(inside).as_posix() for p in inside.rglob("*") if p.is_file()}
    assert {"report/FIXTURE.md", "report/FIXTURE.html", "report/fixture/claims.json", "params.json", "environment.txt"} <= names
    assert {p.suffix for p in (inside / "raw").iterdir()} >= {".jsonl", ".json"}
    assert json.loads((inside / "params.json").read_text())["repetitions"] == 9


def test_a_bundle_names_neither_user_nor_place(packed):
    with tarfile.open(packed) as tar:
        assert {(m.uid, m.gid, m.uname, m.gname) for m in tar} == {(0, 0, "", "")}


def test_the_environment_is_names_and_versions_only():
    lines = bundle.environment().splitlines()
    assert any(line.startswith("numpy==") for line in lines)
    assert not [line for line in lines if "/" in line or "@" in line or line.count("==") != 1]


def test_a_changed_file_is_found(packed, tmp_path):
    inside = bundle.unpack(packed, tmp_path / "there")
    (inside / "report" / "FIXTURE.md").write_text("42 times faster")
    bundle._archive(inside, tmp_path / "changed.tar.gz")
    with pytest.raises(ReportError, match="1 files are not as they were packed .first: report/FIXTURE.md"):
        bundle.unpack(tmp_path / "changed.tar.gz", tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["../evil", "/evil", "bundle/../../evil", "other/file"])
def test_a_path_that_leads_out_of_the_bundle_is_refused(tmp_path, name):
    with pytest.raises(ReportError, match="which is no file below bundle/"):
        bundle.unpack(tar_with(tmp_path / "b.tar.gz", name), tmp_path / "there")
    assert not (tmp_path / "evil").exists()


def test_a_link_is_refused(tmp_path):
    with pytest.raises(ReportError, match="which is no file below bundle/"):
        bundle.unpack(tar_with(tmp_path / "b.tar.gz", "bundle/x", tarfile.SYMTYPE, "/etc/passwd"), tmp_path / "there")


def test_a_file_that_is_no_bundle_is_one_sentence(tmp_path):
    (tmp_path / "b.tar.gz").write_text("hello")
    with pytest.raises(ReportError, match="cannot be read as a bundle"):
        bundle.unpack(tmp_path / "b.tar.gz", tmp_path / "there")


def test_a_bundle_that_unpacks_to_too_much_is_refused(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "LARGEST", 10)
    with pytest.raises(ReportError, match="unpacks to more than"):
        bundle.unpack(packed, tmp_path / "there")


def test_a_folder_that_is_no_report_is_one_sentence(tmp_path):
    with pytest.raises(ReportError, match="report.json: cannot be read .No such file"):
        bundle.pack(tmp_path, tmp_path / "b.tar.gz")


def test_a_report_without_its_raw_file_is_not_packed(tmp_path):
    folder = copied(tmp_path / "report")
    for path in (folder / "raw").iterdir():
        path.unlink()
    with pytest.raises(ReportError, match="is missing. Put the raw file back"):
        bundle.pack(folder, tmp_path / "b.tar.gz")


def test_the_same_study_on_a_seeded_engine_is_measured_again_with_the_same_claims(packed, tmp_path):
    found = bundle.reproduce(packed, tmp_path / "again", notebook=NOTEBOOK)
    compared = found.table[found.table["verdict"] != "not compared"]
    assert (compared["first"] == compared["second"]).all() and found.conclusion != "NOT REPRODUCED"
    assert list((tmp_path / "again" / "fixture" / "raw").glob("*.jsonl"))
    assert str(found).endswith(f"{found.conclusion} (ratios within 2 %, by their intervals)")


def test_places_and_unknown_parameters_of_a_bundle_stay_out():
    assert bundle._values({"folder": "x", "raw": "y", "gone": 1, "sessions": 3, "seed": 42},
                          {"folder": "", "raw": None, "sessions": 1, "seed": 42}) == {"sessions": 3}
