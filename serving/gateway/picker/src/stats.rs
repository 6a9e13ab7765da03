//! Counters, gauges and distributions, summed up here and handed to Envoy's statistics twice a second on its main
//! thread: a request pays for an atomic addition instead of a look-up by labels (which costs about 2 µs each).
//!
//! Labels are models and tenants of the configuration, so there is a bound on them.
use crate::abi::{Kind, Metrics};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

macro_rules! names {
    ($(#[$doc:meta])* $kind:ident { $($(#[$item:meta])* $name:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $kind { $($(#[$item])* $name,)* }
        impl $kind { const NAMES: &'static [&'static str] = &[$($text),*]; }
    };
}

names! {
    /// Counters of a model.
    Count {
        /// Backends chosen by this module.
        Picks = "picks",
        /// Picks that were not the backend with most of the prompt cached.
        Spills = "spills",
        /// Picks after the first for one request.
        Repicks = "repicks",
        PromptBytes = "prompt_bytes",
        /// Prompt bytes believed cached where they were sent.
        CachedBytes = "cached_bytes",
        /// Streams that an engine refused after its status, and that got a status of their own.
        StreamRefusals = "stream_refusals",
        /// Requests that went to another model than they asked for.
        Fallbacks = "fallbacks",
        /// Requests refused because the model is full, by priority.
        Shed = "shed",
        /// Requests that waited for a backend.
        Held = "held",
        /// Held requests that no backend came for.
        HoldTimeouts = "hold_timeouts",
        FirstTokenTimeouts = "first_token_timeouts",
        IdleTimeouts = "idle_timeouts",
        StreamTimeouts = "stream_timeouts",
    }
}

names! {
    /// Gauges of a model.
    Level {
        /// Passed on, and not ended.
        InFlight = "requests_in_flight",
        /// Waiting for a backend: demand that exists at zero replicas.
        Waiting = "requests_held",
    }
}

names! {
    /// Distributions of a model, in milliseconds.
    Time {
        /// From passing on to the first byte of the answer.
        FirstToken = "ttft_ms",
        /// What the picker thought it would be.
        Estimate = "ttft_estimated_ms",
    }
}

names! {
    /// Counters of a tenant's use of a model.
    Use {
        Requests = "requests",
        PromptTokens = "prompt_tokens",
        CachedTokens = "cached_tokens",
        GeneratedTokens = "generated_tokens",
        /// Requests refused by the tenant's own limits.
        Limited = "requests_limited",
    }
}

names! {
    /// Counters of the talk between gateways.
    Peering {
        /// Messages from other gateways that were taken.
        Taken = "peer_messages",
        /// Messages that were not: not authentic, old, or broken.
        Refused = "peer_messages_refused",
        /// Messages to other gateways.
        Sent = "peer_messages_sent",
        /// Picks that were not told, because too many waited to be.
        Dropped = "peer_events_dropped",
    }
}

static PEERING: [AtomicU64; Peering::NAMES.len()] = [const { AtomicU64::new(0) }; Peering::NAMES.len()];

pub fn peering(what: Peering, n: u64) {
    PEERING[what as usize].fetch_add(n, Relaxed);
}

/// Values of a distribution kept between two hand-overs. Of more, an even sample of about as many is: Envoy takes a
/// microsecond for each.
const MOST_VALUES: usize = 512;

/// What is kept of a distribution.
#[derive(Debug, Default)]
struct Sample {
    values: Vec<u64>,
    seen: u64,
}

impl Sample {
    /// Keeps the value, or puts it in place of another with the chance that every value seen has to stay.
    fn add(&mut self, value: u64) {
        self.seen += 1;
        if self.values.len() < MOST_VALUES {
            return self.values.push(value);
        }
        let place = self.seen.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32; // evenly spread
        let place = (place * self.seen) >> 32;
        if let Some(kept) = self.values.get_mut(place as usize) {
            *kept = value;
        }
    }
}

/// Of one model.
#[derive(Debug, Default)]
pub struct ModelStats {
    counts: [AtomicU64; Count::NAMES.len()],
    levels: [AtomicU64; Level::NAMES.len()],
    times: Mutex<[Sample; Time::NAMES.len()]>,
    /// Bytes of prompt a token, times 1000; 0: not observed yet.
    millibytes_per_token: AtomicU64,
}

impl ModelStats {
    pub fn count(&self, what: Count, n: u64) {
        self.counts[what as usize].fetch_add(n, Relaxed);
    }

    pub fn up(&self, what: Level) -> u64 {
        self.levels[what as usize].fetch_add(1, Relaxed)
    }

    pub fn down(&self, what: Level) {
        self.levels[what as usize].fetch_sub(1, Relaxed);
    }

