//! Changes to a request body: a few insertions and replacements, applied in one copy.
use crate::request::Request;
use std::ops::Range;

/// What is asked of a body's token limits and of its stream options.
#[derive(Debug, Default, Clone, Copy)]
pub struct Wishes {
    /// Tokens a body without a limit gets.
    pub default_tokens: Option<u64>,
    /// The largest limit that a body may have.
    pub most_tokens: Option<u64>,
    /// Streams must end with their usage.
    pub usage: bool,
    /// The body is TGI's: limits are in "parameters".
    pub native: bool,
}

#[derive(Debug, Default)]
pub struct Edits {
    list: Vec<(Range<usize>, String)>,
}

impl Edits {
    pub fn replace(&mut self, span: Range<usize>, text: String) {
        self.list.push((span, text));
    }

    /// A new first member of the object that begins before `at`.
    fn member(&mut self, at: usize, empty: bool, text: &str) {
        self.list.push((at..at, format!("{text}{}", if empty { "" } else { "," })));
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The changed body. Edits of one place apply in the order they were made.
    pub fn apply(mut self, body: &[u8]) -> Vec<u8> {
        self.list.sort_by_key(|(span, _)| (span.start, span.end));
        let extra: usize = self.list.iter().map(|(_, text)| text.len()).sum();
        let mut out = Vec::with_capacity(body.len() + extra);
        let mut at = 0;
        for (span, text) in &self.list {
            out.extend_from_slice(body.get(at..span.start).unwrap_or_default());
            out.extend_from_slice(text.as_bytes());
            at = span.end;
        }
        out.extend_from_slice(body.get(at..).unwrap_or_default());
        out
    }
}

/// The edits that a body needs, the tokens it may then generate per choice (None: no limit), and whether a usage event
/// was asked for that the client did not ask for.
pub fn edits(request: &Request, wishes: Wishes) -> (Edits, Option<u64>, bool) {
    let mut edits = Edits::default();
    let mut tokens = request.limits.iter().map(|l| l.tokens).max();
    for limit in &request.limits {
        if let Some(most) = wishes.most_tokens.filter(|m| *m < limit.tokens) {
            edits.replace(limit.span.clone(), most.to_string());
        }
    }
    if let (Some(most), Some(given)) = (wishes.most_tokens, tokens) {
        tokens = Some(given.min(most));
    }
    if let (None, Some(default)) = (tokens, wishes.default_tokens.or(wishes.most_tokens)) {
        let default = wishes.most_tokens.map_or(default, |most| default.min(most));
        tokens = Some(default);
        match (wishes.native, request.parameters_at) {
            (true, Some(at)) => edits.member(at, request.parameters_empty, &format!("\"max_new_tokens\":{default}")),
            (true, None) if request.parameters => {} // null: the engine's own default holds, and its own cap
            (true, None) => {
                // TGI samples when "parameters" is missing and does not when it is there: keep what it would have done.
                let text = format!("\"parameters\":{{\"max_new_tokens\":{default},\"do_sample\":true}}");
                edits.member(request.start, request.empty, &text);
            }
            (false, _) if request.null_limit.is_some() => {
                edits.replace(request.null_limit.clone().unwrap_or_default(), default.to_string());
            }
            (false, _) => edits.member(request.start, request.empty, &format!("\"max_tokens\":{default}")),
        }
    }
    let mut asked = false;
    if wishes.usage && request.stream && !request.include_usage {
        asked = true;
        match &request.stream_options {
            None => edits.member(request.start, request.empty, "\"stream_options\":{\"include_usage\":true}"),
            Some(span) => edits.replace(span.clone(), "{\"include_usage\":true}".into()),
        }
    }
    (edits, tokens, asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::read;

    fn go(body: &str, wishes: Wishes) -> (String, Option<u64>, bool) {
        let request = read(body.as_bytes()).unwrap();
        let (edits, tokens, asked) = edits(&request, wishes);
        let out = String::from_utf8(edits.apply(body.as_bytes())).unwrap();
        read(out.as_bytes()).unwrap();
        (out, tokens, asked)
    }

    const LIMITS: Wishes = Wishes { default_tokens: Some(16), most_tokens: Some(100), usage: false, native: false };

    #[test]
    fn openai_bodies_get_a_default_and_a_cap() {
        assert_eq!(go(r#"{"a":1}"#, LIMITS), (r#"{"max_tokens":16,"a":1}"#.into(), Some(16), false));
        assert_eq!(go("{}", LIMITS).0, r#"{"max_tokens":16}"#);
        assert_eq!(go(r#"{"max_tokens":50}"#, LIMITS), (r#"{"max_tokens":50}"#.into(), Some(50), false));
        assert_eq!(
            go(r#"{"max_tokens":500, "max_completion_tokens":400}"#, LIMITS),
            (r#"{"max_tokens":100, "max_completion_tokens":100}"#.into(), Some(100), false)
        );
        assert_eq!(go(r#"{"max_tokens":null}"#, LIMITS).0, r#"{"max_tokens":16}"#);
        assert_eq!(go("{}", Wishes::default()), ("{}".into(), None, false));
    }

    #[test]
    fn tgi_bodies_get_them_in_parameters() {
        let native = Wishes { native: true, ..LIMITS };
        assert_eq!(
            go(r#"{"inputs":"x"}"#, native).0,
            r#"{"parameters":{"max_new_tokens":16,"do_sample":true},"inputs":"x"}"#
        );
        assert_eq!(go(r#"{"parameters":{}}"#, native).0, r#"{"parameters":{"max_new_tokens":16}}"#);
        assert_eq!(go(r#"{"parameters":{"seed":1}}"#, native).0, r#"{"parameters":{"max_new_tokens":16,"seed":1}}"#);
        assert_eq!(
            go(r#"{"parameters":{"max_new_tokens":999}}"#, native).0,
            r#"{"parameters":{"max_new_tokens":100}}"#
        );
    }

    #[test]
    fn streams_are_made_to_tell_their_usage() {
        let usage = Wishes { usage: true, ..Wishes::default() };
        assert_eq!(
            go(r#"{"stream":true}"#, usage),
            (r#"{"stream_options":{"include_usage":true},"stream":true}"#.into(), None, true)
        );
        assert_eq!(
            go(r#"{"stream":true,"stream_options":{"include_usage":false}}"#, usage).0,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#
        );
        assert!(!go(r#"{"stream":true,"stream_options":{"include_usage":true}}"#, usage).2);
        assert!(!go(r#"{"stream":false}"#, usage).2);
    }
}
