//! What a request path asks for.

#[derive(Debug, PartialEq)]
pub enum Target<'a> {
    /// GET /v1/models
    Models,
    /// GET /v1/models/<name>
    Model(&'a [u8]),
    /// A route under the OpenAI base URL: the body names the model.
    OpenAi(&'a [u8]),
    /// /models/<name>/…: the name, and the path that the engine will see.
    Native(&'a [u8], &'a [u8]),
    Nothing,
}

/// Path and query of a request target.
pub fn split(target: &[u8]) -> (&[u8], &[u8]) {
    let at = target.iter().position(|c| *c == b'?').unwrap_or(target.len());
    target.split_at(at)
}

/// `path` is without query, normalised by Envoy (no dot segments, no doubled or escaped slashes).
pub fn target<'a>(method: &[u8], path: &'a [u8]) -> Target<'a> {
    if let Some(rest) = path.strip_prefix(b"/v1/models") {
        return match rest {
            b"" | b"/" if method == b"GET" => Target::Models,
            [b'/', name @ ..] if method == b"GET" => Target::Model(name),
            _ => Target::Nothing,
        };
    }
    if path.starts_with(b"/v1/") {
        return Target::OpenAi(path);
    }
    if let Some(rest) = path.strip_prefix(b"/models/") {
        let end = rest.iter().position(|c| *c == b'/').unwrap_or(rest.len());
        let (name, inner) = rest.split_at(end);
        return Target::Native(name, if inner.is_empty() { b"/" } else { inner });
    }
    Target::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart() {
        assert_eq!(target(b"GET", b"/v1/models"), Target::Models);
        assert_eq!(target(b"GET", b"/v1/models/chat"), Target::Model(b"chat"));
        assert_eq!(target(b"POST", b"/v1/models"), Target::Nothing);
        assert_eq!(target(b"POST", b"/v1/embeddings"), Target::OpenAi(b"/v1/embeddings"));
        assert_eq!(target(b"POST", b"/models/chat"), Target::Native(b"chat", b"/"));
        assert_eq!(target(b"POST", b"/models/chat/"), Target::Native(b"chat", b"/"));
        assert_eq!(target(b"POST", b"/models/chat/v1/x"), Target::Native(b"chat", b"/v1/x"));
        assert_eq!(target(b"GET", b"/metrics"), Target::Nothing);
        assert_eq!(target(b"GET", b"/v1"), Target::Nothing);
        assert_eq!(split(b"/a?b=c"), (&b"/a"[..], &b"?b=c"[..]));
    }
}
