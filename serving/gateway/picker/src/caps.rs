//! What one request may ask for beyond a plain answer. Each of these costs an engine time or memory out of proportion to
//! the request's length.
use crate::answer::Refusal;

/// What a body asks for; 0: nothing.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Asked {
    /// Answers: "n" or "best_of", whichever is larger.
    pub choices: u64,
    /// Stop sequences.
    pub stops: u64,
    /// Alternatives told for every token: "top_n_tokens", "top_logprobs", or "logprobs" as a number.
    pub top_tokens: u64,
    /// Schemas and grammars that the answer must follow, together.
    pub grammar_bytes: u64,
}

/// The most of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Caps(pub Asked);

impl Default for Caps {
    fn default() -> Self {
        Caps(Asked { choices: u64::MAX, stops: u64::MAX, top_tokens: u64::MAX, grammar_bytes: u64::MAX })
    }
}

impl Caps {
    pub fn check(&self, asked: &Asked) -> Result<(), Refusal> {
        let most = &self.0;
        for (asked, most, code, what) in [
            (asked.choices, most.choices, "too_many_choices", "answers (n, best_of)"),
            (asked.stops, most.stops, "too_many_stops", "stop sequences"),
            (
                asked.top_tokens,
                most.top_tokens,
                "too_many_top_tokens",
                "alternatives a token (top_logprobs, top_n_tokens)",
            ),
            (asked.grammar_bytes, most.grammar_bytes, "grammar_too_large", "bytes of schemas and grammars"),
        ] {
            if asked > most {
                let message = format!("one request may ask for at most {most} {what}; this one asks for {asked}");
                return Err(Refusal::new(400, code, message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thing_over_its_cap_is_named() {
        let caps = Caps(Asked { choices: 8, stops: 4, top_tokens: 5, grammar_bytes: 100 });
        let asked = Asked { choices: 8, stops: 4, top_tokens: 5, grammar_bytes: 100 };
        assert!(caps.check(&asked).is_ok() && caps.check(&Asked::default()).is_ok());
        for (asked, code) in [
            (Asked { choices: 9, ..asked }, "too_many_choices"),
            (Asked { stops: 5, ..asked }, "too_many_stops"),
            (Asked { top_tokens: u64::MAX, ..asked }, "too_many_top_tokens"),
            (Asked { grammar_bytes: 101, ..asked }, "grammar_too_large"),
        ] {
            let refusal = caps.check(&asked).unwrap_err();
            assert_eq!((refusal.status, refusal.code), (400, code));
            assert!(Caps::default().check(&asked).is_ok());
        }
    }
}
