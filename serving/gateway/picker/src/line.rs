//! A request's line in the access log, as far as the module knows it better than Envoy, as members of a JSON object.
//!
//! It goes to Envoy in one piece, as filter state: a client cannot forge it, and what clients wrote is escaped here. One
//! call costs a quarter of a header for each number, and Envoy writes text for half of what it takes to write JSON.
use crate::abi::{Http, REQUEST};
use crate::answer::quoted;
use crate::path;
use crate::stream::Stream;
use crate::usage::Usage;
use std::cell::RefCell;
use std::io::Write;

/// The filter state's name, for %FILTER_STATE(…)% in the log's format.
const LINE: &str = "berth.line";

thread_local! {
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a request used, and how many bytes of its prompt were believed cached.
pub type Used = (Usage, u64);

impl Stream {
    /// Leaves the line for Envoy. Once a stream: filter state is not written twice.
    pub fn write_line(&self, http: &mut Http, used: Option<Used>) {
        let mut text = TEXT.take();
        text.clear();
        self.members(http, used, &mut text);
        http.set_filter_state(LINE, &text);
        TEXT.replace(text);
    }

    fn members(&self, http: &Http, used: Option<Used>, out: &mut Vec<u8>) {
        string(out, "tenant", self.caller().map(|t| t.name.as_bytes()));
        string(out, "model", self.serving().map(|m| m.name.as_bytes()));
        if self.method.is_empty() {
            // Envoy has refused the request before this module saw it.
            string(out, "method", http.header(REQUEST, ":method"));
            string(out, "path", http.header(REQUEST, ":path").map(|p| path::split(p).0));
        } else {
            string(out, "method", Some(&self.method));
            string(out, "path", Some(path::split(&self.sent_path).0));
        }
        string(out, "details", http.details());
        member(out, "ttft_ms");
        match self.ttft_ms {
            Some(ms) => drop(write!(out, "{}", ms.round() as u64)),
            None => out.extend_from_slice(b"null"),
        }
        let numbers = used.map(|(u, bytes)| [u.prompt, u.cached, u.generated, bytes]);
        for (i, name) in ["prompt_tokens", "cached_tokens", "generated_tokens", "cached_bytes"].into_iter().enumerate()
        {
            let mut digits = [0; 20];
            string(out, name, numbers.map(|n| decimal(n[i], &mut digits)));
        }
    }
}

fn member(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn string(out: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    member(out, name);
    match value {
        None => out.extend_from_slice(b"null"),
        Some(text) if text.iter().all(|c| matches!(c, b' '..=b'~') && !matches!(c, b'"' | b'\\')) => {
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
        }
        Some(text) => out.extend_from_slice(quoted(&String::from_utf8_lossy(text)).as_bytes()),
    }
}

fn decimal(mut value: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &buffer[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_digits() {
        for n in [0, 7, 10, 1234, u64::MAX] {
            assert_eq!(decimal(n, &mut [0; 20]), n.to_string().as_bytes());
        }
    }

    #[test]
    fn whatever_a_client_sends_stays_inside_its_string() {
        for text in [&b"/v1"[..], b"/\",\"tenant\":\"x", b"/\\", b"/\xff\xfe", b"/\n\r\t\0\x7f", "/é".as_bytes()] {
            let mut out = Vec::new();
            string(&mut out, "path", Some(text));
            string(&mut out, "tenant", None);
            out[0] = b'{';
            out.push(b'}');
            let tree = crate::tree::Tree::parse(&out).unwrap();
            assert_eq!(tree.get("path").and_then(|p| p.text()), Some(&*String::from_utf8_lossy(text)));
            assert!(tree.get("tenant").is_none_or(|t| t.text().is_none()));
        }
    }
}
