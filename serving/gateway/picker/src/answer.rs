//! The gateway's own answers: errors in the form of OpenAI's API, which TGI's and TEI's clients can show too.

/// A refusal before it is sent.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    pub status: u32,
    /// For programs, and for the access log as %RESPONSE_CODE_DETAILS%.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// Seconds; becomes Retry-After.
    pub retry_after: Option<u64>,
}

impl Refusal {
    pub fn new(status: u32, code: &'static str, message: impl Into<String>) -> Self {
        Refusal { status, code, message: message.into(), retry_after: None }
    }

    pub fn retry_after(self, seconds: u64) -> Self {
        Refusal { retry_after: Some(seconds), ..self }
    }

    pub fn body(&self) -> String {
        let kind = match self.status {
            401 => "authentication_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        format!(
            r#"{{"error":{{"message":{},"type":"{kind}","param":null,"code":"{}"}}}}"#,
            quoted(&self.message),
            self.code
        )
    }
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Text from a client, cut to a length that is fit for an error message.
pub fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(64) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_json_whatever_they_quote() {
        let r = Refusal::new(404, "model_not_found", format!("model {:?}", shown(b"a\"\\\n\xff")));
        let body = r.body();
        let tree = crate::tree::Tree::parse(body.as_bytes()).unwrap();
        assert_eq!(tree.get("error").and_then(|e| e.get("type")?.text()), Some("invalid_request_error"));
        assert!(shown(&[b'x'; 100]).chars().count() == 65);
    }
}
