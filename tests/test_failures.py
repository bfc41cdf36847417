"""Every class of failure, shown by messages that engines, systems and servers print."""

import csv
from collections import Counter
from pathlib import Path

from failure_messages import MESSAGES
import pytest

from llmresearch.failure_rules import CAUSES, RULES
from llmresearch.failures import KINDS, Failure, classify_failure, failure, failure_table

PUBLISHED = Path(__file__).parents[2] / "shared" / "technical_reports" / "published"

PAIRS = [(cause, text) for cause, texts in MESSAGES for text in texts]


@pytest.mark.parametrize(("cause", "text"), PAIRS, ids=[f"{cause}: {text[:40]}" for cause, text in PAIRS])
def test_a_message_lands_in_the_class_a_reader_agrees_with(cause, text):
    assert classify_failure(text).cause == cause


def test_every_cause_but_unknown_has_a_rule_and_every_rule_a_message():
    assert {cause for cause, _ in RULES} | {"unknown"} == set(CAUSES) == {cause for cause, _ in MESSAGES}


def test_kinds_are_the_closed_list_and_each_is_in_use():
    assert {kind for kind, _ in CAUSES.values()} == set(KINDS)


def test_a_failure_names_kind_cause_and_a_remedy():
    found = classify_failure("cuMemcpyHtoDAsync failed: invalid argument")
    assert found == failure("invalid argument")
    assert (found.kind, found.cause) == ("hard", "invalid argument")
    assert "int64" in found.remedy


def test_a_cause_that_does_not_exist_is_not_made_up():
    with pytest.raises(KeyError):
        failure("gremlins")


def test_the_source_lines_of_a_traceback_are_not_the_error():
    text = (
        "Traceback (most recent call last):\n"
        '  File "loop.py", line 7, in step\n'
        "    out = model(ids, use_cache=False)  # else TimeoutError: timed out\n"
        "          ^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.\n"
    )
    assert classify_failure(text).cause == "out of memory"
    other = text.replace("torch.OutOfMemoryError: CUDA out of memory.", "KeyError: 'x'.")
    assert classify_failure(other).kind == "unknown"


def test_the_last_error_of_a_chain_is_asked_before_what_came_earlier():
    text = (
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in load\n'
        "    open(path)\n"
        "FileNotFoundError: [Errno 2] No such file or directory: 'cache.bin'\n"
        "During handling of the above exception, another exception occurred:\n"
        '  File "b.py", line 9, in build\n'
        "    allocate()\n"
        "torch.OutOfMemoryError: CUDA out of memory.\n"
    )
    assert classify_failure(text).cause == "out of memory"


def test_a_vague_last_error_gives_way_to_the_reason_above_it():
    margin = "(EngineCore_0 pid=7) "
    text = (
        f"{margin}ValueError: No available memory for the cache blocks.\n"
        f'{margin}  File "utils.py", line 759, in wait_for_engine_startup\n'
        f"{margin}    raise TimeoutError('timed out') if late else RuntimeError(\n"
        f"{margin}RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    assert classify_failure(text).cause == "out of memory"


def test_an_exception_bytes_and_none_are_taken_like_text():
    assert classify_failure(MemoryError()).cause == "out of memory"
    assert classify_failure(b"\xff Connection refused").cause == "server absent"
    assert classify_failure(None) == failure("unknown")


def test_the_end_of_a_long_log_decides():
    assert classify_failure("step fine\n" * 100_000 + "CUDA out of memory").cause == "out of memory"


def test_a_status_is_read_from_its_number_not_from_any_number():
    assert classify_failure("HTTP 503").kind == "soft"
    assert classify_failure("503 tokens").kind == "unknown"


def test_a_table_counts_each_class_by_backend_and_phase_and_loses_none():
    table = failure_table([
        ("trt", "prefill", "set_input_shape_failed:input_ids:4x11"),
        ("trt", "prefill", "set_input_shape_failed:input_ids:4x19"),
        ("trt", "generate", "cuMemcpyHtoDAsync failed: invalid argument"),
        ("ort", "generate", None),
    ])
    assert [(row["backend"], row["phase"], row["cause"], row["n"]) for row in table] == [
        ("ort", "generate", "unknown", 1),
        ("trt", "generate", "invalid argument", 1),
        ("trt", "prefill", "profile or shape mismatch", 2),
    ]
    assert table[2]["example"] == "set_input_shape_failed:input_ids:4x11"


def test_all_1190_published_failures_of_tr118_fall_into_two_causes():
    path = PUBLISHED / "raw_tr118_runs.csv"
    if not path.exists():
        pytest.skip("the published raw runs are not here")
    with path.open(newline="") as lines:
        failed = [row for row in csv.DictReader(lines) if row["ok"] == "False"]
    causes = Counter(classify_failure(row["error"]).cause for row in failed)
    assert causes == {"invalid argument": 1150, "profile or shape mismatch": 40}
    assert {classify_failure(row["error"]).kind for row in failed} == {"hard"}
    table = failure_table((row["backend"], row["mode"], row["error"]) for row in failed)
    assert [(row["backend"], row["phase"], row["cause"], row["n"]) for row in table] == [
        ("tensorrt-fp16", "generate", "invalid argument", 370),
        ("tensorrt-fp16", "generate", "profile or shape mismatch", 20),
        ("tensorrt-fp16", "prefill", "profile or shape mismatch", 20),
        ("tensorrt-fp32", "generate", "invalid argument", 390),
        ("tensorrt-int8", "generate", "invalid argument", 390),
    ]


def test_a_failure_cannot_be_changed():
    with pytest.raises(AttributeError):
        Failure("hard", "crash", "").kind = "soft"
