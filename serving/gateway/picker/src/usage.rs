//! Token counts from an engine's answer. They stand at its end, so only the end is kept.

/// What an engine says (or the gateway counts) that a request used.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Usage {
    pub prompt: u64,
    pub cached: u64,
    pub generated: u64,
    /// The engine said so; otherwise estimated from bytes and pieces.
    pub told: bool,
}

/// Bytes of an answer's end that are kept.
const KEEP: usize = 4096;

/// The end of an answer and how many pieces it came in.
#[derive(Debug, Default)]
pub struct Tail {
    end: Vec<u8>,
    pub pieces: u64,
}

impl Tail {
    pub fn push(&mut self, piece: &[u8]) {
        let piece = &piece[piece.len().saturating_sub(KEEP)..];
        if self.end.len() + piece.len() > 2 * KEEP {
            self.end.drain(..self.end.len() - (2 * KEEP - piece.len()).min(KEEP).min(self.end.len()));
        }
        self.end.extend_from_slice(piece);
    }

    /// The last usage in what was kept.
    pub fn usage(&self) -> Option<Usage> {
        // OpenAI's form, also TEI's and vLLM's; then TGI's details.
        if let Some(at) = find_last(&self.end, b"\"usage\":") {
            let after = &self.end[at + b"\"usage\":".len()..];
            let names: [&[u8]; 3] = [b"prompt_tokens", b"completion_tokens", b"cached_tokens"];
            if let [Some(prompt), generated, cached] = members(after, names) {
                let (cached, generated) = (cached.unwrap_or(0), generated.unwrap_or(0));
                return Some(Usage { prompt, cached, generated, told: true });
            }
        }
        let at = find_last(&self.end, b"\"generated_tokens\"")?;
        let from = find_last(&self.end[..at], b"\"details\"").unwrap_or(at);
        Some(Usage {
            prompt: number(&self.end[from..], b"\"input_length\"").unwrap_or(0),
            cached: 0,
            generated: number(&self.end[at..], b"\"generated_tokens\"")?,
            told: true,
        })
    }
}

/// Where `needle` begins for the last time. Fast where its last byte is rare.
pub fn find_last(text: &[u8], needle: &[u8]) -> Option<usize> {
    let last = needle.last()?;
    let mut end = text.len();
    while let Some(at) = text.get(..end)?.iter().rposition(|c| c == last) {
        if text[..=at].ends_with(needle) {
            return Some(at + 1 - needle.len());
        }
        end = at;
    }
    None
}

/// Where `needle` begins for the first time. Fast where its first byte is rare; a quote is rare enough.
pub fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle.first()?;
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|c| c == first) {
        if text[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// Whole numbers by name, from the object that `text` begins with and from those inside it; the first of each name.
fn members<const N: usize>(text: &[u8], names: [&[u8]; N]) -> [Option<u64>; N] {
    let mut found = [None; N];
    let (mut rest, mut depth) = (text.trim_ascii_start(), 0u32);
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                let (mut end, mut escaped) = (0, false);
                while let Some(c) = rest.get(end).filter(|c| escaped || **c != b'"') {
                    escaped = !escaped && *c == b'\\';
                    end += 1;
                }
                let (text, after) = rest.split_at(end);
                rest = after.get(1..).unwrap_or_default();
                if let Some(i) = names.iter().position(|name| *name == text) {
                    found[i] = found[i].or_else(|| value(rest));
                }
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// The whole number after `key` and a colon.
fn number(text: &[u8], key: &[u8]) -> Option<u64> {
    value(text.get(find(text, key)? + key.len()..)?)
}

/// The whole number after a colon.
fn value(after: &[u8]) -> Option<u64> {
    let after = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let digits = after.iter().take_while(|c| c.is_ascii_digit()).take(18);
    let mut any = false;
    let value = digits.fold(0, |n, d| {
        any = true;
        n * 10 + u64::from(d - b'0')
    });
    any.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[&[u8]]) -> Option<Usage> {
        let mut tail = Tail::default();
        pieces.iter().for_each(|p| tail.push(p));
        tail.usage()
    }

    #[test]
    fn reads_openai_and_tgi() {
        let told = |prompt, cached, generated| Some(Usage { prompt, cached, generated, told: true });
        assert_eq!(
            of(&[br#"{"choices":[{"text":"\"usage\":"}],"usage":{"prompt_tokens":12,"completion_tokens":3,
                "prompt_tokens_details":{"cached_tokens":8}}}"#]),
            told(12, 8, 3)
        );
        let stream: [&[u8]; 4] = [
            b"data: {\"usage\":null}\n\n",
            b"data: {\"choices\":[],\"usage\":{\"prompt_tok",
            b"ens\": 5, \"completion_tokens\": 2}}\n\n",
            b"data: [DONE]\n\n",
        ];
        assert_eq!(of(&stream), told(5, 0, 2));
        assert_eq!(
            of(&[br#"data:{"generated_text":"x","details":{"finish_reason":"length","generated_tokens":20,"input_length":7}}"#]),
            told(7, 0, 20)
        );
        assert_eq!(of(&[br#"data: {"usage":null}"#, b"data: [DONE]"]), None);
        assert_eq!(of(&[b""]), None);
    }

    #[test]
    fn searches_find_the_first_and_the_last() {
        for (text, needle, first, last) in [
            ("xabxab", "ab", Some(1), Some(4)),
            ("aaab", "aab", Some(1), Some(1)),
            ("ab", "abc", None, None),
            ("", "a", None, None),
            ("bbb", "b", Some(0), Some(2)),
        ] {
            assert_eq!(find(text.as_bytes(), needle.as_bytes()), first, "{text}");
            assert_eq!(find_last(text.as_bytes(), needle.as_bytes()), last, "{text}");
        }
    }

    #[test]
    fn members_of_one_object_only() {
        let names: [&[u8]; 2] = [b"a", b"b"];
        assert_eq!(members(br#" {"a": 1, "x": {"b":2}, "a":3} "b":4"#, names), [Some(1), Some(2)]);
        assert_eq!(members(br#"{"x":"\"a\":7","b":null}, "a":5"#, names), [None, None]);
        assert_eq!(members(br#"null,"a":5"#, names), [None, None]);
        for text in [&br#"{"a"#[..], br#"{"a":"#, br#"{"\"#, b"", b"{", b"}"] {
            assert_eq!(members(text, names), [None, None]);
        }
    }

    #[test]
    fn only_the_end_is_kept_and_it_is_enough() {
        let mut tail = Tail::default();
        for _ in 0..10_000 {
            tail.push(&[b'x'; 100]);
            assert!(tail.end.len() <= 2 * KEEP);
        }
        tail.push(&[b'y'; 100_000]);
        tail.push(br#","usage":{"prompt_tokens":1,"completion_tokens":2}}"#);
        assert_eq!(tail.usage().map(|u| (u.prompt, u.generated)), Some((1, 2)));
        assert!(tail.end.len() <= 2 * KEEP);
    }
}
