//! Reads what the gateway needs from a request body: it is checked as JSON in one pass, and a few members are remembered
//! as positions.
use crate::caps::Asked;
use crate::json::{Cursor, Fault, Parsed};
use std::borrow::Cow;
use std::ops::Range;

/// A member that holds a limit on generated tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLimit {
    /// Of the number in the body.
    pub span: Range<usize>,
    pub tokens: u64,
}

/// What a body says. Positions are byte ranges of the body.
#[derive(Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub model: Option<Cow<'a, [u8]>>,
    /// The `model` member's value, quotes included.
    pub model_span: Range<usize>,
    /// The prompt, raw: "messages" without its closing bracket, a string without its quotes.
    pub prompt: Range<usize>,
    pub stream: bool,
    pub limits: Vec<TokenLimit>,
    /// A limit that is null, at the top level.
    pub null_limit: Option<Range<usize>>,
    /// Inserting `"max_new_tokens":n,` here gives a TGI body a limit: after the `{` of "parameters".
    pub parameters_at: Option<usize>,
    pub parameters_empty: bool,
    /// There is a "parameters", be it null.
    pub parameters: bool,
    pub adapter: Option<Cow<'a, [u8]>>,
    pub salt: Option<Cow<'a, [u8]>>,
    /// After the `{` of the body.
    pub start: usize,
    pub empty: bool,
    /// The value of "stream_options".
    pub stream_options: Option<Range<usize>>,
    pub include_usage: bool,
    /// What it asks for beyond a plain answer.
    pub asked: Asked,
}

/// Reads a request body.
pub fn read(body: &[u8]) -> Parsed<Request<'_>> {
    let mut c = Cursor::new(body);
    let result = parse(&mut c, body);
    // JSON that was read to its end has bytes above ASCII only in its strings, and those are seen there: most bodies
    // need no pass of their own for this.
    if c.high || result.is_err() {
        if let Err(e) = std::str::from_utf8(body) {
            return Err(Fault { at: e.valid_up_to(), why: "not UTF-8" });
        }
    }
    result
}

fn parse<'a>(c: &mut Cursor<'a>, body: &'a [u8]) -> Parsed<Request<'a>> {
    let mut r = Request::default();
    let mut seen = 0u32;
    c.space();
    if c.peek() != Some(b'{') {
        return c.fault(if body.is_empty() { "the body is empty" } else { "the body must be a JSON object" });
    }
    r.start = c.at + 1;
    r.empty = c.members(|c, key| match &*key {
        b"model" => {
            once(c, &mut seen, 0)?;
            let start = c.at;
            r.model = Some(c.text("model must be a string")?);
            r.model_span = start..c.at;
            Ok(())
        }
        b"messages" | b"prompt" | b"inputs" | b"input" => {
            once(c, &mut seen, 1)?;
            let start = c.at;
            c.fetched = None;
            c.skip()?;
            if let (b"messages", Some(at)) = (&*key, c.fetched) {
                return Err(Fault {
                    at,
                    why: "image_url, video_url and audio_url are refused: an engine would fetch them",
                });
            }
            r.prompt = match body.get(start) {
                Some(b'[') => start..c.at - 1,
                Some(b'"') => start + 1..c.at - 1,
                _ => start..c.at,
            };
            Ok(())
        }
        b"stream" => {
            once(c, &mut seen, 2)?;
            r.stream = c.boolean("stream must be true or false")?;
            Ok(())
        }
        name @ (b"max_tokens" | b"max_completion_tokens") => {
            once(c, &mut seen, if name == b"max_tokens" { 3 } else { 4 })?;
            if let Some(span) = limit(c, &mut r.limits)? {
                r.null_limit = Some(span);
            }
            Ok(())
        }
        b"cache_salt" => {
            once(c, &mut seen, 5)?;
            r.salt = c.optional_text("cache_salt must be a string")?;
            Ok(())
        }
        b"n" => {
            once(c, &mut seen, 6)?;
            number(c, &mut r.asked.choices)
        }
        b"best_of" => {
            once(c, &mut seen, 7)?;
            number(c, &mut r.asked.choices)
        }
        b"stop" => {
            once(c, &mut seen, 10)?;
            r.asked.stops = c.count()?;
            Ok(())
        }
        b"logprobs" | b"top_logprobs" => number(c, &mut r.asked.top_tokens),
        b"response_format" | b"structured_outputs" | b"structural_tag" => size(c, &mut r.asked.grammar_bytes),
        b"guided_json" | b"guided_regex" | b"guided_choice" | b"guided_grammar" => {
            size(c, &mut r.asked.grammar_bytes) // vLLM's, and of older versions
        }
        b"stream_options" => {
            once(c, &mut seen, 8)?;
            let start = c.at;
            if c.peek() != Some(b'{') {
                c.skip()?;
                r.stream_options = Some(start..c.at);
                return Ok(());
            }
            let mut usage = 0u32;
            c.members(|c, key| {
                if &*key == b"include_usage" {
                    once(c, &mut usage, 0)?;
                    r.include_usage = c.boolean("stream_options.include_usage must be true or false")?;
                    return Ok(());
                }
                c.skip()
            })?;
            r.stream_options = Some(start..c.at);
            Ok(())
        }
        b"parameters" => {
            once(c, &mut seen, 9)?;
            r.parameters = true;
            if c.peek() != Some(b'{') {
                return c.skip();
            }
            r.parameters_at = Some(c.at + 1);
            let mut inner = 0u32;
            let (limits, adapter, asked) = (&mut r.limits, &mut r.adapter, &mut r.asked);
            r.parameters_empty = c.members(|c, key| match &*key {
                b"max_new_tokens" => {
                    once(c, &mut inner, 0)?;
                    limit(c, limits).map(drop)
                }
                b"adapter_id" => {
                    once(c, &mut inner, 1)?;
                    *adapter = c.optional_text("parameters.adapter_id must be a string")?;
                    Ok(())
                }
                b"best_of" => {
                    once(c, &mut inner, 2)?;
                    number(c, &mut asked.choices)
                }
                b"stop" => {
                    once(c, &mut inner, 3)?;
                    asked.stops = c.count()?;
                    Ok(())
                }
                b"top_n_tokens" => number(c, &mut asked.top_tokens),
                b"grammar" => size(c, &mut asked.grammar_bytes),
                _ => c.skip(),
            })?;
            Ok(())
        }
        _ => c.skip(),
    })?;
    c.space();
    if c.at < body.len() {
        return c.fault("more text after the JSON object");
    }
    Ok(r)
}

