"""A stand-in for vLLM: no engine, no GPU. It starts from a config.json, logs like vLLM 0.25 and fails like it.

Sizes are plain arithmetic on a pretended GPU of 16 GiB; ids count up from the prompt's last one.
"""

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace as Some

GIB = 2**30
TOTAL = 16 * GIB
logging.basicConfig(stream=sys.stdout, format="INFO 01-01 00:00:00 [stand-in] %(message)s", level="INFO", force=True)
say = logging.getLogger("vllm").info


class SamplingParams:
    def __init__(self, **values):
        vars(self).update(values)


class LLM:
    def __init__(self, model, dtype="auto", max_model_len=None, max_num_seqs=256, gpu_memory_utilization=0.9, **rest):
        config = json.loads((Path(model) / "config.json").read_text())
        say(f"Initializing a V1 LLM engine (v0.25.1) of a stand-in: no engine, config: model='{model}', "
            f"max_seq_len={max_model_len}, tensor_parallel_size=1, pipeline_parallel_size=1")  # fmt: skip
        if "auto_map" in config and not rest.get("trust_remote_code"):
            raise ValueError("The repository contains custom code which must be executed to correctly load the model. "
                             "Please pass the argument `trust_remote_code=True` to allow custom code to be run.")  # fmt: skip
        positions = config["max_position_embeddings"]
        length = max_model_len or positions
        if length > positions:
            raise ValueError(f"User-specified max_model_len ({length}) is greater than the derived max_model_len "
                             f"(max_position_embeddings={positions}).")  # fmt: skip
        if config["num_hidden_layers"] == 13:
            sys.exit("a stand-in that dies while it starts")
        budget = gpu_memory_utilization * TOTAL
        say(f"Initial free memory: 15.80 GiB; Requested memory: {gpu_memory_utilization} (util), {budget / GIB:.2f} GiB")
        say(f"Free memory on device cuda:0 (15.80/{TOTAL / GIB:.2f} GiB)")
        weights, cache = 2 * _weights(config), 4 * config["num_hidden_layers"] * config["num_key_value_heads"] * config["head_dim"]
        say(f"Model loading took {weights / GIB:.4f} GiB memory and 0.1 seconds")
        pool = budget - weights - GIB
        say("Memory profiling takes 0.10 seconds. weights memory: "
            f"{weights / GIB:.2f} GiB; torch peak memory increase: 0.75 GiB; non-torch forward increase memory: 0.25 GiB.")  # fmt: skip
        if pool <= 0:
            raise ValueError("No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.")
        say(f"Available KV cache memory: {pool / GIB:.2f} GiB")
        say(f"GPU KV cache size: {int(pool // cache):,} tokens")
        say(f"Maximum concurrency for {length:,} tokens per request: {pool / cache / length:.2f}x")
        graphs = 0.0 if rest.get("enforce_eager") else 0.5
        if graphs:
            say(f"Graph capturing finished in 1 secs, took {graphs:.2f} GiB")
        waiting = {}

        def step():
            """One more token for every request."""
            for one in waiting.values():
                one.made += 1
                new = [one.last + one.made]
                one.outputs[0].token_ids = new if one.kind == "delta" else one.outputs[0].token_ids + new
            found = list(waiting.values())
            for name in [name for name, one in waiting.items() if one.made == one.most]:
                del waiting[name]
            return found

        def add_request(name, prompt, params):
            waiting[name] = Some(request_id=name, last=prompt["prompt_token_ids"][-1], most=params.max_tokens, made=0,
                                 kind=getattr(params, "output_kind", "cumulative"), outputs=[Some(token_ids=[])])  # fmt: skip

        self.llm_engine = Some(step=step, add_request=add_request, has_unfinished_requests=lambda: bool(waiting), vllm_config=Some(
            model_config=Some(max_model_len=length, dtype=f"torch.{dtype}", quantization=rest.get("quantization"),
                              enforce_eager=bool(rest.get("enforce_eager"))),
            scheduler_config=Some(max_num_seqs=max_num_seqs, max_num_batched_tokens=rest.get("max_num_batched_tokens") or 16384),
            cache_config=Some(cache_dtype=rest.get("kv_cache_dtype", "auto"), num_gpu_blocks=int(pool // cache) // 16,
                              block_size=16, gpu_memory_utilization=gpu_memory_utilization, enable_prefix_caching=False),
            parallel_config=Some(tensor_parallel_size=1, pipeline_parallel_size=1),
            device_config=Some(device_type="cpu"),
        ))  # fmt: skip


def _weights(config):
    hidden, layers, inner = config["hidden_size"], config["num_hidden_layers"], config["intermediate_size"]
    heads = config["head_dim"] * (2 * config["num_attention_heads"] + 2 * config["num_key_value_heads"])
    tables = 1 if config["tie_word_embeddings"] else 2
    return layers * (hidden * heads + 3 * hidden * inner) + tables * config["vocab_size"] * hidden
