//! A JSON tree, for the module's configuration only: small, trusted, parsed once an update.
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
}

const MAX_DEPTH: usize = 32;

impl Tree {
    pub fn parse(text: &[u8]) -> Result<Tree, String> {
        let text = std::str::from_utf8(text).map_err(|e| e.to_string())?;
        let mut p = Parser { rest: text };
        let tree = p.value(0)?;
        p.space();
        if p.rest.is_empty() {
            Ok(tree)
        } else {
            p.fail("more text after the value")
        }
    }

    pub fn get(&self, key: &str) -> Option<&Tree> {
        match self {
            Tree::Map(map) => map.get(key).filter(|v| **v != Tree::Null),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        if let Tree::Text(t) = self {
            Some(t)
        } else {
            None
        }
    }

    pub fn number(&self) -> Option<f64> {
        if let Tree::Number(n) = self {
            Some(*n)
        } else {
            None
        }
    }

    /// A whole number that is not negative.
    pub fn whole(&self) -> Option<u64> {
        self.number().filter(|n| *n >= 0.0 && n.fract() == 0.0 && *n < 9e15).map(|n| n as u64)
    }

    pub fn bool(&self) -> Option<bool> {
        if let Tree::Bool(b) = self {
            Some(*b)
        } else {
            None
        }
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Tree] {
        if let Tree::List(items) = self {
            items
        } else {
            &[]
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn fail<T>(&self, why: &str) -> Result<T, String> {
        Err(format!("{why} at {:?}", self.rest.chars().take(20).collect::<String>()))
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\n', '\t', '\r']);
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Result<Tree, String> {
        if depth > MAX_DEPTH {
            return self.fail("nested too deep");
        }
        self.space();
        for (word, value) in [("null", Tree::Null), ("true", Tree::Bool(true)), ("false", Tree::Bool(false))] {
            if self.eat(word) {
                return Ok(value);
            }
        }
        if self.eat("{") {
            let mut map = BTreeMap::new();
            self.space();
            while !self.eat("}") {
                self.space();
                let key = self.text()?;
                self.space();
                if !self.eat(":") {
                    return self.fail("expected ':'");
                }
                map.insert(key, self.value(depth + 1)?);
                self.separator("}")?;
            }
            return Ok(Tree::Map(map));
        }
        if self.eat("[") {
            let mut list = Vec::new();
            self.space();
            while !self.eat("]") {
                list.push(self.value(depth + 1)?);
                self.separator("]")?;
            }
            return Ok(Tree::List(list));
        }
        if self.rest.starts_with('"') {
            return self.text().map(Tree::Text);
        }
        let end = self.rest.find(|c: char| !"+-.eE0123456789".contains(c)).unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        match number.parse() {
            Ok(n) => {
                self.rest = rest;
                Ok(Tree::Number(n))
            }
            Err(_) => self.fail("expected a value"),
        }
    }

    fn separator(&mut self, close: &str) -> Result<(), String> {
        self.space();
        if self.eat(",") || self.rest.starts_with(close) {
            return Ok(());
        }
        self.fail("expected ','")
    }

    fn text(&mut self) -> Result<String, String> {
        if !self.eat("\"") {
            return self.fail("expected a string");
        }
        let mut out = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[i + 1..];
                    return Ok(out);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('u') => {
                        let hex: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                        let code = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32);
                        out.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
                    }
                    Some(c @ ('"' | '\\' | '/')) => out.push(c),
                    _ => return self.fail("unknown escape"),
                },
                c => out.push(c),
            }
        }
        self.fail("a string without an end")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_envoy_prints() {
        let t = Tree::parse(br#" {"a":[1,2.5e2,-3],"b":{"c":"x\"\u00e9\n"},"d":true,"e":null} "#).unwrap();
        assert_eq!(t.get("a").map(|a| a.items().len()), Some(3));
        assert_eq!(t.get("a").and_then(|a| a.items()[1].whole()), Some(250));
        assert_eq!(t.get("a").and_then(|a| a.items()[2].whole()), None);
        assert_eq!(t.get("b").and_then(|b| b.get("c")).and_then(Tree::text), Some("x\"\u{e9}\n"));
        assert_eq!((t.get("d").and_then(Tree::bool), t.get("e")), (Some(true), None));
    }

    #[test]
    fn refuses_what_is_not_json() {
        for bad in ["", "{", "[1", "[1 2]", "{\"a\"}", "\"x", "tru", "1 2", "{\"a\":\"\\x\"}", "-"] {
            assert!(Tree::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Tree::parse("[".repeat(100).as_bytes()).is_err());
        assert!(Tree::parse(b"\"\xff\"").is_err());
    }
}
