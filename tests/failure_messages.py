"""Messages that engines, systems and servers print, by the cause a reader would give them."""

MESSAGES = (
    ("invalid argument", (
        "WARNING: Current optimization profile is: 0. Please ensure there are no enqueued operations "
        "pending in this context prior to switching profiles\nCuda failure: invalid argument in file "
        "yolo.cpp at line 925",
        "2 degraded: exception:LogicError:cuMemcpyHtoDAsync failed: invalid argument",
        "IExecutionContext::enqueueV3: Error Code 3: API Usage Error (Parameter check failed, condition: "
        "mContext.profileObliviousBindings.at(profileObliviousIndex) != nullptr. Address is not set for "
        "input tensor images. Call setInputTensorAddress or setTensorAddress before enqueue.)",
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Unexpected input data type. Actual: (tensor(int64)) , "
        "expected: (tensor(int32))",
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Invalid Feed Input Name:token_type_ids",
        "ValueError: Required inputs (['past_key_values.0.key']) are missing from input feed "
        "(['input_ids']).",
        "RuntimeError: Expected all tensors to be on the same device, but found at least two devices, "
        "cuda:0 and cpu!",
        "RuntimeError: expected scalar type Half but found Float",
        "RuntimeError: mat1 and mat2 must have the same dtype, but got Half and Float",
        "IndexError: index out of range in self",
        "RuntimeError: CUDA error: invalid argument",
        "HTTP Error 400: Bad Request",
        "TypeError: forward() got an unexpected keyword argument 'past_key_values'",
        "CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling `cublasGemmEx`",
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Non-zero status code returned while running Gather "
        "node. indices element out of data bounds, idx=50257 must be within the inclusive range "
        "[-50257,50256]",
        "ValueError: Total number of attention heads (12) must be divisible by tensor parallel size (8).",
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig",
        "Input type (torch.cuda.HalfTensor) and weight type (torch.cuda.FloatTensor) should be the same",
        "TypeError: expected Tensor as element 0 in argument 0, but got int",
        "ArgumentError: Python argument types did not match C++ signature",
        "Boost.Python.ArgumentError: Python argument types in set_binding_shape(...) did not match C++ "
        "signature",
        "cuMemcpyDtoHAsync failed: invalid argument",
        "CUDA_ERROR_INVALID_HANDLE: invalid resource handle",
    )),
    ("profile or shape mismatch", (
        "Parameter check failed at: engine.cpp::setOptimizationProfileInternal::1075, condition: "
        "profileIndex >= 0 && profileIndex < mEngine.getNbOptimizationProfiles()",
        "Error Code 3: Internal Error (Parameter check failed at: "
        "runtime/api/executionContext.cpp::enqueue::276, condition: batchSize > 0 && batchSize <= "
        "mEngine.getMaxBatchSize(). Note: Batch size was: 40, but engine max batch size was: 1",
        "ValueError: No valid profile found. Please go to the TensorRT tab and generate an engine with the "
        "necessary profile.",
        "set_input_shape_failed:input_ids:4x11",
        "[executionContext.cpp::setInputShape::2068] Error Code 3: API Usage Error (Parameter check failed "
        "at: runtime/api/executionContext.cpp::setInputShape::2068, condition: satisfyProfile Runtime "
        "dimension does not satisfy any optimization profile.)",
        "Error Code 3: API Usage Error (Parameter check failed at: "
        "executionContext.cpp::validateInputBindings::1831, condition: profileMaxDims.d[i] >= "
        "dimensions.d[i]. Supplied binding dimension [10,3,128,64] for bindings[0] exceed min ~ max range "
        "at index 0, maximum dimension in profile is 1, minimum dimension in profile is 1, but supplied "
        "dimension is 10.",
        "onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument: [ONNXRuntimeError] : 2 : "
        "INVALID_ARGUMENT : Got invalid dimensions for input: image for the following indices index: 2 "
        "Got: 1600 Expected: 640 index: 3 Got: 1600 Expected: 640 Please fix either the inputs/outputs or "
        "the model.",
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Invalid rank for input: input_ids Got: 1 Expected: 2 "
        "Please fix either the inputs/outputs or the model.",
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Add "
        "node. Name:'Add_26' Status Message: Attempting to broadcast an axis by a dimension other than 1. "
        "8 by 9",
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied (4x768 and 512x512)",
        "RuntimeError: The size of tensor a (1025) must match the size of tensor b (1024) at non-singleton "
        "dimension 3",
        "RuntimeError: Error(s) in loading state_dict for GPT2LMHeadModel:\n\tsize mismatch for "
        "transformer.wte.weight: copying a param with shape torch.Size([50257, 768]) from checkpoint, the "
        "shape in current model is torch.Size([50257, 512]).",
        "llama_model_load: error loading model: check_tensor_dims: tensor 'output.weight' has wrong shape; "
        "expected 4096, 32000, got 4096, 32002, 1, 1",
        "RuntimeError: shape '[1, 32, 12, 64]' is invalid for input of size 12288",
        "ValueError: operands could not be broadcast together with shapes (4,19) (4,11)",
        "Error Code 7: Internal Error (IShuffleLayer /Reshape: reshaping failed for tensor: x. reshape "
        "would change volume 8448 to 9216)",
        "explicit_batch network requires optimization profile: input_ids has dynamic shape",
        "Network has dynamic or shape inputs, but no optimization profile has been defined.",
        "Dimension mismatch: expected (1,128), got (4,11)",
    )),
    ("version mismatch", (
        "[TRT] [E] 1: [stdArchiveReader.cpp::StdArchiveReader::40] Error Code 1: Serialization "
        "(Serialization assertion stdVersionRead == serializationVersion failed.Version tag does not "
        "match. Note: Current Version: 213, Serialized Engine Version: 205)\n[TRT] [E] 4: "
        "[runtime.cpp::deserializeCudaEngine::50] Error Code 4: Internal Error (Engine deserialization "
        "failed.)",
        "[TRT] [E] 6: The engine plan file is generated on an incompatible device, expecting compute 8.9 "
        "got compute 9.0, please rebuild.",
        "Unsupported model IR version: 10, max supported IR version: 9",
        "ValidationError: ONNX Runtime only *guarantees* support for models stamped with official released "
        "onnx opset versions. Opset 24 is under development and support for this is limited.",
        "RuntimeError: CUDA error: no kernel image is available for execution on the device",
        "ImportError: /usr/lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found "
        "(required by x.so)",
        "OSError: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found",
        "ImportError: /opt/x.so: undefined symbol: _ZN3c104cuda20CUDACachingAllocator",
        "ImportError: cannot import name 'AutoModelForCausalLM' from 'transformers'",
        "cudaErrorNoKernelImageForDevice",
        "RuntimeError: cuDNN version incompatibility: PyTorch was compiled against (9, 1, 0) but found "
        "runtime version (8, 9, 2).",
        "onnx.onnx_cpp2py_export.checker.ValidationError: Your model ir_version 10 is higher than the "
        "checker's (9).",
        "gguf_init_from_file: GGUFv1 is no longer supported. please use a more up-to-date version",
    )),
    ("build failure", (
        "[TRT] [E] 10: Could not find any implementation for node "
        "{ForeignNode[/transformer/h.0/ln_1/Constant...]}.",
        "[TRT] [E] IBuilder::buildSerializedNetwork: Error Code 4: Internal Error (input_ids: dynamic "
        "input is missing dimensions in profile 0.)",
        "TensorRT engine build failed: network must have at least one output",
        "[ONNXRuntimeError] : 10 : INVALID_GRAPH : Load model from m.onnx failed:This is an invalid model. "
        "In Node, (\"n\", Split, \"\", -1) : (\"x\": tensor(float),) -> (\"a\": tensor(float),) , Error "
        "Unrecognized attribute: num_outputs for operator Split",
        "torch._dynamo.exc.BackendCompilerFailed: backend='inductor' raised:\nLoweringException: "
        "AssertionError:",
        "torch.onnx._internal.exporter._errors.ConversionError: Failed to convert the exported program to "
        "an ONNX model.",
        "[TRT] [E] 4: [network.cpp::validate::2965] Error Code 4: Internal Error (Network must have at "
        "least one output)",
        "[TRT] [E] 9: Skipping tactic 0x0 due to exception ... Error Code 10: Internal Error (Could not "
        "find any implementation for node)",
        "Failed to parse ONNX model: gpt2.onnx",
        "trtexec: Engine could not be created from network",
        "&&&& FAILED TensorRT.trtexec [TensorRT v8601] # trtexec --onnx=gpt2.onnx",
        "torch._dynamo.exc.Unsupported: Graph break under fullgraph=True",
        "torch._inductor.exc.InductorError: CppCompileError: C++ compile error",
        "subprocess.CalledProcessError: Command '['/usr/bin/gcc', '/tmp/x.c']' returned non-zero exit "
        "status 1.",
        "int8 calibration cache missing; calibration failed",
        "TensorRT build failed: None returned by build_serialized_network",
        "export_failed: torch.onnx.export raised RuntimeError",
        "onnx_export_failed",
    )),
    ("out of memory", (
        "[TRT] [E] 2: [virtualMemoryBuffer.cpp::resizePhysical::145] Error Code 2: OutOfMemory (no further "
        "information)",
        "pycuda._driver.MemoryError: cuMemAlloc failed: out of memory",
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: "
        "/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* "
        "onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory for requested "
        "buffer of size 154389504",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total "
        "capacity of 11.99 GiB of which 0 bytes is free.",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: can't allocate "
        "memory: you tried to allocate 68719476736 bytes. Error code 12 (Cannot allocate memory)",
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 29.8 GiB for an array with shape "
        "(4000000000,) and data type float64",
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 144817.04 MiB on device 0: cudaMalloc "
        "failed: out of memory\nalloc_tensor_range: failed to allocate CUDA0 buffer of size 151851674624\n"
        "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
        "llama_model_load: error loading model: unable to allocate backend buffer",
        "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 437944320",
        "ValueError: The model's max seq len (4096) is larger than the maximum number of tokens that can "
        "be stored in KV cache (3664). Try increasing `gpu_memory_utilization` or decreasing "
        "`max_model_len` when initializing the engine.",
        "ValueError: To serve at least one request with the models's max seq len (131072), (16.00 GiB KV "
        "cache is needed, which is larger than the available KV cache memory (6.42 GiB).",
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` "
        "when initializing the engine.",
        "ValueError: Free memory on device (5.1/23.99 GiB) on startup is less than desired GPU memory "
        "utilization (0.9, 21.59 GiB).",
        "Error: model requires more system memory (5.3 GiB) than is available (3.3 GiB)",
        "OSError: [Errno 12] Cannot allocate memory",
        "Out of memory: Killed process 12345 (python3) total-vm:18213984kB, anon-rss:15991552kB",
        "MemoryError",
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
        "RuntimeError: CUDA error: out of memory",
        "cudaErrorMemoryAllocation: out of memory",
        "CUDA_ERROR_OUT_OF_MEMORY",
        "cudaMalloc of 1.2 GiB failed: CUDA_ERROR_OUT_OF_MEMORY (2)",
        "HIP out of memory. Tried to allocate 2.00 GiB",
        "[TRT] [E] Requested amount of GPU memory (17179869184 bytes) could not be allocated. There may "
        "not be enough free memory for allocation to succeed.",
        "ggml_cuda_host_malloc: failed to allocate 1900.00 MiB of pinned memory: invalid argument",
        "kIO: failed to allocate 512.00 MiB",
        "mmap failed: Cannot allocate memory",
        "DefaultCPUAllocator: not enough memory: you tried to allocate 68719476736 bytes.",
        "onnxruntime.capi.onnxruntime_pybind11_state.Fail: [ONNXRuntimeError] : 1 : FAIL : CUDA failure 2: "
        "out of memory ; GPU=0",
        "llama_init_from_model: failed to initialize the context: failed to allocate compute pp buffers",
        "cuMemAlloc failed: out of memory",
    )),
    ("unsupported operation", (
        "RuntimeError: Error in execution: CUDA failure 901: operation failed due to a previous error during capture ; GPU=0 ; expr=cudaStreamEndCapture(stream_, &graph);",
        "In node 5 with name: /Attn and operator: Attention (importFallbackPluginImporter): "
        "UNSUPPORTED_NODE: No importer registered for op: Attention. Attempting to import as plugin.",
        "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for MatMulInteger(10) "
        "node with name ''",
        "[ONNXRuntimeError] : 1 : FAIL : Load model from x.onnx failed:Fatal error: "
        "com.microsoft:GroupQueryAttention(-1) is not a registered function/op",
        "torch.onnx.errors.UnsupportedOperatorError: Exporting the operator "
        "'aten::scaled_dot_product_attention' to ONNX opset version 13 is not supported.",
        "RuntimeError: \"addmm_impl_cpu_\" not implemented for 'Half'",
        "ValueError: The checkpoint you are trying to load has model type `gemma4` but Transformers does "
        "not recognize this architecture.",
        "llama_model_load: error loading model: unknown model architecture: 'gemma4'",
        "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your "
        "Tesla T4 GPU has compute capability 7.5.",
        "ValueError: Head size 384 is not supported by FlashAttention.",
        "NotImplementedError: Could not run 'aten::empty.memory_format' with arguments from the 'CUDA' "
        "backend.",
        "Illegal instruction (core dumped)",
        "RuntimeError: \"LayerNormKernelImpl\" not implemented for 'Half'",
        "NotImplementedError: The operator 'aten::_foo' is not currently implemented for the MPS device.",
        "ValueError: Model architectures ['FooForCausalLM'] are not supported for now.",
    )),
    ("device fault", (
        "IExecutionContext::enqueueV3: Error Code 1: Cask (Cask Pooling Runner Execute Failure)",
        "pycuda._driver.LogicError: cuMemcpyDtoHAsync failed: an illegal memory access was encountered",
        "RuntimeError: CUDA error: device-side assert triggered\nCUDA kernel errors might be "
        "asynchronously reported at some other API call",
        "RuntimeError: CUDA error: an illegal memory access was encountered",
        "RuntimeError: CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, "
        "opb, m, n, k, &alpha, a, lda, b, ldb, &beta, c, ldc)`",
        "RuntimeError: CUDA error: uncorrectable ECC error encountered",
        "CUDA error 700 an illegal memory access was encountered",
        "RuntimeError: NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1333, unhandled "
        "cuda error",
        "[ONNXRuntimeError] : 11 : EP_FAIL : Non-zero status code returned while running Conv node. CUDNN "
        "failure 4: CUDNN_STATUS_INTERNAL_ERROR",
    )),
    ("missing file", (
        "missing .plan",
        "[ONNXRuntimeError] : 3 : NO_SUCHFILE : Load model from model.onnx failed:Load model model.onnx "
        "failed. File doesn't exist",
        "OSError: gpt3 is not a local folder and is not a valid model identifier listed on "
        "'https://huggingface.co/models'",
        "llama_model_loader: failed to open GGUF file 'x.gguf'",
        "ollama._types.ResponseError: model 'llama9' not found (status code: 404)",
        "{\"error\":\"model \\\"llama9\\\" not found, try pulling it first\"}",
        "FileNotFoundError: [Errno 2] No such file or directory: 'gpt2.onnx'",
        "huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error.",
        "OSError: gpt2 does not appear to have a file named pytorch_model.bin",
        "plan_missing",
        "No .plan file found for tensorrt",
    )),
    ("trust_remote_code required", (
        "ValueError: The repository /models/kimi contains custom code which must be executed to correctly load the "
        "model. Please pass the argument `trust_remote_code=True` to allow custom code to be run.",
        "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig\n  Value error, Failed to load "
        "the model config. If the model is a custom model not yet available in the HuggingFace transformers library, "
        "consider setting `trust_remote_code=True` in LLM or using the `--trust-remote-code` flag in the CLI.",
        "ValueError: Loading moonshotai/Kimi-K2 requires you to execute the configuration file in that repo on your "
        "local machine.")),
    ("corrupt file", (
        "models.zoo.ModelDamaged: m.gguf: is cut short (1,000 bytes, and its index needs 2,000). Fetch or assemble it again.",
        "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from model.onnx failed:Protobuf parsing "
        "failed.",
        "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge",
        "safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer",
        "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory",
        "gguf_init_from_file: invalid magic characters 'PK'",
        "llama_model_load: error loading model: tensor 'blk.30.ffn_down.weight' data is not within the "
        "file bounds, model is corrupted or incomplete",
        "gguf_init_from_file_impl: failed to read key-value pairs",
        "llama_model_load: error loading model: done_getting_tensors: wrong number of tensors; expected "
        "292, got 291",
    )),
    ("missing library", (
        "FileNotFoundError: Shared library with base name 'llama' not found",
        "FileNotFoundError: Could not find: nvinfer_10.dll. Is it on your PATH?",
        "[E:onnxruntime:Default, provider_bridge_ort.cc:1992 TryGetProviderInfo_CUDA] Failed to load "
        "library libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open shared object "
        "file: No such file or directory",
        "torch._dynamo.exc.BackendCompilerFailed: backend='inductor' raised:\nRuntimeError: Failed to find "
        "C compiler. Please specify via CC environment variable.",
        "torch._inductor.exc.TritonMissing: Cannot find a working triton installation. Either the package "
        "is not installed or it is too old.",
        "ModuleNotFoundError: No module named 'tensorrt'",
        "ImportError: libcudnn.so.9: cannot open shared object file: No such file or directory",
        "ImportError: DLL load failed while importing _pybind_state: The specified module could not be "
        "found.",
        "FileNotFoundError: [Errno 2] No such file or directory: 'nvcc'",
        "nvidia-smi: command not found",
        "RuntimeError: Compiler: cl is not found.",
        "fatal error: Python.h: No such file or directory",
        "/usr/bin/ld: cannot find -lcuda: No such file or directory",
        "ImportError: Using `low_cpu_mem_usage=True` or a `device_map` requires Accelerate: `pip install "
        "'accelerate>=0.26.0'`",
        "ImportError: Please install torch and gguf>=0.10.0 to load a GGUF checkpoint in PyTorch.",
        "PackageNotFoundError: No package metadata was found for bitsandbytes",
        "OSError: libcublas.so.12: cannot open shared object file: No such file or directory",
    )),
    ("no device", (
        "UserWarning: Specified provider 'CUDAExecutionProvider' is not in available provider "
        "names.Available providers: 'CPUExecutionProvider'",
        "RuntimeError: No CUDA GPUs are available",
        "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and "
        "installed a driver",
        "AssertionError: Torch not compiled with CUDA enabled",
        "RuntimeError: CUDA error: invalid device ordinal",
        "RuntimeError: Failed to infer device type, please set the environment variable "
        "`VLLM_LOGGING_LEVEL=DEBUG`",
        "RuntimeError: CUDA driver initialization failed, you might not have a CUDA gpu.",
        "RuntimeError: Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is "
        "False.",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.",
        "pynvml.NVMLError_LibraryNotFound: NVML Shared Library Not Found",
    )),
    ("driver too old", (
        "onnxruntime::CudaCall CUDA failure 35: CUDA driver version is insufficient for CUDA runtime "
        "version ; GPU=-2011338632 ; hostname=H",
        "RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please update "
        "your GPU driver",
    )),
    ("recompile limit", (
        "W0921 18:32:27 torch/_dynamo/convert_frame.py:964] [9/64] torch._dynamo hit "
        "config.recompile_limit (64)",
        "torch._dynamo hit config.cache_size_limit (8)",
    )),
    ("invalid output", (
        "ValueError: probability tensor contains either `inf`, `nan` or element < 0",
        "RuntimeError: probability tensor contains either `inf`, `nan` or element < 0",
        "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)",
        "logits contain NaN at position 3",
        "output tokens differ from the reference at index 5",
        "perplexity is NaN",
        "json.decoder.JSONDecodeError: Extra data: line 2 column 1",
        "NaN in logits",
        "output contains nan",
        "logits are all zeros",
        "greedy tokens mismatch reference at step 3",
        "generated text is empty",
        "empty output",
        "output mismatch: max abs diff 0.35 > 0.001",
        "engine returned placeholder",
        "AssertionError: Not equal to tolerance rtol=0.001, atol=1e-05",
    )),
    ("no network", (
        "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find "
        "them in the cached files.",
        "huggingface_hub.errors.LocalEntryNotFoundError: Cannot find the requested files in the disk cache "
        "and outgoing traffic has been disabled.",
        "urllib3.exceptions.NameResolutionError: Failed to resolve 'huggingface.co' ([Errno -3] Temporary "
        "failure in name resolution)",
        "requests.exceptions.SSLError: HTTPSConnectionPool(host='huggingface.co', port=443): Max retries "
        "exceeded",
        "requests.exceptions.ProxyError: Unable to connect to proxy",
        "socket.gaierror: [Errno -2] Name or service not known",
    )),
    ("no access", (
        "huggingface_hub.errors.GatedRepoError: 403 Client Error. Cannot access gated repo for url "
        "https://huggingface.co/meta-llama/x/resolve/main/config.json.",
        "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://huggingface.co/x",
        "PermissionError: [Errno 13] Permission denied: '/home/user/.cache'",
        "OSError: [Errno 30] Read-only file system: '/x'",
        "OSError: You are trying to access a gated repo. Make sure to have access to it",
    )),
    ("crash", (
        "GGML_ASSERT(n_tokens_all <= cparams.n_batch) failed",
        "Segmentation fault (core dumped)",
        "worker ended with signal 11 (SIGSEGV)",
        "worker ended with exit code -11",
        "Process finished with exit code 139",
        "Fatal Python error: Segmentation fault",
        "free(): invalid pointer\nAborted (core dumped)",
        "double free or corruption (out)",
        "Windows fatal exception: access violation",
        "Process exited with code 3221225477",
    )),
    ("context too long", (
        "ValueError: Requested tokens (2049) exceed context window of 2048",
        "the request exceeds the available context size. try increasing the context size or enable context "
        "shift",
        "ValueError: User-specified max_model_len (4096) is greater than the derived max_model_len "
        "(max_position_embeddings=1024).",
        "This model's maximum context length is 1024 tokens. However, you requested 1100 tokens (1000 in "
        "the messages, 100 in the completion).",
        "ValueError: The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "decode: failed to find a memory slot for batch of size 512",
        "the request exceeds the available context size",
        "input length 5000 exceeds maximum 4096",
    )),
    ("engine did not start", (
        "ValueError: Failed to load model from file: m.gguf",
        "ValueError: Failed to create llama_context",
        "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
        "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace "
        "(above) for the root cause.",
        "Error: 500 Internal Server Error: llama runner process has terminated: exit status 2",
        "model runner has unexpectedly stopped, this may be due to resource limitations or an internal "
        "error, check ollama server logs for details",
    )),
    ("server absent", (
        "httpx.ConnectError: [Errno 111] Connection refused",
        "requests.exceptions.ConnectionError: HTTPConnectionPool(host='localhost', port=11434): Max "
        "retries exceeded with url: /api/generate (Caused by "
        "NewConnectionError('<urllib3.connection.HTTPConnection object>: Failed to establish a new "
        "connection: [Errno 111] Connection refused'))",
        "ConnectionRefusedError: [WinError 10061] No connection could be made because the target machine "
        "actively refused it",
        "aiohttp.client_exceptions.ClientConnectorError: Cannot connect to host localhost:8000 ssl:default "
        "[Connect call failed ('127.0.0.1', 8000)]",
        "curl: (7) Failed to connect to localhost port 11434 after 0 ms: Connection refused",
        "urllib.error.URLError: <urlopen error [Errno 111] Connection refused>",
    )),
    ("time-out", (
        "requests.exceptions.ReadTimeout: HTTPConnectionPool(host='localhost', port=11434): Read timed "
        "out. (read timeout=180)",
        "httpx.ReadTimeout",
        "TimeoutError: timed out",
        "subprocess.TimeoutExpired: Command '['trtexec']' timed out after 600 seconds",
        "worker: no answer within 180 s; killed",
        "asyncio.exceptions.TimeoutError",
        "timeout",
        "504 Gateway Time-out",
        "HTTP Error 408: Request Timeout",
        "CUDA error: the launch timed out and was terminated",
        "urllib.error.URLError: <urlopen error timed out>",
        "timeout: generate exceeded 180 s",
        "exceeded 180 s per call",
        "watchdog timeout",
        "TIMEOUT",
        "[Errno 110] Connection timed out",
    )),
    ("time-out of an engine that works", (
        "generate timed out at 180 s after 4 of 5 calls",
        "degraded: timeout",
    )),
    ("throttled", (
        "openai.RateLimitError: Error code: 429 - {'error': {'message': 'Rate limit reached'}}",
        "HTTP Error 429: Too Many Requests",
        "GPU clocks throttled: SW thermal slowdown active",
        "thermal slowdown: GPU at 87 C, clocks reduced",
        "SW Thermal Slowdown : Active",
    )),
    ("server overloaded", (
        "urllib.error.HTTPError: HTTP Error 503: Service Unavailable",
        "502 Bad Gateway",
        "ollama: HTTP 503 server busy, please try again. maximum pending requests exceeded",
        "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}",
    )),
    ("server error", (
        "HTTP 500",
        "urllib.error.HTTPError: HTTP Error 500: Internal Server Error",
    )),
    ("connection lost", (
        "ConnectionResetError: [Errno 104] Connection reset by peer",
        "http.client.RemoteDisconnected: Remote end closed connection without response",
        "httpx.RemoteProtocolError: peer closed connection without sending complete message body "
        "(incomplete chunked read)",
        "BrokenPipeError: [Errno 32] Broken pipe",
        "http.client.IncompleteRead: IncompleteRead(17 bytes read, 83 more expected)",
        "aiohttp.client_exceptions.ServerDisconnectedError: Server disconnected",
    )),
    ("disk full", (
        "OSError: [Errno 28] No space left on device: '/tmp/engine.plan'",
        "OSError: [Errno 122] Disk quota exceeded",
    )),
    ("port in use", (
        "ollama: port in use: http://127.0.0.1:11434 answers, but is not Ollama. Name the right address: url: http://HOST:PORT.",
        "VLLM Engine occasionally fails to start after crash due to - EADDRINUSE, message: address already "
        "in use",
        "OSError: [Errno 98] Address already in use",
    )),
    ("too many open files", (
        "OSError: [Errno 24] Too many open files",
    )),
    ("killed", (
        "worker ended with signal 9 (SIGKILL)",
        "exit code 137",
        "multiprocessing: worker died with exitcode -9",
    )),
    ("interrupted", (
        "KeyboardInterrupt",
        "worker ended with signal 15 (SIGTERM)",
    )),
    ("refused", (
        "tensorrt needs a CUDA device; this machine has none",
        "ollama: no answer from http://localhost:11434. Start it with 'ollama serve', or drop 'ollama' "
        "from backends.",
        "tensorrt: cannot run on CPU; drop it or choose device: cuda",
        "backend tensorrt refuses: needs TensorRT 8.6",
    )),
    ("contaminated", (
        "contaminated: others used 37 % of the machine",
        "another process used 40 % of the GPU during the sample",
        "neighbour load 0.4 cores while sampling",
        "involuntary context switches: 12",
    )),
    ("uncached generation", (
        "generate used use_cache=False: uncached generation took 312 s",
    )),
    ("unknown", (
        "",
        "something went wrong",
        "ValueError: 42",
        "processed 500 tokens in 429 ms with timeout=30",
        "mapped the file out of memory-mapped storage, then KeyError: 'x'",
        "KeyError: 'lm_head.weight'",
        "RuntimeError",
        "Non-zero status code returned while running FusedMatMul node.",
        "ZeroDivisionError: division by zero",
        "AttributeError: 'NoneType' object has no attribute 'create_execution_context'",
        "error 137 tokens",
        "exit code 1",
        "the model skilled at killing time",
        "blacklisted information: the informant is infinite",
        "the loss is information-theoretic",
    )),
)