/// A member that the gateway acts on must not appear twice: parsers differ in which one they take.
fn once(c: &Cursor<'_>, seen: &mut u32, bit: u32) -> Parsed<()> {
    let before = *seen;
    *seen |= 1 << bit;
    if before & 1 << bit != 0 {
        return c.fault("this member appears twice");
    }
    Ok(())
}

/// The span of a limit that is null.
fn limit(c: &mut Cursor<'_>, out: &mut Vec<TokenLimit>) -> Parsed<Option<Range<usize>>> {
    let start = c.at;
    if c.peek() == Some(b'n') {
        c.word(b"null")?;
        return Ok(Some(start..c.at));
    }
    let tokens = c.whole("a token limit must be a whole number")?;
    out.push(TokenLimit { span: start..c.at, tokens });
    Ok(None)
}

/// The largest of the numbers met so far; what is none (null, `"logprobs": true`) is passed over.
fn number(c: &mut Cursor<'_>, most: &mut u64) -> Parsed<()> {
    if matches!(c.peek(), Some(b'n' | b't' | b'f')) {
        return c.skip();
    }
    *most = (*most).max(c.whole("n, best_of, logprobs, top_logprobs and top_n_tokens must be whole numbers")?);
    Ok(())
}

/// Adds the length of the value here.
fn size(c: &mut Cursor<'_>, bytes: &mut u64) -> Parsed<()> {
    let start = c.at;
    c.skip()?;
    *bytes += (c.at - start) as u64;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::MAX_DEPTH;

    fn prompt(body: &[u8]) -> &[u8] {
        &body[read(body).unwrap().prompt]
    }

    #[test]
    fn reads_an_openai_body() {
        let body = br#" {"model":"ch\u0061t","x":{"messages":1}, "messages" : [{"content":"hi"}],"n":2,
            "max_tokens":64,"stream":true,"stream_options":{"include_usage":true},"cache_salt":"s"} "#;
        let r = read(body).unwrap();
        assert_eq!(r.model.as_deref(), Some(&b"chat"[..]));
        assert_eq!(&body[r.prompt.clone()], br#"[{"content":"hi"}"#);
        assert_eq!((r.limits[0].tokens, &body[r.limits[0].span.clone()]), (64, &b"64"[..]));
        assert!(r.stream && r.include_usage && r.asked.choices == 2);
        assert_eq!(&body[r.stream_options.unwrap()], br#"{"include_usage":true}"#);
        assert_eq!(r.salt.as_deref(), Some(&b"s"[..]));
        assert_eq!(&body[r.model_span], br#""ch\u0061t""#);
    }

    #[test]
    fn what_an_engine_would_fetch_is_refused_in_messages_alone() {
        for key in ["image_url", "video_url", "image\\u005furl"] {
            let part = format!(r#"{{"type":"image_url","{key}":{{"url":"http://10.0.0.1/"}}}}"#);
            let body = format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#);
            let fault = read(body.as_bytes()).unwrap_err();
            assert_eq!(fault.at, body.rfind(key).unwrap());
            assert!(fault.why.starts_with("image_url"), "{}", fault.why);
        }
        let schema =
            br#"{"messages":[{"content":"what is \"image_url\"?"}],"tools":[{"image_url":{"type":"string"}}]}"#;
        assert!(read(schema).is_ok());
        let turned = br#"{"tools":[{"image_url":1}],"messages":[]}"#;
        assert!(read(turned).is_ok());
    }

    #[test]
    fn reads_a_tgi_body() {
        let body = br#"{"inputs":"a\"b","parameters":{"max_new_tokens":20,"adapter_id":"lora"}}"#;
        let r = read(body).unwrap();
        assert_eq!(&body[r.prompt], br#"a\"b"#);
        assert_eq!(r.limits[0].tokens, 20);
        assert_eq!(r.adapter.as_deref(), Some(&b"lora"[..]));
        assert_eq!(prompt(br#"{"input":["a","b"]}"#), br#"["a","b""#);
        assert!(read(br#"{"inputs":"a","parameters":{}}"#).unwrap().parameters_empty);
        assert!(read(b"{}").unwrap().empty);
        assert_eq!(read(br#"{"max_tokens":null}"#).unwrap().null_limit, Some(14..18));
    }

    #[test]
    fn what_is_asked_for_beyond_a_plain_answer_is_added_up() {
        let body = br#"{"n":2,"best_of":3,"stop":["a","b"],"logprobs":true,"top_logprobs":5,"logprobs":7,
            "response_format":{"type":"json_object"},"guided_regex":"a+"}"#;
        let asked = read(body).unwrap().asked;
        assert_eq!(asked, Asked { choices: 3, stops: 2, top_tokens: 7, grammar_bytes: 26 });
        let body =
            br#"{"inputs":"x","parameters":{"stop":["a"],"top_n_tokens":4,"grammar":{"type":"regex"},"best_of":1}}"#;
        assert_eq!(read(body).unwrap().asked, Asked { choices: 1, stops: 1, top_tokens: 4, grammar_bytes: 16 });
        assert_eq!(read(br#"{"stop":"a","n":null}"#).unwrap().asked, Asked { stops: 1, ..Asked::default() });
        assert_eq!(read(br#"{"stop":null}"#).unwrap().asked.stops, 1);
    }

    #[test]
    fn faults_say_where_and_why() {
        let cases: &[(&[u8], usize, &str)] = &[
            (b"", 0, "the body is empty"),
            (b"[1]", 0, "the body must be a JSON object"),
            (b"{\"a\":1", 6, "the JSON ends too early"),
            (b"{\"a\":\"x", 7, "the JSON ends too early"),
            (b"{\"a\":tru}", 5, "expected a value"),
            (b"{\"a\":01}", 6, "a number must not begin with 0"),
            (b"{\"a\":1,}", 7, "expected a member name in double quotes"),
            (b"{a:1}", 1, "expected a member name in double quotes"),
            (b"{\"a\" 1}", 5, "expected ':' after a member name"),
            (b"{\"a\":[1 2]}", 8, "expected ',' or ']'"),
            (b"{\"a\":\"\x01\"}", 6, "a control character in a string must be escaped"),
            (b"{\"a\":\"\\x\"}", 6, "unknown escape in a string"),
            (b"{\"a\":\"\\u12g4\"}", 6, "'\\u' needs four hexadecimal digits"),
            (b"{} {}", 3, "more text after the JSON object"),
            (b"{\"a\":\"\xff\"}", 6, "not UTF-8"),
            (b"{\"model\":1}", 9, "model must be a string"),
            (b"{\"stream\":1}", 10, "stream must be true or false"),
            (b"{\"max_tokens\":1.5}", 14, "a token limit must be a whole number"),
            (b"{\"max_tokens\":-1}", 14, "a token limit must be a whole number"),
            (b"{\"model\":\"a\",\"mod\\u0065l\":\"b\"}", 26, "this member appears twice"),
        ];
        for (body, at, why) in cases {
            assert_eq!(read(body), Err(Fault { at: *at, why }), "{:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nest = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(read(nest(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(read(nest(MAX_DEPTH + 2).as_bytes()).unwrap_err().why, "nested deeper than 128 levels");
        assert!(read("{\"a\":{\"b\":[{},[],{\"c\":[1,2]}]}}".as_bytes()).is_ok());
    }

    #[test]
    fn plain_text_of_any_length_ends_at_the_right_byte() {
        for end in [r#"""#, r#"\n""#, r#"\u00e9""#] {
            for plain in ["a", "\u{e9}", "\u{1f600}"] {
                for n in 0..100 {
                    let body = format!("{{\"model\":\"{}{end}}}", plain.repeat(n));
                    let model = read(body.as_bytes()).unwrap().model.unwrap().into_owned();
                    assert_eq!(model.len(), n * plain.len() + [0, 1, 2][end.len() / 3], "{body}");
                }
            }
        }
        for n in 0..70 {
            let mut body =
                [b"{\"a\":\"", vec![b'x'; n].as_slice(), b"\xff", vec![b'x'; 40].as_slice(), b"\"}"].concat();
            assert_eq!(read(&body), Err(Fault { at: n + 6, why: "not UTF-8" }));
            body[n + 6] = 0x1f;
            assert_eq!(read(&body).unwrap_err().at, n + 6);
        }
    }

    /// Mutated and random bodies: never a panic, and every accepted span lies inside the body.
    fn fuzz(cases: u64) {
        let seeds: [&[u8]; 4] = [
            br#"{"model":"chat","messages":[{"role":"user","content":"h\u00e9llo \"x\""}],"max_tokens":5,"stream":true}"#,
            br#"{"inputs":"abc","parameters":{"max_new_tokens":20,"adapter_id":null,"best_of":2},"stream":false}"#,
            br#"{"prompt":["a","b"],"n":3,"stream_options":{"include_usage":true},"x":[[{"y":-1.5e+3}],null,true]}"#,
            b"",
        ];
        let mut state = 0x1234_5678_9abc_def1u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let alphabet = b"{}[]\",:\\u0123456789eE+-.truefalsn \n\x00\x1f\xff\xc3\xa9max_tokens";
        for case in 0..cases {
            let mut body = seeds[case as usize % seeds.len()].to_vec();
            for _ in 0..1 + next() % 6 {
                let at = if body.is_empty() { 0 } else { next() as usize % body.len() };
                let byte = alphabet[next() as usize % alphabet.len()];
                match next() % 5 {
                    0 if !body.is_empty() => body[at] = byte,
                    1 if !body.is_empty() => drop(body.remove(at)),
                    2 => body.insert(at, byte),
                    3 => body.truncate(at),
                    _ => {
                        let piece = body[at..].iter().take(next() as usize % 40).copied().collect::<Vec<_>>();
                        body.splice(at..at, piece);
                    }
                }
            }
            match read(&body) {
                Ok(r) => {
                    assert!(body.get(r.prompt.clone()).is_some() && body.get(r.model_span.clone()).is_some());
                    assert!(r.start <= body.len() && r.parameters_at.is_none_or(|p| p <= body.len()));
                    for m in r.limits {
                        assert!(body[m.span].iter().all(u8::is_ascii_digit));
                    }
                }
                Err(fault) => assert!(fault.at <= body.len() && !fault.why.is_empty()),
            }
        }
    }

    #[test]
    fn a_hundred_thousand_mutated_bodies_never_panic() {
        fuzz(100_000);
    }

    /// cargo test --release -- --ignored a_million
    #[test]
    #[ignore = "a long run: cargo test --release -- --ignored a_million"]
    fn a_million_mutated_bodies_never_panic() {
        fuzz(1_000_000);
    }
}
