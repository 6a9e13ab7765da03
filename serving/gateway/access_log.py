"""One JSON object a request: who, what, where to, how long. Never a key, a prompt or an answer."""

from serving.gateway.envoy import FILTER, MODEL_HEADER, Json, extension

FIELDS = {
    "time": "%START_TIME%",
    "tenant": f"%DYNAMIC_METADATA({FILTER}:tenant)%",
    "model": f"%REQ({MODEL_HEADER})%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "protocol": "%PROTOCOL%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "backend": "%UPSTREAM_HOST%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "duration_ms": "%DURATION%",
    "ttft_ms": "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:ms)%",
    "request_bytes": "%BYTES_RECEIVED%",
    "response_bytes": "%BYTES_SENT%",
    "prompt_tokens": f"%DYNAMIC_METADATA({FILTER}:prompt_tokens)%",
    "cached_tokens": f"%DYNAMIC_METADATA({FILTER}:cached_tokens)%",
    "generated_tokens": f"%DYNAMIC_METADATA({FILTER}:generated_tokens)%",
    "cached_bytes": f"%DYNAMIC_METADATA({FILTER}:cached_bytes)%",
}
"""Without the query: nothing in the kit's APIs needs one, and people put keys there."""


def access_log(path: str) -> Json:
    """The access log of the listener."""
    return extension(
        "envoy.access_loggers.file",
        "access_loggers.file.v3.FileAccessLog",
        path=path,
        log_format={"json_format": FIELDS},
    )
