"""A raw line is written whole or not at all, and nothing that was measured is lost."""

import errno
import gzip
import json

import pytest

from llmresearch import records
from llmresearch.records import RawFileError, call_line, cell_line


def cell(name, calls=2):
    who = {"cell_id": name, "session": 1}
    return [call_line(**who, index=i, seconds=0.5) for i in range(calls)] + [cell_line(**who, status="ok")]


@pytest.fixture(params=["raw.jsonl", "raw.jsonl.gz"])
def raw(request, tmp_path):
    return tmp_path / request.param


def test_every_column_of_a_line_is_there_and_null_where_nothing_was_measured(raw):
    records.append(raw, cell("a", calls=1))
    call, done = records.lines(raw)
    assert set(records.CALL_COLUMNS) < set(call) and call["device_seconds"] is None
    assert set(records.CELL_COLUMNS) < set(done) and done["reason"] is None


def test_a_column_that_a_line_does_not_have_is_refused():
    with pytest.raises(RawFileError, match="a call has no column .'latency'."):
        call_line(latency=1)


def test_cells_written_one_after_the_other_are_read_in_order(raw):
    for name in "abc":
        records.append(raw, cell(name))
    assert [line["cell_id"] for line in records.cells(raw)] == ["a", "b", "c"]
    assert records.done(raw) == {("a", 1), ("b", 1), ("c", 1)}


def test_a_whole_file_needs_no_repair(raw):
    records.append(raw, cell("a"))
    before = raw.read_bytes()
    assert records.repair(raw) == 0
    assert raw.read_bytes() == before


@pytest.mark.parametrize("lost", [1, 7, 200])
def test_a_file_that_was_cut_short_is_cut_back_to_its_last_finished_cell(raw, lost):
    records.append(raw, cell("a"))
    whole = raw.read_bytes()
    records.append(raw, cell("b"))
    data = raw.read_bytes()
    raw.write_bytes(data[: max(len(data) - lost, len(whole) + 30)])
    assert records.repair(raw) >= 1
    only_the_checksum_is_lost = raw.suffix == ".gz" and lost <= 8
    assert [line["cell_id"] for line in records.cells(raw)] == (["a", "b"] if only_the_checksum_is_lost else ["a"])
    assert records.repair(raw) == 0


def test_calls_without_their_cell_belong_to_a_cell_that_is_measured_again(tmp_path):
    raw = tmp_path / "raw.jsonl"
    records.append(raw, cell("a"))
    with open(raw, "ab") as stream:
        stream.write(records.encode(call_line(cell_id="b", session=1)))
    assert records.repair(raw) == 1
    assert records.done(raw) == {("a", 1)}


def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(tmp_path, monkeypatch):
    raw = tmp_path / "raw.jsonl"
    records.append(raw, cell("a"))
    before = raw.read_bytes()

    def full(path, data):
        with open(path, "ab") as stream:
            stream.write(data[:40])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(records, "_write_through", full)
    with pytest.raises(RawFileError, match="No space left on device.*free some space"):
        records.append(raw, cell("b"))
    assert raw.read_bytes() == before


def test_no_permission_is_one_sentence(tmp_path, monkeypatch):
    def forbidden(path, data):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(records, "_write_through", forbidden)
    with pytest.raises(RawFileError, match="Permission denied"):
        records.append(tmp_path / "raw.jsonl", cell("a"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"schema": 99, "record": "cell"}\n', "line 2: schema 99"),
        ('{"schema": 1, "record": "blob"}\n', "record 'blob'"),
        ("[1, 2]\n", "line 2: schema None"),
        ("{half a line\n", "line 2: not JSON"),
    ],
)
def test_a_line_of_another_kind_is_refused_by_its_number(tmp_path, text, sentence):
    raw = tmp_path / "raw.jsonl"
    raw.write_text(json.dumps(cell_line(cell_id="a")) + "\n" + text)
    with pytest.raises(RawFileError, match=sentence):
        list(records.lines(raw))


def test_a_file_that_is_called_gz_and_is_not_is_refused(tmp_path):
    raw = tmp_path / "raw.jsonl.gz"
    raw.write_text("plain\n")
    with pytest.raises(RawFileError, match="not a gzip file"):
        list(records.lines(raw))


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(RawFileError, match="cannot be read .No such file"):
        list(records.lines(tmp_path / "absent.jsonl"))


def test_nan_never_gets_into_a_raw_file():
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.encode(call_line(seconds=float("nan")))


def test_the_sidecar_has_the_same_stem(tmp_path):
    assert records.sidecar(tmp_path / "tr121.jsonl.gz") == tmp_path / "tr121.json"
    assert records.sidecar(tmp_path / "tr121.jsonl") == tmp_path / "tr121.json"


def test_a_broken_sidecar_is_one_sentence_and_an_absent_one_is_empty(tmp_path):
    assert records.facts(tmp_path / "a.jsonl") == {}
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(RawFileError, match="a.json: not JSON"):
        records.facts(tmp_path / "a.jsonl")


def test_gzip_files_have_the_same_bytes_every_time(tmp_path):
    for name in ("a.gz", "b.gz"):
        records.append(tmp_path / name, cell("x"))
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()).count(b"\n") == 3
