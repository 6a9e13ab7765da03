//! A cursor over JSON text, without building a tree: values are checked, and read or passed over.
//!
//! Total: any bytes give `Ok` or a `Fault`; nothing here indexes without a bound or recurses.
use crate::scan::plain;
use std::borrow::Cow;

/// Arrays and objects may be nested this deep (most parsers behind the gateway stop at 128 or more).
pub const MAX_DEPTH: usize = 128;

/// Why a body is refused: where in it (bytes) and what is wrong there.
#[derive(Debug, PartialEq)]
pub struct Fault {
    pub at: usize,
    pub why: &'static str,
}

pub type Parsed<T> = Result<T, Fault>;

pub struct Cursor<'a> {
    b: &'a [u8],
    pub at: usize,
    /// A byte above ASCII was passed in a string.
    pub high: bool,
    /// Where `skip` passed a member whose value engines fetch from the address that it names.
    pub fetched: Option<usize>,
}

/// Parts of a message by which a client makes an engine connect to an address of its choice.
const FETCHED: [&[u8]; 3] = [b"image_url", b"video_url", b"audio_url"];

impl<'a> Cursor<'a> {
    pub fn new(b: &'a [u8]) -> Self {
        Cursor { b, at: 0, high: false, fetched: None }
    }

    pub fn fault<T>(&self, why: &'static str) -> Parsed<T> {
        Err(Fault {
            at: self.at,
            why: if self.at < self.b.len() || self.b.is_empty() { why } else { "the JSON ends too early" },
        })
    }

    pub fn peek(&self) -> Option<u8> {
        self.b.get(self.at).copied()
    }

    pub fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Parsed<()> {
        if self.peek() != Some(byte) {
            return self.fault(why);
        }
        self.at += 1;
        Ok(())
    }

