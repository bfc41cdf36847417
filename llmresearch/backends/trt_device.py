"""The GPU under TensorRT: memory, a stream and events through pycuda, and CUDA graphs through the driver itself.

pycuda has no graph capture, so the four calls of the driver that record and replay a stream are made here. The
tests have a stand-in for the driver.
"""

import atexit
import ctypes

import numpy as np

from ..records import LlmResearchError

THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL of cuda.h: other threads may use the driver meanwhile


class DeviceError(LlmResearchError):
    """A call of the GPU's driver that failed."""


class Graph:
    """Work that was recorded from a stream; `launch()` puts all of it on the stream with one call."""

    def __init__(self, driver, stream, work):
        self.driver, self.stream = driver, ctypes.c_void_p(stream)
        self.graph, self.made = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", self.stream, THREAD_LOCAL)
        try:
            work()
        finally:
            code = driver.cuStreamEndCapture(self.stream, ctypes.byref(self.graph))
        _checked("cuStreamEndCapture", code)
        self._call("cuGraphInstantiateWithFlags", ctypes.byref(self.made), self.graph, ctypes.c_ulonglong(0))

    def _call(self, name, *arguments):
        _checked(name, getattr(self.driver, name)(*arguments))

    def launch(self):
        code = self.driver.cuGraphLaunch(self.made, self.stream)
        if code:
            _checked("cuGraphLaunch", code)

    def close(self):
        """Lets go of the recording."""
        self._call("cuGraphExecDestroy", self.made)
        self._call("cuGraphDestroy", self.graph)


def _checked(name, code):
    if code:
        raise DeviceError(
            f"trt: graph capture failed: {name} gave CUDA error {code}. Use options.cuda_graph: false to run without."
        )


class Device:
    """The first GPU's primary context, which TensorRT uses too, and one stream of it."""

    def __init__(self, cuda=None, driver=None):
        if cuda is None:
            import pycuda.driver as cuda
        self.cuda = cuda
        cuda.init()
        self.chip = cuda.Device(0)
        self.context = self.chip.retain_primary_context()
        self.context.push()
        self.driver = driver or ctypes.CDLL("libcuda.so.1")
        self.stream = cuda.Stream()
        self.events = [cuda.Event() for _ in range(2)]
        atexit.register(self.close)

    @property
    def gpu(self):
        """{"name", "capability"}: what an engine is built for."""
        return {"name": self.chip.name(), "capability": "{}.{}".format(*self.chip.compute_capability())}

    def array(self, shape, dtype):
        """A new Array of zeros; a cache must hold numbers, because a masked slot is multiplied by 0."""
        return Array(self, shape, dtype)

    def filled(self, values):
        """A new Array that holds `values`."""
        found = Array(self, values.shape, values.dtype)
        found.write(values)
        self.wait()
        return found

    def pinned(self, shape, dtype):
        """Host memory, as numpy, that the GPU copies from and to without a stop in between."""
        return self.cuda.pagelocked_empty(shape, dtype)

    def graph(self, work):
        """The Graph of what `work()` puts on the stream."""
        return Graph(self.driver, self.stream.handle, work)

    def wait(self):
        self.stream.synchronize()

    def mark(self, index):
        """Records event 0 (a call's first work) or 1 (its last)."""
        self.events[index].record(self.stream)

    def between(self):
        """Seconds between the two events, on the GPU's clock."""
        self.events[1].synchronize()
        return self.events[0].time_till(self.events[1]) / 1e3

    def close(self):
        """Gives the context back; once."""
        if self.context is not None:
            self.context.pop()
            self.context = None
            atexit.unregister(self.close)


class Array:
    """Memory on the GPU for one tensor."""

    def __init__(self, device, shape, dtype):
        self.device, self.shape, self.dtype = device, tuple(shape), np.dtype(dtype)
        self.bytes = max(int(np.prod(self.shape)) * self.dtype.itemsize, 1)
        self.memory = device.cuda.mem_alloc(self.bytes)
        device.cuda.memset_d8_async(self.memory, 0, self.bytes, device.stream)

    @property
    def address(self):
        return int(self.memory)

    def write(self, host):
        """Copies from the host, in the stream's order."""
        if host.dtype != self.dtype or host.nbytes > self.bytes:
            raise DeviceError(f"trt: shape mismatch: {host.dtype} {host.shape} does not fit into {self.dtype} {self.shape}. "
                              "Start the cell with this shape.")  # fmt: skip
        self.device.cuda.memcpy_htod_async(self.memory, np.ascontiguousarray(host), self.device.stream)

    def into(self, host):
        """Copies to the host's array, in the stream's order; `wait` before it is read."""
        self.device.cuda.memcpy_dtoh_async(host, self.memory, self.device.stream)

    def read(self, shape=None):
        """The values on the host, numpy; the first ones where a smaller shape is asked for."""
        host = np.empty(shape or self.shape, self.dtype)
        self.into(host)
        self.device.wait()
        return host
