"""One JSON object a request: who, what, where to, how long. Never a key, a prompt or an answer."""

from serving.gateway.envoy import MODEL_HEADER, TENANT_HEADER, Json, extension

FIELDS = {
    "time": "%START_TIME%",
    "tenant": f"%REQ({TENANT_HEADER})%",
    "model": f"%REQ({MODEL_HEADER})%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "backend": "%UPSTREAM_HOST%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "duration_ms": "%DURATION%",
    "ttft_ms": "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:ms)%",
    "response_bytes": "%BYTES_SENT%",
    "prompt_tokens": "%REQ(X-BERTH-PROMPT-TOKENS)%",
    "cached_tokens": "%REQ(X-BERTH-CACHED-TOKENS)%",
    "generated_tokens": "%REQ(X-BERTH-GENERATED-TOKENS)%",
    "cached_bytes": "%REQ(X-BERTH-CACHED-BYTES)%",
}
"""Path without the query: nothing in the kit's APIs needs one, and people put keys there. The last four come from
headers that the module sets when the answer is over; they are numbers in strings, null when there was no answer."""


def access_log(path: str) -> Json:
    """The access log of the listener."""
    return extension(
        "envoy.access_loggers.file",
        "access_loggers.file.v3.FileAccessLog",
        path=path,
        log_format={"json_format": dict(FIELDS)},
    )
