//! One request's life in the filter: what is known of it, and what its hooks want done.
use crate::abi::{Http, Pair};
use crate::answer::Refusal;
use crate::balancer::{self, Placed};
use crate::config::{Gateway, Model, Tenant};
use crate::stats::Level;
use crate::usage::Tail;
use crate::watch::Watch;
use std::sync::Arc;
use std::time::Instant;

/// The request header by which routes tell models apart. What a client sends under this name is dropped.
pub const MODEL: &str = "x-berth-model";

/// The tenant, for consistent hashing and for the engines' logs.
pub const TENANT: &str = "x-berth-tenant";

/// What a hook wants done. It is done by hooks.rs when the stream is no longer borrowed: each of the last ones makes
/// Envoy call back into the same stream, or end it.
#[derive(Debug)]
pub enum Act {
    Continue,
    Stop,
    Drop,
    Answer(Refusal),
    /// 200 with a JSON body; the second is for the log.
    Reply(String, &'static str),
    GoOn,
    Reset(&'static str),
    /// Begin anew with this claim, or else do that.
    Again(String, Box<Act>),
}

/// How the model is named.
#[derive(Clone, Copy)]
pub enum Naming {
    Body,
    Path(usize),
    /// This stream continues one that began for another model.
    Hop {
        asked: usize,
        tried: usize,
    },
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Stage {
    /// The request is coming in.
    Reading,
    /// Complete, and waiting for a backend to come up.
    Held,
    /// Passed on; no byte of an answer's body yet.
    Sent,
    /// The answer is on its way to the client.
    Answering,
    /// Answered by the gateway itself, or handed over to another stream.
    Over,
}

pub struct Stream {
    pub gateway: Option<Arc<Gateway>>,
    pub tenant: Option<usize>,
    /// The model that serves, and the one that was asked for.
    pub model: Option<usize>,
    pub asked: Option<usize>,
    pub naming: Naming,
    pub method: Vec<u8>,
    /// As the engine sees it, without query.
    pub path: Vec<u8>,
    /// As the client sent it, with query.
    pub sent_path: Vec<u8>,
    /// When its headers had come.
    pub began: Option<Instant>,
    pub has_length: bool,
    pub received: u64,
    pub stage: Stage,
    pub order: Option<Placed>,
    pub watch: Option<Arc<Watch>>,
    pub held_since: u64,
    /// Candidates tried so far, this model included.
    pub tried: usize,
    /// Tokens taken from the tenant's allowance.
    pub reserved: u64,
    pub prompt_bytes: u64,
    pub sent: Option<Instant>,
    /// Milliseconds from the request's headers to the answer's first byte.
    pub ttft_ms: Option<f64>,
    pub status: u32,
    pub sse: bool,
    /// The gateway asked for the usage event, so the client does not get it.
    pub strip_usage: bool,
    pub tail: Tail,
    pub in_flight: bool,
    /// When a stream has lasted long enough, on the coarse clock.
    pub end_ms: u64,
    /// Only the old revision of a model that has two.
    pub stable: bool,
}

impl Stream {
    pub fn new() -> Self {
        Stream {
            gateway: None,
            tenant: None,
            model: None,
            asked: None,
            naming: Naming::Body,
            method: Vec::new(),
            path: Vec::new(),
            sent_path: Vec::new(),
            began: None,
            has_length: false,
            received: 0,
            stage: Stage::Reading,
            order: None,
            watch: None,
            held_since: 0,
            tried: 0,
            reserved: 0,
            prompt_bytes: 0,
            sent: None,
            ttft_ms: None,
            status: 0,
            sse: false,
            strip_usage: false,
            tail: Tail::default(),
            in_flight: false,
            end_ms: u64::MAX,
            stable: false,
        }
    }

    /// Ends the request with an answer of the gateway's own.
    pub fn refuse(&mut self, refusal: Refusal) -> Act {
        self.stage = Stage::Over;
        Act::Answer(refusal)
    }

    /// The model that serves.
    pub fn serving(&self) -> Option<&Model> {
        self.gateway.as_ref()?.models.get(self.model?)
    }

    /// The tenant whose key it is.
    pub fn caller(&self) -> Option<&Tenant> {
        self.gateway.as_ref()?.tenants.get(self.tenant?)
    }

    /// Before another stream goes on with this request: what is not to be given back when this one ends.
    pub fn part(&mut self) -> (u64, Stage) {
        (std::mem::take(&mut self.reserved), std::mem::replace(&mut self.stage, Stage::Over))
    }

    /// No other stream could.
    pub fn join(&mut self, (reserved, stage): (u64, Stage)) {
        (self.reserved, self.stage) = (reserved, stage);
    }

    /// Gives everything back; also when Envoy drops the stream without completing it. Does nothing the second time.
    pub fn close(&mut self) {
        self.leave_hold();
        if let Some(watch) = self.watch.take() {
            watch.close();
        }
        if let Some(order) = self.order.take() {
            order.borrow_mut().finished();
            balancer::withdraw(&order);
        }
        if std::mem::take(&mut self.in_flight) {
            if let Some(model) = self.serving() {
                model.stats.down(Level::InFlight);
            }
        }
        let reserved = std::mem::take(&mut self.reserved);
        if let Some(tenant) = self.caller().filter(|_| reserved > 0) {
            tenant.account.settle(reserved, 0);
        }
    }
}

/// Answers in place of the backend.
pub fn answer(http: &mut Http, refusal: &Refusal) {
    let mut headers = vec![Pair::of("content-type", b"application/json")];
    let seconds = refusal.retry_after.map(|s| s.to_string());
    if let Some(seconds) = &seconds {
        headers.push(Pair::of("retry-after", seconds.as_bytes()));
    }
    if refusal.status == 401 {
        headers.push(Pair::of("www-authenticate", b"Bearer"));
    }
    http.answer(refusal.status, &headers, refusal.body().as_bytes(), refusal.code);
}