    /// Calls `on` for each member of the object here, with the cursor at its value; `on` must consume the value.
    /// True: the object has no members.
    pub fn members(&mut self, mut on: impl FnMut(&mut Self, Cow<'a, [u8]>) -> Parsed<()>) -> Parsed<bool> {
        self.expect(b'{', "expected an object")?;
        let n = self.each(b'}', "expected ',' or '}'", |c| {
            let key = c.text("expected a member name in double quotes")?;
            c.space();
            c.expect(b':', "expected ':' after a member name")?;
            c.space();
            on(c, key)
        })?;
        Ok(n == 0)
    }

    /// Passes over an array, and counts its items; any other value counts as one.
    pub fn count(&mut self) -> Parsed<u64> {
        if self.peek() != Some(b'[') {
            return self.skip().map(|()| 1);
        }
        self.at += 1;
        self.each(b']', "expected ',' or ']'", Self::skip)
    }

    /// Calls `on` for each item of the array or object whose bracket the cursor has just passed, up to `close`; `on` must
    /// consume the item. How many there were.
    fn each(&mut self, close: u8, otherwise: &'static str, mut on: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<u64> {
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(0);
        }
        let mut n = 0;
        loop {
            on(self)?;
            n += 1;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(n);
                }
                _ => return self.fault(otherwise),
            }
            self.space();
        }
    }

    /// Passes over one value.
    pub fn skip(&mut self) -> Parsed<()> {
        let mut objects = 0u128; // bit i: the container at depth i is an object
        let mut depth = 0;
        loop {
            let mut ended = true;
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(open @ (b'{' | b'[')) => {
                    let close = if open == b'{' { b'}' } else { b']' };
                    self.at += 1;
                    self.space();
                    if self.peek() == Some(close) {
                        self.at += 1;
                    } else {
                        if depth == MAX_DEPTH {
                            return self.fault("nested deeper than 128 levels");
                        }
                        objects = objects & !(1 << depth) | u128::from(open == b'{') << depth;
                        depth += 1;
                        if open == b'{' {
                            self.name()?;
                        }
                        ended = false;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                _ => return self.fault("expected a value"),
            }
            while ended {
                if depth == 0 {
                    return Ok(());
                }
                let object = objects >> (depth - 1) & 1 == 1;
                self.space();
                match (self.peek(), object) {
                    (Some(b','), _) => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.name()?;
                        }
                        ended = false;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        depth -= 1;
                    }
                    (_, true) => return self.fault("expected ',' or '}'"),
                    (_, false) => return self.fault("expected ',' or ']'"),
                }
            }
        }
    }

    fn name(&mut self) -> Parsed<()> {
        if self.peek() != Some(b'"') {
            return self.fault("expected a member name in double quotes");
        }
        let start = self.at + 1;
        self.string()?;
        // Escaped or not: "image\u005furl" is the same name.
        if FETCHED.contains(&&*unescape(&self.b[start..self.at - 1])) {
            self.fetched.get_or_insert(start);
        }
        self.space();
        self.expect(b':', "expected ':' after a member name")?;
        self.space();
        Ok(())
    }

    pub fn word(&mut self, word: &'static [u8]) -> Parsed<()> {
        if !self.b[self.at..].starts_with(word) {
            return self.fault("expected a value");
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Parsed<()> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.fault("expected a digit");
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Parsed<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return self.fault("a number must not begin with 0");
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Passes over a string; the cursor is at its opening quote.
    fn string(&mut self) -> Parsed<()> {
        self.at += 1;
        loop {
            let (n, high) = plain(self.b.get(self.at..).unwrap_or_default());
            self.at += n;
            self.high |= high;
            let Some(byte) = self.peek() else {
                return self.fault("");
            };
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    match self.b.get(self.at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
                        Some(b'u') => {
                            let hex = self.b.get(self.at + 2..self.at + 6);
                            if !hex.is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit)) {
                                return self.fault("'\\u' needs four hexadecimal digits");
                            }
                            self.at += 6;
                        }
                        _ => return self.fault("unknown escape in a string"),
                    };
                }
                0..=0x1f => return self.fault("a control character in a string must be escaped"),
                _ => {
                    self.high |= byte >= 0x80;
                    self.at += 1;
                }
            }
        }
    }

    /// A string's value.
    pub fn text(&mut self, otherwise: &'static str) -> Parsed<Cow<'a, [u8]>> {
        if self.peek() != Some(b'"') {
            return self.fault(otherwise);
        }
        let start = self.at + 1;
        self.string()?;
        Ok(unescape(&self.b[start..self.at - 1]))
    }

    pub fn optional_text(&mut self, otherwise: &'static str) -> Parsed<Option<Cow<'a, [u8]>>> {
        if self.peek() == Some(b'n') {
            return self.word(b"null").map(|()| None);
        }
        self.text(otherwise).map(Some)
    }

    pub fn boolean(&mut self, otherwise: &'static str) -> Parsed<bool> {
        match self.peek() {
            Some(b't') => self.word(b"true").map(|()| true),
            Some(b'f') => self.word(b"false").map(|()| false),
            Some(b'n') => self.word(b"null").map(|()| false),
            _ => self.fault(otherwise),
        }
    }

    pub fn whole(&mut self, otherwise: &'static str) -> Parsed<u64> {
        let start = self.at;
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.fault(otherwise);
        }
        self.number()?;
        let digits = &self.b[start..self.at];
        if !digits.iter().all(u8::is_ascii_digit) {
            self.at = start;
            return self.fault(otherwise);
        }
        Ok(digits.iter().fold(0u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0'))))
    }
}

/// The value of a checked string. A lone surrogate becomes U+FFFD.
fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let unit = |at: usize| {
        let hex = raw.get(at..at + 4)?;
        u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
    };
    let mut i = 0;
    while let Some(&c) = raw.get(i) {
        if c != b'\\' {
            out.push(c);
            i += 1;
            continue;
        }
        let escape = raw.get(i + 1).copied().unwrap_or(b'\\');
        i += 2;
        match escape {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let mut units = vec![unit(i).unwrap_or(0xfffd)];
                i += 4;
                if (0xd800..0xdc00).contains(&units[0]) && raw.get(i..i + 2) == Some(b"\\u") {
                    if let Some(low @ 0xdc00..=0xdfff) = unit(i + 2) {
                        units.push(low);
                        i += 6;
                    }
                }
                out.extend_from_slice(String::from_utf16_lossy(&units).as_bytes());
            }
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(&*unescape(br#"a\n\u00e9\ud83d\ude00\/"#), "a\n\u{e9}\u{1f600}/".as_bytes());
        assert_eq!(&*unescape(br"\ud83dx"), "\u{fffd}x".as_bytes());
    }

    #[test]
    fn items_are_counted() {
        for (text, n) in
            [("[]", 0), ("[ ]", 0), ("[1]", 1), (r#"["a" , [1,2],{"b":[3]}]"#, 3), ("null", 1), ("\"a\"", 1)]
        {
            let mut c = Cursor::new(text.as_bytes());
            assert_eq!((c.count(), c.at), (Ok(n), text.len()), "{text}");
        }
        for bad in ["[1", "[1,]", "[1 2]", "[,1]"] {
            assert!(Cursor::new(bad.as_bytes()).count().is_err(), "{bad}");
        }
    }
}
