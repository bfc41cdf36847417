"""Random models of every exported family, so small that a test makes them; loud weights, so that greedy text varies."""

LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}  # fmt: skip
SHAPE = {"vocab_size": 211, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
KINDS = ["sliding_attention", "full_attention"]
FAMILIES = {
    "gpt2": ("GPT2Config", {"vocab_size": 211, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128}),
    "llama": ("LlamaConfig", {"tie_word_embeddings": False, "rope_parameters": LLAMA3}),
    "mistral": ("MistralConfig", {"sliding_window": 7}),
    "qwen2": ("Qwen2Config", {"tie_word_embeddings": True, "hidden_size": 36, "num_attention_heads": 6, "num_key_value_heads": 1}),
    "qwen3": ("Qwen3Config", {"head_dim": 10, "num_attention_heads": 6, "num_key_value_heads": 3}),
    "gemma3": ("Gemma3TextConfig", {"num_key_value_heads": 1, "head_dim": 16, "sliding_window": 8, "layer_types": KINDS,
                                    "query_pre_attn_scalar": 16, "pad_token_id": 0}),
}  # fmt: skip


def made(family, folder):
    """`folder`, which then holds a random model of the family."""
    import torch
    import transformers

    kind, values = FAMILIES[family]
    config = getattr(transformers, kind)(**(values if family == "gpt2" else SHAPE | values))
    torch.manual_seed(len(family))
    model = transformers.AutoModelForCausalLM.from_config(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3 if weight.dim() > 1 else 0.5)
    model.save_pretrained(folder)
    return folder


def windowed(folder):
    """`folder`, which then holds a random Gemma 3 with a window of 8 tokens, whose greedy text varies."""
    import torch
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(3)
    config = Gemma3TextConfig(
        vocab_size=211, hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, sliding_window=8, pad_token_id=0, bos_token_id=2, eos_token_id=1,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"], initializer_range=0.4,
        tie_word_embeddings=False,
    )  # fmt: skip
    Gemma3ForCausalLM(config).save_pretrained(folder)
    return folder


def varied(spec):
    """The folder of a seeded GPT-2 whose greedy text is not one token repeated: its weights are 20 times as large."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    from llmresearch import models

    folder = models.folder(spec)
    weights = load_file(folder / "model.safetensors")
    louder = {name: w * np.float32(20 if w.ndim == 2 else 1) for name, w in weights.items()}
    save_file(louder, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def reference(folder, ids):
    """float32 logits [batch, token, vocab] of transformers in one forward without a cache."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return model(torch.tensor(ids), use_cache=False).logits.numpy()
