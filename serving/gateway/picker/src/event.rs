//! The first event of a stream. Engines answer a stream that they refuse with 200 and an error event (TGI and vLLM do),
//! because they send the status before they look; the gateway looks before it passes the status on.
use crate::answer::Refusal;
use crate::tree::Tree;
use crate::usage::find;

/// Bytes of a first event after which the gateway stops waiting for its end.
pub const LONGEST: usize = 16 * 1024;

#[derive(Debug, PartialEq)]
pub enum First {
    /// More bytes are needed to tell.
    Unfinished,
    /// The stream goes on.
    Data,
    /// The engine refuses the request.
    Error(Refusal),
}

/// Looks at the beginning of a stream; `end`: it is all there is.
pub fn first(text: &[u8], end: bool) -> First {
    let mut rest = text;
    loop {
        let Some((line, after)) = split_line(rest) else {
            // An unfinished line decides nothing unless it is the last or too long.
            return match (end, rest.is_empty()) {
                (true, false) => data(rest).and_then(error).map_or(First::Data, First::Error),
                (true, true) => First::Data,
                (false, _) if rest.len() > LONGEST => First::Data,
                (false, _) => First::Unfinished,
            };
        };
        if let Some(data) = data(line) {
            return error(data).map_or(First::Data, First::Error);
        }
        rest = after; // comments (keep-alives), event names, empty lines
    }
}

fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|c| *c == b'\n')?;
    Some((text[..end].trim_ascii_end(), &text[end + 1..]))
}

fn data(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"data:").map(<[u8]>::trim_ascii)
}

fn error(data: &[u8]) -> Option<Refusal> {
    find(data, b"\"error\"")?;
    let tree = Tree::parse(data).ok()?;
    let error = tree.get("error")?;
    let text = |t: &Tree, key: &str| t.get(key).and_then(Tree::text).map(str::to_string);
    let message = error.text().map(str::to_string).or_else(|| text(error, "message"));
    let message = message.unwrap_or_else(|| "the engine gave no reason".into());
    let kind = text(&tree, "error_type").or_else(|| text(error, "type")).unwrap_or_default();
    let said = ["code", "http_status_code"].iter().find_map(|key| error.get(key)?.whole());
    let overloaded = kind == "overloaded" || message.to_ascii_lowercase().contains("overload");
    let status = match (kind.as_str(), said) {
        _ if overloaded => 429, // TGI says 422 for this in its OpenAI streams
        (_, Some(status @ 400..=599)) => status as u32,
        ("validation" | "template_error" | "tool_error", _) => 422,
        _ => 503,
    };
    let code = if status == 429 { "engine_overloaded" } else { "engine_refused" };
    let refusal = Refusal::new(status, code, message);
    Some(if matches!(status, 429 | 503) { refusal.retry_after(1) } else { refusal })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Option<u32> {
        match first(text.as_bytes(), false) {
            First::Error(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    #[test]
    fn errors_of_all_engines_become_statuses() {
        let cases = [
            ("data:{\"error\":\"Model is overloaded\",\"error_type\":\"overloaded\"}\n\n", 429),
            ("data: {\"error\":{\"message\":\"Model is overloaded\",\"http_status_code\":422}}\n\n", 429),
            ("data: {\"error\":{\"message\":\"bad\",\"http_status_code\":422}}\n\n", 422),
            ("data: {\"error\": {\"message\": \"queue full\", \"type\": \"X\", \"code\": 429}}\r\n\r\n", 429),
            ("data:{\"error\":\"too long\",\"error_type\":\"validation\"}\n\n", 422),
            (": ping\n\nevent: error\ndata: {\"error\": {}}\n\n", 503),
        ];
        for (text, code) in cases {
            assert_eq!(status(text), Some(code), "{text}");
        }
    }

    #[test]
    fn text_about_errors_is_not_an_error() {
        for text in [
            "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\"\"}}]}\n\n",
            "data: {\"error\":null,\"x\":1}\n\n",
            "data: [DONE]\n\n",
            "data: \"error\"\n\n",
        ] {
            assert_eq!(first(text.as_bytes(), false), First::Data, "{text}");
        }
    }

    #[test]
    fn an_unfinished_event_is_waited_for_but_not_for_ever() {
        assert_eq!(first(b"data: {\"error\":", false), First::Unfinished);
        assert_eq!(first(b": ping\n\n", false), First::Unfinished);
        assert_eq!(first(b"", false), First::Unfinished);
        assert_eq!(first(b"", true), First::Data);
        assert_eq!(first(&[b'x'; LONGEST + 1], false), First::Data);
        assert_eq!(status("data: {\"error\":\"x\"}\n"), Some(503));
        assert!(matches!(first(b"data: {\"error\":\"x\"}", true), First::Error(_)));
    }

    #[test]
    fn the_same_answer_however_the_bytes_arrive() {
        let text = b": ping\n\ndata: {\"error\":{\"message\":\"full\",\"code\":429}}\n\n";
        for cut in 0..text.len() {
            match first(&text[..cut], false) {
                First::Unfinished => {}
                other => assert_eq!(other, first(text, false), "cut at {cut}"),
            }
        }
    }
}
