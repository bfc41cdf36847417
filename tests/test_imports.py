"""Imports go one way, and importing the package loads nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import llmresearch

HOME = Path(llmresearch.__file__).parent

# The order of the house: a room imports rooms of its own line and of lines above. `hinge` is for both sides;
# measuring and analysing never import each other; what stands on top may import everything.
HINGE = ("records", "failure_rules", "failures", "intervals", "steadiness", "strides", "texts", "energy")
MEASURING = ("backends", "export", "models", "matrix", "interference", "telemetry", "timing", "provenance", "worker",
             "worker_process", "together", "runner", "compliance", "embedding", "roofline", "energy_windows")  # fmt: skip
ANALYSING = ("frames", "stats", "fits", "perplexities", "cost", "cost_files", "spending", "prices", "joules", "ranks", "economy", "queueing", "regimes", "scaling", "starts", "engines_in_depth", "compiling", "charging", "tails", "published", "figures",
             "sizer", "importers", "audit",
             "plausibility", "quality", "peers", "reporting", "widgets")  # fmt: skip
TOP = ("__init__", "__main__", "cli", "doctor", "first_look", "selfcheck")
# What a notebook's door needs of the other side, and nothing else: the plan's words, and the runner when it measures.
DOOR = {"reporting": {"matrix", "runner", "provenance"}}
HEAVY = ("torch", "transformers", "onnx", "onnxruntime", "llama_cpp", "vllm", "tensorrt", "pandas", "scipy", "matplotlib")
WORKER_MAY_LOAD = {"numpy", "pynvml"}


def rooms():
    return sorted({p.stem if p.parent == HOME else p.relative_to(HOME).parts[0] for p in HOME.rglob("*.py")})


def files(room):
    return [p for p in HOME.rglob("*.py") if (p.relative_to(HOME).parts[0] if p.parent != HOME else p.stem) == room]


def imported(path, whole=True):
    """(rooms, other packages) that a file imports; `whole`: also inside functions."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if whole else tree.body
    inside, outside = set(), set()
    depth = len(path.relative_to(HOME).parts) - 1
    for node in nodes:
        if isinstance(node, ast.Import):
            outside |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            outside.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level == depth + 1:
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            inside |= {name if (HOME / name).is_dir() or (HOME / f"{name}.py").exists() else "__init__" for name in names}
    return inside, outside


def test_every_room_has_its_place():
    assert set(rooms()) <= set(HINGE + MEASURING + ANALYSING + TOP), "a new room: say on which side it stands"


@pytest.mark.parametrize("room", HINGE)
def test_the_hinge_imports_only_the_hinge_and_numpy(room):
    for path in files(room):
        inside, outside = imported(path)
        assert inside <= set(HINGE), path
        assert not outside & set(HEAVY), path


@pytest.mark.parametrize("room", [r for r in MEASURING if files(r)])
def test_measuring_never_imports_analysing(room):
    for path in files(room):
        assert not imported(path)[0] & set(ANALYSING), path


@pytest.mark.parametrize("room", ANALYSING)
def test_analysing_never_imports_measuring_nor_an_engine(room):
    for path in files(room):
        inside, outside = imported(path)
        allowed = DOOR.get(room, set()) | set(HINGE) | set(ANALYSING) | {"__init__"}
        assert inside <= allowed, (path, inside - allowed)
        assert not outside & {"torch", "transformers", "onnxruntime", "llama_cpp", "vllm"}, path


def test_there_is_one_broad_except_and_it_is_in_the_worker():
    found = [
        path.name
        for path in HOME.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
    ]
    assert found == ["worker.py"]


def test_nothing_in_the_house_can_run_what_a_file_says():
    words = ("pickle.load", "torch.load(", "yaml.load(", "shell=True", "eval(", "exec(", "os.system")
    for path in HOME.rglob("*.py"):
        text = path.read_text().replace("literal_eval(", "").replace(".eval()", "")
        assert not [word for word in words if f" {word}" in text or f"={word}" in text], path


def loaded(statement):
    code = f"import sys; {statement}; print(' '.join(sorted(m.split('.')[0] for m in sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded("import llmresearch") & {*HEAVY, "numpy", "yaml"}


def test_a_worker_loads_numpy_and_its_engine_only():
    assert not loaded("import llmresearch.worker") & {*HEAVY, "psutil", "yaml", "tqdm", "click"}


def test_the_command_line_answers_without_loading_an_engine():
    assert not loaded("import llmresearch.cli") & set(HEAVY)


def test_every_public_name_can_be_had():
    for name in llmresearch.__all__:
        assert getattr(llmresearch, name) is not None


def test_no_module_hides_a_public_name():
    for name in llmresearch.__all__:
        module = HOME / f"{name}.py"
        assert not module.exists() or name in llmresearch._ROOMS, name
