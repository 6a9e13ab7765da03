//! One answer on its way out: its status is true, its first byte gives work back, its end is metered.
use crate::abi::{Http, BUFFERED_RESPONSE, RECEIVED_RESPONSE, RESPONSE};
use crate::event::{first, First};
use crate::stats::{Count, Time, Use};
use crate::stream::{Act, Stage, Stream};
use crate::usage::{find, Usage};
use crate::watch::{coarse_now, Watch};
use std::cell::RefCell;

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
            self.watch_stream(http);
            return Act::Stop; // until the first event has been seen
        }
        Act::Continue
    }

    /// Streams have limits of their own: what is left for the first token, then silence, then the whole.
    fn watch_stream(&mut self, http: &Http) {
        let Some(model) = self.serving() else { return };
        let (first, whole) = (model.care.first_token_ms, model.care.stream_ms);
        let gone = self.sent.map_or(0, |sent| sent.elapsed().as_millis() as u64);
        self.end_ms = if whole == 0 { u64::MAX } else { coarse_now() + whole.saturating_sub(gone) };
        let watch = self.watch.get_or_insert_with(|| Watch::new(http.scheduler()));
        match first {
            0 => watch.rest(),
            first => watch.wake_in(first.saturating_sub(gone)),
        }
    }

    /// A stream in progress has been silent, or has lasted, too long.
    pub fn answer_late(&mut self) -> Act {
        let whole = coarse_now() >= self.end_ms;
        if let Some(model) = self.serving() {
            model.stats.count(if whole { Count::StreamTimeouts } else { Count::IdleTimeouts }, 1);
        }
        Act::Reset(if whole { "stream_timeout" } else { "idle_timeout" })
    }

    /// Envoy answers in place of the engine, for `details`.
    pub fn local_reply(&mut self, details: &[u8]) {
        if self.stage == Stage::Sent && details == b"stream_idle_timeout" {
            if let Some(model) = self.serving() {
                model.stats.count(Count::FirstTokenTimeouts, 1);
            }
        }
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
            let left = self.end_ms.saturating_sub(coarse_now());
            match (model.care.idle_ms, left) {
                (0, u64::MAX..) => watch.rest(),
                (0, left) => watch.wake_in(left),
                (idle, left) => watch.wake_in(idle.min(left)),
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
        self.ttft_ms = self.began.map(|began| began.elapsed().as_secs_f64() * 1000.0);
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
        let mut used = None;
        if self.stage == Stage::Answering && (200..300).contains(&self.status) {
            let usage = self.usage();
            used = Some((usage, self.order.as_ref().map_or(0, |o| o.borrow().cached)));
            self.book(usage);
        }
        self.write_line(http, used);
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
