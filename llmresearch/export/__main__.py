"""`python -m llmresearch.export FOLDER PLACE OPTIONS`: one export, in a process of its own."""

import json
import sys

from ..records import LlmResearchError
from .variant import Variant

if __name__ == "__main__":
    try:
        from .build import build

        build(sys.argv[1], sys.argv[2], Variant(**json.loads(sys.argv[3])))
    except ImportError as error:
        sys.exit(f"export: needs onnx ({error}). Install it: pip install onnx.")
    except LlmResearchError as error:
        sys.exit(str(error))
