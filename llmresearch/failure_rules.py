"""The table behind `classify_failure`: causes with their kind and remedy, and the phrases that show them."""

# Hard: the same call fails again until something is changed. Soft: the engine works, and the call may succeed
# later or is slow for a known reason. One cause has one kind and one remedy.
CAUSES = {
    "contaminated": (
        "contaminated", "Measure again on a quiet machine; the sample is kept, named, and left out."),
    "refused": (
        "refused", "Give the backend what the sentence asks for, or drop it from backends."),
    "uncached generation": (
        "soft", "Generate with a KV cache: without one each token recomputes the whole prefix."),
    "recompile limit": (
        "soft", "Pad shapes to a few buckets or compile with dynamic=True: past the limit it is eager."),
    "throttled": (
        "soft", "Wait, then measure again at a lower rate, or let the device cool and lock its clocks."),
    "server overloaded": (
        "soft", "Wait until the server has started or is idle, then measure again."),
    "connection lost": (
        "soft", "Read the server's log for the moment of the break, then measure again."),
    "interrupted": (
        "soft", "Resume the run: complete cells are kept, the interrupted one is measured again."),
    "out of memory": (
        "hard", "Choose a smaller model, batch, context or cache share; 'llmresearch size' tells what fits."),
    "time-out of an engine that works": (
        "timeout", "Raise the time-out, or ask for fewer tokens: the engine answered before it was stopped."),
    "time-out": (
        "timeout", "Raise the time-out, or ask for less; a first call may include a build or a download."),
    "profile or shape mismatch": (
        "hard", "Build the engine with a profile that covers this batch and length."),
    "context too long": (
        "hard", "Shorten the prompt or the output, or load the model with a longer context."),
    "version mismatch": (
        "hard", "Build or export again with the versions and the GPU that will run it."),
    "driver too old": (
        "hard", "Update the GPU driver, or install the engine that was built for this driver's CUDA."),
    "missing library": (
        "hard", "Install the library or compiler that the message names, or put it on the library path."),
    "unsupported operation": (
        "hard", "Use another engine, or a version of it that has this operator, dtype or architecture."),
    "trust_remote_code required": (
        "hard", "Read the model's own code, then allow it with trust_remote_code: true; or choose a model without."),
    "corrupt file": (
        "hard", "Fetch or write the file again, and compare its size and checksum."),
    "missing file": (
        "hard", "Check the name, and fetch, pull or export the model first."),
    "no access": (
        "hard", "Log in, accept the model's terms, or correct the permissions of the path."),
    "no network": (
        "hard", "Use a model that is on this machine, or give this machine a way to the hub."),
    "port in use": (
        "hard", "Stop the process that holds the port, or choose another port."),
    "server absent": (
        "hard", "Start the server, or drop its backend."),
    "disk full": (
        "hard", "Free space on the disk that the message names."),
    "too many open files": (
        "hard", "Raise the limit of open files (ulimit -n), or close what is not needed."),
    "no device": (
        "hard", "Run on a machine that has the device, make it visible, or choose device: cpu."),
    "device fault": (
        "hard", "Start a new process, with CUDA_LAUNCH_BLOCKING=1 to find the call that breaks."),
    "invalid output": (
        "invalid output", "Compare its logits with the reference engine before timing this one."),
    "build failure": (
        "hard", "Read the build log above the message; try another opset, precision or workspace."),
    "invalid argument": (
        "hard", "Compare dtype, size and device of each input with what the engine declares: "
                "an int64 array is twice too long for an int32 buffer."),
    "killed": (
        "hard", "Look for the out-of-memory killer in the kernel log; if it is there, ask for less memory."),
    "crash": (
        "hard", "Run the cell alone, keep the core file, and report it to the engine's makers."),
    "server error": (
        "hard", "Read the server's log: the reason stands there, not in the answer."),
    "engine did not start": (
        "hard", "Read the engine's own log above the message: the first error there is the cause."),
    "unknown": (
        "unknown", "Read the text; if it recurs, add a rule for it to llmresearch/failures.py."),
}

# Short words inside the phrases, so that a rule can be read aloud.
WORDS = {
    "<status>": r"(?:HTTP(?:/[\d.]+)?(?: error)?|status(?:[ _]code)?|error code"
                r"|(?:server|client) error|answered)\W{1,4}",
    "<exit>": r"(?:exit(?:ed)?(?: with)?(?:[ _]?code| status| value)?|return ?code|signal)[ =:]*",
}

