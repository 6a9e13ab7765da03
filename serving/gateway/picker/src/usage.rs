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
            let after = &self.end[at..];
            if let Some(prompt) = number(after, b"\"prompt_tokens\"") {
                return Some(Usage {
                    prompt,
                    cached: number(after, b"\"cached_tokens\"").unwrap_or(0),
                    generated: number(after, b"\"completion_tokens\"").unwrap_or(0),
                    told: true,
                });
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

/// Where `needle` begins for the last time.
pub fn find_last(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).rposition(|w| w == needle)
}

/// Where `needle` begins for the first time. Fast where its first byte is rare; a quote is rare enough.
pub fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|w| w == needle)
}

/// The whole number after `key` and a colon.
fn number(text: &[u8], key: &[u8]) -> Option<u64> {
    let after = text.get(find(text, key)? + key.len()..)?;
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