    pub fn time(&self, what: Time, ms: f64) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times[what as usize].add(ms.clamp(0.0, 1e12).round() as u64);
    }

    /// Learns from an engine's count how long this model's tokens are.
    pub fn observe_tokens(&self, bytes: u64, tokens: u64) {
        if tokens == 0 || bytes == 0 {
            return;
        }
        let seen = (bytes * 1000 / tokens).clamp(250, 32_000);
        let old = self.millibytes_per_token.load(Relaxed);
        let new = if old == 0 { seen } else { (old * 15 + seen) / 16 };
        self.millibytes_per_token.store(new, Relaxed);
    }

    /// About how many tokens so many bytes of prompt are.
    pub fn tokens(&self, bytes: u64) -> u64 {
        match self.millibytes_per_token.load(Relaxed) {
            0 => bytes / crate::pool::BYTES_PER_TOKEN,
            n => bytes * 1000 / n,
        }
    }
}

/// Of one tenant's use of one model.
#[derive(Debug, Default)]
pub struct UseStats([AtomicU64; Use::NAMES.len()]);

impl UseStats {
    pub fn count(&self, what: Use, n: u64) {
        self.0[what as usize].fetch_add(n, Relaxed);
    }
}

#[derive(Default)]
struct All {
    models: HashMap<String, Arc<ModelStats>>,
    uses: HashMap<(String, String), Arc<UseStats>>,
}

static ALL: Mutex<Option<All>> = Mutex::new(None);

fn all<T>(body: impl FnOnce(&mut All) -> T) -> T {
    body(ALL.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

pub fn model(name: &str) -> Arc<ModelStats> {
    all(|a| a.models.entry(name.to_string()).or_default().clone())
}

pub fn of_use(tenant: &str, model: &str) -> Arc<UseStats> {
    all(|a| a.uses.entry((tenant.to_string(), model.to_string())).or_default().clone())
}

/// Envoy's numbers of the statistics above, for one filter configuration.
pub struct Ids {
    counts: Vec<Option<usize>>,
    levels: Vec<Option<usize>>,
    times: Vec<Option<usize>>,
    uses: Vec<Option<usize>>,
    peering: Vec<Option<usize>>,
}

impl Ids {
    pub fn define(metrics: &Metrics) -> Ids {
        let define = |kind, names: &[&str], labels: &[&str]| {
            names.iter().map(|name| metrics.define(kind, name, labels)).collect::<Vec<_>>()
        };
        Ids {
            counts: define(Kind::Counter, Count::NAMES, &["model"]),
            levels: define(Kind::Gauge, Level::NAMES, &["model"]),
            times: define(Kind::Histogram, Time::NAMES, &["model"]),
            uses: define(Kind::Counter, Use::NAMES, &["tenant", "model"]),
            peering: define(Kind::Counter, Peering::NAMES, &[]),
        }
    }

    /// Hands over what has come together since the last time. On Envoy's main thread.
    pub fn flush(&self, metrics: &Metrics) {
        for (id, count) in self.peering.iter().zip(&PEERING) {
            hand_over(metrics, *id, &[], count);
        }
        all(|a| {
            for (name, model) in &a.models {
                let labels = [name.as_str()];
                for (id, count) in self.counts.iter().zip(&model.counts) {
                    hand_over(metrics, *id, &labels, count);
                }
                for (id, level) in self.levels.iter().zip(&model.levels) {
                    if let Some(id) = id {
                        metrics.set(*id, &labels, level.load(Relaxed));
                    }
                }
                let times = std::mem::take(&mut *model.times.lock().unwrap_or_else(PoisonError::into_inner));
                for (id, sample) in self.times.iter().zip(times) {
                    for value in sample.values {
                        if let Some(id) = id {
                            metrics.record(*id, &labels, value);
                        }
                    }
                }
            }
            for ((tenant, model), counts) in &a.uses {
                for (id, count) in self.uses.iter().zip(&counts.0) {
                    hand_over(metrics, *id, &[tenant, model], count);
                }
            }
        });
    }
}

fn hand_over(metrics: &Metrics, id: Option<usize>, labels: &[&str], count: &AtomicU64) {
    if let Some(id) = id {
        let n = count.swap(0, Relaxed);
        if n > 0 {
            metrics.add(id, labels, n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_all_of_few_values_and_even_over_many() {
        let mut sample = Sample::default();
        (0..MOST_VALUES as u64).for_each(|v| sample.add(v));
        assert!(sample.values.iter().copied().eq(0..MOST_VALUES as u64));
        (MOST_VALUES as u64..10_000).for_each(|v| sample.add(v));
        let late = sample.values.iter().filter(|v| **v >= 5_000).count();
        assert!(sample.values.len() == MOST_VALUES && late.abs_diff(MOST_VALUES / 2) < MOST_VALUES / 8, "{late}");
    }

    #[test]
    fn bytes_per_token_follow_what_engines_say() {
        let stats = ModelStats::default();
        assert_eq!(stats.tokens(400), 100);
        for _ in 0..100 {
            stats.observe_tokens(1000, 500);
        }
        assert_eq!(stats.tokens(400), 200);
        stats.observe_tokens(0, 5);
        stats.observe_tokens(5, 0);
        assert_eq!(stats.tokens(400), 200);
    }
}
