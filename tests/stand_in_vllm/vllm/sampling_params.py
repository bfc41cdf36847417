"""How a request's ids are handed over: all so far, or those of the last step."""


class RequestOutputKind:
    CUMULATIVE, DELTA = "cumulative", "delta"
