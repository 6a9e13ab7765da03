//! One answer on its way out: its status is true, its first byte gives work back, its end is metered.
use crate::abi::{Http, Pair, BUFFERED_RESPONSE, RECEIVED_RESPONSE, RESPONSE};
use crate::event::{first, First};
use crate::filter::{Act, Stage, Stream};
use crate::stats::{Count, Time, Use};
use crate::usage::{find, Usage};
use std::cell::RefCell;

/// Namespace of the metadata for the access log.
const NAMESPACE: &str = "berth";

thread_local! {
    static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Stream {
    pub fn response_headers(&mut self, http: &mut Http, end: bool) -> Act {
        if self.stage != Stage::Sent {
            return Act::Continue;
        }
        let status = http.header(RESPONSE, ":status").and_then(|s| std::str::from_utf8(s).ok()?.parse().ok());
        self.status = status.unwrap_or(0);
        if matches!(self.status, 429 | 500 | 502..=504) {
            if matches!(self.status, 429 | 503) && http.header(RESPONSE, "retry-after").is_none() {
                http.set_header(RESPONSE, "retry-after", b"1");
            }
            return self.again(http, Act::Continue);
        }
        let kind = http.header(RESPONSE, "content-type").unwrap_or_default();
        self.sse = kind.starts_with(b"text/event-stream");
        if self.sse && self.status == 200 && !end {
            return Act::Stop; // until the first event has been seen
        }
        Act::Continue
    }

    pub fn response_body(&mut self, http: &mut Http, end: bool) -> Act {
        if !matches!(self.stage, Stage::Sent | Stage::Answering) {
            return Act::Continue;
        }
        let mut piece = PIECE.take();
        piece.clear();
        let waiting = self.stage == Stage::Sent && self.sse && self.status == 200;
        if waiting && !http.response_is_buffered() {
            http.read_body(BUFFERED_RESPONSE, &mut piece);
        }
        http.read_body(RECEIVED_RESPONSE, &mut piece);
        let act = self.piece(http, &piece, waiting, end);
        piece.shrink_to(1 << 16);
        PIECE.replace(piece);
        act
    }

    fn piece(&mut self, http: &mut Http, piece: &[u8], waiting: bool, end: bool) -> Act {
        if waiting {
            match first(piece, end) {
                First::Unfinished => return Act::Stop,
                First::Error(refusal) => {
                    if let Some(model) = self.serving() {
                        model.stats.count(Count::StreamRefusals, 1);
                    }
                    self.status = refusal.status;
                    let act = self.again(http, Act::Answer(refusal));
                    if let Act::Answer(_) = act {
                        self.stage = Stage::Over;
                    }
                    return act;
                }
                First::Data => {}
            }
        }
        if self.stage == Stage::Sent && (end || !piece.is_empty()) {
            self.first_byte();
        }
        self.tail.push(piece);
        self.tail.pieces += 1;
        if let (Some(watch), Some(model)) = (&self.watch, self.serving()) {
            match model.care.idle_ms {
                0 => watch.rest(),
                idle => watch.wake_in(idle),
            }
        }
        if self.strip_usage {
            if let Some(kept) = without_usage(piece) {
                if waiting && !http.response_is_buffered() {
                    http.replace_body(BUFFERED_RESPONSE, &[]);
                }
                http.replace_body(RECEIVED_RESPONSE, &kept);
            }
        }
        Act::Continue
    }

    fn first_byte(&mut self) {
        self.stage = Stage::Answering;
        let seconds = self.sent.map_or(0.0, |sent| sent.elapsed().as_secs_f64());
        self.ttft_ms = self.sent.map(|_| seconds * 1000.0);
        let mut estimate = None;
        if let Some(order) = &self.order {
            let mut order = order.borrow_mut();
            estimate = order.estimate;
            order.prefilled(seconds);
        }
        if let Some(model) = self.serving() {
            model.stats.time(Time::FirstToken, seconds * 1000.0);
            if let Some(estimate) = estimate {
                model.stats.time(Time::Estimate, estimate * 1000.0);
            }
        }
    }

    /// The stream has ended, by whatever way; the access log is written next.
    pub fn complete(&mut self, http: &mut Http) {
        let tenant = self.caller().map_or("", |t| &t.name);
        let model = self.serving().map_or("", |m| &m.name);
        http.set_strings(NAMESPACE, &[Pair::of("tenant", tenant.as_bytes()), Pair::of("model", model.as_bytes())]);
        if self.stage == Stage::Answering && (200..300).contains(&self.status) {
            let usage = self.usage();
            let cached = usage.cached as f64;
            let numbers = [
                ("prompt_tokens", usage.prompt as f64),
                ("cached_tokens", cached),
                ("generated_tokens", usage.generated as f64),
                ("cached_bytes", self.order.as_ref().map_or(0.0, |o| o.borrow().cached as f64)),
            ];
            http.set_numbers(NAMESPACE, &numbers);
            self.book(usage);
        }
        self.close();
    }

    /// What the request used: as the engine says, or by bytes and pieces.
    fn usage(&self) -> Usage {
        let prompt = self.serving().map_or(0, |m| m.stats.tokens(self.prompt_bytes));
        match self.tail.usage() {
            Some(told) => Usage { prompt: if told.prompt == 0 { prompt } else { told.prompt }, ..told },
            None => Usage { prompt, generated: if self.sse { self.tail.pieces } else { 0 }, ..Usage::default() },
        }
    }

    fn book(&mut self, usage: Usage) {
        if let (Some(tenant), Some(number)) = (self.caller(), self.model) {
            if let Some(uses) = tenant.uses.get(number) {
                uses.count(Use::PromptTokens, usage.prompt);
                uses.count(Use::CachedTokens, usage.cached);
                uses.count(Use::GeneratedTokens, usage.generated);
            }
            if self.reserved > 0 {
                tenant.account.settle(self.reserved, usage.prompt + usage.generated);
            }
        }
        if let Some(model) = self.serving().filter(|_| usage.told) {
            model.stats.observe_tokens(self.prompt_bytes, usage.prompt);
        }
        self.reserved = 0;
    }
}

/// The piece without the event that only tells the usage, if it is there whole. (Cut in two by the network, it reaches
/// the client: an event with no choices, which OpenAI's clients know.)
fn without_usage(piece: &[u8]) -> Option<Vec<u8>> {
    let at = find(piece, b"\"choices\":[]").or_else(|| find(piece, b"\"choices\": []"))?;
    let start = piece[..at].windows(5).rposition(|w| w == b"data:")?;
    let length = find(&piece[start..], b"\n\n").map(|n| n + 2)?;
    find(&piece[start..start + length], b"\"usage\"")?;
    Some([&piece[..start], &piece[start + length..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_usage_event_is_taken_out() {
        let event = "data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 1}}\n\n";
        let token = "data: {\"choices\":[{\"text\":\"a\"}],\"usage\":null}\n\n";
        let all = format!("{token}{event}data: [DONE]\n\n");
        assert_eq!(without_usage(all.as_bytes()), Some(format!("{token}data: [DONE]\n\n").into_bytes()));
        assert_eq!(without_usage(token.as_bytes()), None);
        assert_eq!(without_usage(b"data: {\"choices\":[]}\n\n"), None);
        assert_eq!(without_usage(&event.as_bytes()[..40]), None);
    }
}
