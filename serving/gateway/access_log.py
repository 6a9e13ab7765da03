"""One JSON object a request: who, what, where to, how long. Never a key, a prompt or an answer.

It is written as text: Envoy takes twice the time over its own JSON format. So Envoy's part has only what cannot hold a
quote (numbers, addresses, names of clusters); the module writes the rest, escaped (picker/src/line.rs): tenant, model,
method, path without the query (nothing in the kit's APIs needs one, and people put keys there), details, ttft_ms (whole
milliseconds from the request's headers to the answer's first byte), and the numbers prompt_tokens, cached_tokens,
generated_tokens and cached_bytes in strings. What there is not is null, or "" in Envoy's part.
"""

from serving.gateway.envoy import Json, extension

_QUOTED = {
    "time": "%START_TIME%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "flags": "%RESPONSE_FLAGS%",
    "backend": "%UPSTREAM_HOST%",
    "cluster": "%UPSTREAM_CLUSTER%",
}
_NUMBERS = {
    "status": "%RESPONSE_CODE%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "duration_ms": "%DURATION%",
    "response_bytes": "%BYTES_SENT%",
}
_MODULE = "%FILTER_STATE(berth.line:PLAIN)%"
"""Members of the object, each with a comma before it."""


def access_log(path: str) -> Json:
    """The access log of the listener."""
    members = [f'"{name}":"{value}"' for name, value in _QUOTED.items()]
    members += [f'"{name}":{value}' for name, value in _NUMBERS.items()]
    line = "{" + ",".join(members) + _MODULE + "}\n"
    return extension(
        "envoy.access_loggers.file",
        "access_loggers.file.v3.FileAccessLog",
        path=path,
        log_format={"text_format_source": {"inline_string": line}, "omit_empty_values": True},
    )