# The first rule of which a phrase is found decides; what names a reason stands before what names a symptom.
# Phrases are regular expressions, searched without regard to case.
RULES = (
    ("contaminated", (
        r"\bcontaminated\b", "interference from (?:other|another)", "other processes used",
        "machine was not quiet", "another process used", "neighbour load",
        "involuntary (?:context )?switches", r"\bCPU steal\b")),
    ("refused", (
        r"\brefuses\b", r"\brefused (?:to measure|by the backend|cell)", r"^refused\b",
        r"\bneeds .{3,80}; this machine has", r"drop '[\w-]+' from backends",
        r"\bcannot run on (?:this|CPU|a)\b")),
    ("uncached generation", ("uncached (?:generation|generate|loop|decode)", "without (?:a )?kv[- ]cache")),
    ("out of memory", (
        r"\bout of (?:\w+ )?memory\b(?![- ]mapped)", "OutOfMemory", "OUT_?OF_?MEMORY", r"\bOOM\b",
        r"\boom[-_]kill", r"\bstd::bad_alloc", r"\bbad allocation\b", r"\bMemoryError\b",
        "cannot allocate memory", r"\bENOMEM\b", "STATUS_ALLOC_FAILED",
        r"(?:failed|unable) to allocate (?:memory|\w+ buffer|buffer|[\d.,]+ ?[KMG]?i?B)\b",
        "failed to allocate memory", r"could not allocate (?:tensor|memory|\d)",
        r"requires more (?:\w+ )?memory .{0,40}than is available",
        "no available memory for the cache blocks",
        "larger than the (?:maximum number of tokens that can be stored in|available) KV cache",
        "KV cache is needed, which is larger than", "less than desired GPU memory utilization",
        "memory is not enough", "memory .{0,40}could not be allocated", "failed to allocate compute",
        r"not enough (?:\w+ )?memory", r"insufficient (?:\w+ )?memory", "paging file is too small")),
    ("throttled", (
        r"\bthrottl(?:ed|ing)\b", "too many requests", r"\brate[- ]?limit(?:ed|s)?\b", r"<status>429\b",
        "(?<!disk )quota exceeded", "HW slowdown", "SW power cap", "thermal slowdown",
        "clocks (?:were )?reduced")),
    ("time-out of an engine that works", (
       
        r"timed? ?-?out.{0,60}(?:after|answered|completed) [1-9]\d*(?: of \d+)? (?:call|sample|token|prompt)",
        r"degraded: ?(?:\w+:)?time-?out")),
    ("time-out", (
        r"\btimed[- ]?out\b", r"Timeout(?:Error|Expired|Exception)\b",
        r"\b(?:Read|Connect|Pool|Write)Timeout\b",
        r"\btime-?out (?:after|of|waiting|while|reached|exceeded|error)", r": ?time-?out\.?$",
        "^time-?out:", r"^\w+ time-?out$", r"\bexceeded \d[\d.]* ?s(?:econds?)?\b", "^time-?out$",
        "deadline[_ ]?exceeded", "gateway time-?out",
        "(?:exceeded|over) (?:the |its )?(?:time[- ]?(?:out|limit))", "time[- ]?limit exceeded",
        "ETIMEDOUT", r"<status>(?:408|504)\b", "cudaErrorLaunchTimeout", "launch timed out",
        "no answer within", r"did not (?:answer|finish|end|return) (?:with)?in \d")),
    ("context too long", (
        "maximum context length",
        "exceeds? (?:the )?(?:available |model'?s? |maximum )*context (?:window|size|length)",
        "exceeds? (?:the )?(?:model'?s? |maximum )*(?:sequence length|model length|number of positions)",
        "context (?:window|size|length) (?:was )?exceeded", "prompt is too long", "prompt too long",
        "(?:larger|longer|greater) than (?:the )?(?:derived )?max_(?:model_len|position_embeddings|seq_len)",
        "longer than the (?:specified )?maximum (?:sequence|model) length", "could not find a kv slot",
        "failed to find a memory slot",
        r"(?:input|prompt|sequence) length \d+ (?:exceeds|is longer|is greater|>)")),
    ("version mismatch", (
        "version tag does not match", "(?:engine|plan)(?: file)? is not compatible",
        "not compatible with this version", "expecting (?:library )?(?:version|compute) .{1,40} got",
        "different (?:compute capability|version) than", "no kernel image is available",
        "NoKernelImageForDevice", "version incompatib", r"ir_version \d+ is higher",
        "is no longer supported", "unsupported model IR version", "unsupported (?:GGUF|file) version",
        r"opset \d+ is (?:under development|not supported)", "only .guarantees. support for models stamped",
        "incompatible (?:version|opset)", "undefined symbol", "version `?GLIBC",
        r"GLIBCXX_[\d.]+'? not found", "cannot import name", r"numpy\.dtype size changed",
        r"compiled using NumPy 1\.x", "binary incompatibility",
        r"requires (?:python|torch|transformers)\S* ?[<>=]=?", "DistributionNotFound", "VersionConflict",
        "does not support compute capability", "PTX was compiled with")),
    ("driver too old", (
        "driver version is insufficient", "driver on your system is too old", "cudaErrorInsufficientDriver",
        "unsupported toolchain", "CUDA_ERROR_UNSUPPORTED_PTX", "driver(?: is)? too old",
        "system has unsupported display driver")),
    ("missing library", (
        "No module named", "ModuleNotFoundError", "cannot open shared object file", "DLL load failed",
        r"error loading \S*\.dll",
        "(?:could not|cannot|failed to|unable to) (?:load|find) (?:dynamic |shared )?library",
        "LoadLibrary failed", "command not found", r"\bPython\.h\b", "ld: cannot find -l",
        r"\bpip3? install ", "please install", "PackageNotFoundError", "no package metadata",
        "library not loaded",
        r"lib[\w+.-]+\.(?:so|dylib)[\w.]* ?(?:: |is |was )?(?:not found|missing|cannot)",
        "find a working triton", "TritonMissing", "triton (?:is )?not (?:found|installed|available)",
        r"(?:failed to find|could not find|no suitable) (?:a )?C(?:\+\+)? compiler",
        r"Visual C\+\+ .{0,20}is required",
        r"(?:g?cc|g\+\+|nvcc|ninja|cl(?:\.exe)?)'?:? (?:command )?(?:is )?not found", r"is not installed\b",
        r"requires? the \S+ library",
        r"No such file or directory: '(?:nvcc|g?cc|g\+\+|ninja|\S*lib[\w+.-]+\.so[\w.]*)'",
        r"libcuda\S* not found", r"shared library with base name \S+ not found", r"could not find: \S+\.(?:dll|so)\b")),
    ("port in use", (
        "address already in use", r"\bEADDRINUSE\b", r"\bport in use\b", r"port \d+ is (?:already )?in use",
        "port is already allocated")),
    ("server absent", (
        "connection ?refused", r"\bECONNREFUSED\b", "actively refused", "cannot connect to host",
        "connect call failed", "could not connect to (?:server|ollama)", "no answer from http",
        r"failed to connect to (?:localhost|127\.0\.0\.1)", "all connection attempts failed")),
    ("no network", (
        "name resolution", r"\bSSLError\b", "CERTIFICATE_VERIFY_FAILED", "ProxyError",
        "unable to connect to proxy", r"HTTPSConnectionPool\(host='huggingface",
        "name or service not known", "getaddrinfo", "network is unreachable", "no route to host",
        "couldn't connect to '?https?://", "outgoing traffic has been disabled", "OfflineMode",
        "LocalEntryNotFound", "cannot reach the hub", "offline mode")),
    ("connection lost", (
        "connection (?:was )?(?:reset|aborted|closed|lost|dropped|broken)", "broken ?pipe",
        r"\bECONNRESET\b", r"\bEPIPE\b", "RemoteDisconnected", "RemoteProtocolError", "remote end closed",
        "incomplete ?read", "ended prematurely", "ChunkedEncodingError", "stream (?:ended|stopped|broke)",
        "peer closed", "server disconnected", r"unexpected EOF\b(?! while)")),
    ("no access", (
        "permission denied", "access is denied", "gated repo", "you must (?:have access|be authenticated)",
        r"<status>40[13]\b", r"\b(?:401|403) (?:Client Error|Unauthorized|Forbidden)", "unauthorized",
        r"\bforbidden\b", "read-only file system", "operation not permitted(?! when)", r"\bEACCES\b")),
    ("disk full", (
        "no space left", "disk quota exceeded", r"\bENOSPC\b", "not enough (?:free )?(?:disk )?space")),
    ("too many open files", ("too many open files", r"\bEMFILE\b")),
    ("trust_remote_code required", (
        "contains custom code which must be executed", "requires you to execute the (?:configuration|model) file",
        r"(?:pass|set|setting|argument|option) \W{0,2}trust_remote_code\W{0,3}=\W?True",
        r"(?:pass|set|use|add) (?:the )?(?:flag )?\W?--trust[-_]remote[-_]code")),
    ("corrupt file", (
        "InvalidHeader", "HeaderTooLarge", "MetadataIncompleteBuffer", "file is not a zip", "invalid magic",
        "bad magic", "INVALID_PROTOBUF", "protobuf parsing failed", "error parsing message",
        "not within (?:the )?file bounds", "file (?:is )?(?:truncated|corrupt)", "corrupted or incomplete",
        "wrong number of tensors", "(?:truncated|corrupt(?:ed)?) (?:file|model|header|archive|GGUF)",
        "checksum (?:does not|mis)", "sha-?256 mismatch", "hash mismatch",
        "unexpectedly reached end of file", "failed to read (?:magic|header|key|tensor)", r"\bis cut short\b",
        "belongs to another model", r"config\.json: (?:is not JSON|holds a )", "is no complete (?:export|engine)", r"config\.json (?:is damaged|has no)",
        "weights are missing or stored twice", "ParseFromCodedStream", "magic (?:number|tag) does not match", "UnpicklingError", "PytorchStreamReader failed")),
    ("missing file", (
        "FileNotFoundError", "No such file or directory", r"\bENOENT\b", "NO_?SUCHFILE",
        "does not (?:exist|appear to have a file)",
        r"(?:model|repository|entry|file|engine) ?'?\S* not found", "cannot find the (?:file|path)",
        "not a valid model identifier", r"<status>404\b", r"\b404 (?:Client Error|Not Found)",
        "try pulling it", "RepositoryNotFound", "EntryNotFound", r"missing \.?(?:plan|onnx|engine|gguf)\b",
        r"\b(?:plan|engine|model)_missing", r"\bno \.?\w+ file (?:was )?found",
        "failed to open (?:GGUF )?file", "holds no safetensors file")),
    ("profile or shape mismatch", (
        r"set_?input_?shape\w*fail", "(?<!current )optimization profile",
        r"OptimizationProfile\w*(?:::|\()", "no valid profile", "max batch size was",
        "hasImplicitBatchDimension", "satisfyProfile", "profile(?:Max|Min)Dims", "exceed min ~ max range",
        "binding dimension", "static dimension mismatch", "profile[ _]mismatch", "outside the profile",
        "input shape.{0,30}(?:failed|invalid)", "got invalid (?:dimensions|rank)", "invalid rank for input",
        "shape of the feed", "shapes? (?:cannot|can not|could not) be multiplied", "size mismatch",
        "shape mismatch", "dimension mismatch", "mismatched shapes?",
        "(?:shapes?|sizes?|dimensions) (?:do|does) not match", "must match (?:the )?(?:size|except|shape)",
        "sizes of tensors must match", "could not broadcast", "not broadcastable", "could not be broadcast",
        "attempting to broadcast", "incompatible shapes", "inconsistent tensor size",
        "is invalid for input of size", "expected size .{0,60} but got", "invalid shape", "has wrong shape",
        "wrong number of dimensions", "dimensions? mismatch",
        r"expected \d+D (?:or \d+D )?(?:\(\w+\) )?(?:input|tensor)", r"expected input\[.{1,40}\] to have",
        "shape inference failed", "failed to set shape",
        "reshape.{0,60}(?:cannot be reshaped|requested shape)", "cannot reshape",
        "reshape would change volume", "reshaping failed", "input_shape_size == size")),
    ("invalid output", (
        r"\b(?:logits?|outputs?|perplexity|loss|tensor)\b.{0,40}(?:\bNaN\b|\binf(?:inity)?\b|not finite)",
        "non-?finite (?:logits?|outputs?|values?)", r"contains (?:either )?[`']?(?:inf|nan)\b",
        r"\bNaN (?:logits?|outputs?)", r"invalid[ _]outputs?\b",
        "(?:empty|garbled|truncated) (?:output|answer|response)", "JSONDecodeError",
        r"expecting value: line \d",
        "(?:tokens?|ids|logits|outputs?) (?:differ|disagree|do not (?:match|agree)) (?:from|with)?",
        "does not match the reference", "outside (?:of )?the vocabulary", "wrong number of tokens",
        "answered nonsense", "NaN in (?:the )?(?:logits|output)", "are all zeros?", "tokens? mismatch",
        "(?:text|output|answer) is empty", "outputs? mismatch", "returned (?:a )?placeholder",
        "placeholder (?:text|output)", "not equal to tolerance",
        "no tokens (?:were )?(?:returned|generated)", "returned (?:0|no) tokens", r"not (?:valid )?JSON\b",
        "(?:Mismatched elements|Tensor-likes are not close)", "no int8 (?:layer|tensor)s?",
        "nothing was compiled")),
    ("unsupported operation", (
        "NOT_IMPLEMENTED", "NotImplementedError", r"\S+ is not exported\b", "exported graph does not have it", "not implemented for",
        "could not find an implementation for", "no importer registered", "UnsupportedOperatorError",
        "unsupported ONNX", r"to ONNX opset version \d+ is not supported",
        r"\b(?:operator|op|dtype|data ?type|node|layer)\S* .{0,60}(?:is|are) not (?:yet )?supported",
        r"\b(?:operator|architecture|quantization)\S* .{0,60}(?:is|are) not (?:yet )?(?:implement|support)ed",
        "is not a registered function/op",
        "unsupported (?:operation|operator|op|dtype|data ?type|layer|architecture|model|node|quantization)",
        "unknown (?:model )?architecture", "unknown model type",
        "model architectures? .{0,80}not supported", "does not recognize this architecture",
        "not supported on (?:this|CPU|the selected)", "illegal instruction", r"\bSIGILL\b",
        "only supported on GPUs", "bfloat16 is only supported", "operation not supported",
        "CUDA_ERROR_NOT_SUPPORTED", "no viable backend", "stream is capturing", "graph capture failed",
        "error during capture",
        r"head size \d+ is not supported")),
    ("no device", (
        "no CUDA[- ](?:GPUs?|capable device)", "CUDA_ERROR_NO_DEVICE", "cudaErrorNoDevice",
        "found no NVIDIA driver", "no NVIDIA (?:driver|GPU)", "not compiled with CUDA enabled",
        "CUDA driver initialization failed", "communicate with the NVIDIA driver", "CUDA is not available",
        r"torch\.cuda\.is_available\(\) is False", "invalid device ordinal",
        "no (?:such )?device(?:s)? (?:found|available|is detected)",
        "CUDAExecutionProvider'? is not in available", "failed to infer device type",
        "all CUDA-capable devices are busy",
        "NVML(?:Error)?_?(?: Shared)? ?(?:Library ?NotFound|DriverNotLoaded)",
        "no GPU (?:found|detected|available)", r"CUDA failure 100\b", "cuInit failed")),
    ("device fault", (
        "illegal memory access", "illegal address", "CUDA_ERROR_ILLEGAL", "device-side assert",
        "unspecified launch failure", "LAUNCH_FAILED", "misaligned address", "uncorrectable ECC",
        r"\bXid\b", "fallen off the bus", "STATUS_EXECUTION_FAILED", "STATUS_INTERNAL_ERROR",
        "NCCL.{0,20}error", "unhandled (?:cuda|system) error", "illegal instruction was encountered",
        "an internal operation failed", "too many resources requested for launch", "CUDA_ERROR_UNKNOWN",
        "Cask.{0,40}Failure")),
    ("build failure", (
        "could not find any implementation for node", "engine could not be created", "FAILED TensorRT",
        "(?:build|export|conversion)_failed", "engine (?:build|generation|creation|could not be built)",
        r"build_?(?:serialized_?network|engine|cuda_?engine)\w*.{0,40}(?:fail|None|returned|error)",
        "builder.{0,40}(?:failed|error)",
        "failed to (?:build|compile|convert|export|parse|create (?:the )?engine|simplify)",
        "(?:build|compilation|export|conversion) (?:has )?failed", "BackendCompilerFailed", "InductorError",
        "CompilationError", "CppCompileError", "LoweringException",
        "CalledProcessError.{0,80}(?:gcc|nvcc|cmake|ninja|ptxas)", "ptxas (?:fatal|error)", "nvcc fatal",
        "ninja: build stopped", "ConversionError", "OnnxExporterError", "INVALID_GRAPH",
        "this is an invalid model", "unrecognized attribute", "type error: type", "not a valid ONNX",
        "ONNX parse", r"checker\.ValidationError",
        r"torch\._dynamo\.exc\.(?:Unsupported|InternalTorchDynamoError|TorchRuntimeError)",
        "GuardOnDataDependent", "ConstraintViolation", "Error Code (?:10|4|2): Internal Error",
        "network must have at least one output", "calibration fail", "deserialization fail",
        "could not deserialize", r"deserializ\w+.{0,20} (?:failed|returned None)",
        "error: subprocess-exited", "could not convert it")),
    ("invalid argument", (
        "invalid[ _]?argument", "InvalidArgument", r"\bEINVAL\b", r"invalid value\b", "CUDA_ERROR_INVALID",
        "cudaErrorInvalid(?!DeviceFunction)", "unexpected (?:input data type|keyword argument)",
        "expected (?:scalar type|object of (?:scalar|device) type)",
        r"expected .{0,40}\bbut (?:found|got)\b.{0,20}(?:type|float|half|int|long|device|cuda|cpu)",
        "same d?type", "same device", "STATUS_INVALID_VALUE", "must be divisible by",
        "validation errors? for", "types? .{0,80}should be the same", "ArgumentError",
        "argument types did(?:n't| not) match", "have the same dtype", "index out of range in self",
        r"index \d+ is out of bounds", "out of bounds for dimension", "address is not set",
        "required inputs? .{0,60}missing", r"missing \d+ required positional",
        "invalid (?:feed|input) name", r"input name\b.{0,30}(?:invalid|unknown|not)",
        r"<status>(?:400|413|422)\b", r"\b(?:400 (?:Client Error|Bad Request)|422 Unprocessable)",
        "bad request", "parameter check failed", "API Usage Error")),
    ("recompile limit", (
        r"hit config\.(?:recompile|cache_size)_limit", "recompile_limit (?:was )?(?:reached|exceeded|hit)",
        "recompile limit", "FailOnRecompileLimitHit", "RecompileLimitExceeded")),
    ("uncached generation", ("use_cache ?= ?False",)),
    ("crash", (
        "segmentation fault", "segfault", r"\bSIGSEGV\b", r"\bSIGABRT\b", r"\bSIGBUS\b", r"\bSIGFPE\b",
        "core dumped", "double free", r"free\(\): invalid", "GGML_ASSERT", "access violation", "bus error",
        r"<exit>(?:-?(?:11|6|7|8)|139|134|135|136)\b", "fatal python error", "terminate called",
        "floating point exception", "assertion .{0,200} failed", "3221225477", "0xC0000005")),
    ("killed", (r"\bSIGKILL\b", r"\bkilled\b", "terminated abruptly", r"<exit>(?:-?9|137)\b")),
    ("interrupted", (
        "KeyboardInterrupt", r"\bSIGINT\b", r"\bSIGTERM\b", r"\bSIGHUP\b", "CancelledError", "preempted",
        r"\bcancell?ed\b", r"<exit>(?:-?15|143|130)\b")),
    ("server overloaded", (
        r"<status>50[23]\b", "bad gateway", "service unavailable", "server (?:is )?(?:busy|overloaded)",
        r'loading model\"', "is currently loading", "resource temporarily unavailable", "queue is full",
        "maximum pending requests")),
    ("engine did not start", (
        "engine (?:core|process) initialization failed", "EngineDeadError",
        "engine (?:is|loop is) (?:dead|not running)", "runner process has terminated",
        "model runner has unexpectedly stopped",
        "failed to (?:load model|create llama_context|create context|initialize)", "error loading model",
        "unable to load model", "server (?:process )?(?:exited|terminated|died)",
        "worker (?:process )?(?:died|ended|exited)")),
    ("server error", (r"<status>500\b", "internal server error", r"\b500 Server Error")),
)
