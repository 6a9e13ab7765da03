//! One request on its way in: whose it is, which model it is for, whether it may pass, and in which form.
use crate::abi::{Http, Pair, BUFFERED_REQUEST, RECEIVED_REQUEST, REQUEST};
use crate::answer::{quoted, shown, Refusal};
use crate::balancer::{self, Order, TICKET};
use crate::chain::{chain, seed};
use crate::config::{entry, Gateway, Model, Tenant};
use crate::edit::{edits, Edits, Wishes};
use crate::hop::{self, Hop};
use crate::json::{self, Request};
use crate::limits::Denied;
use crate::path::{self, Target};
use crate::stats::{Count, Level, Use};
use crate::usage::Tail;
use crate::watch::{coarse_now, Watch};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// The request header by which routes tell models apart. What a client sends under this name is dropped.
pub const MODEL: &str = "x-berth-model";
/// The tenant, for consistent hashing and for the engines' logs.
pub const TENANT: &str = "x-berth-tenant";

/// "stable" asks for the old revision of a model that has two.
const REVISION: &str = "x-berth-revision";

/// Every request header of this kind is the gateway's own; a client's are dropped.
const OWN: &[u8] = b"x-berth-";

/// Room over the largest body before Envoy's own 413 would come in place of ours.
const SLACK: u64 = 1 << 16;

/// A body that is too large is read to its end before the 413, up to this many times the limit: most clients only look
/// for an answer when they have sent everything, and would report a broken connection instead.
const PATIENCE: u64 = 4;

/// How often a held request looks for a backend, in milliseconds.
const LOOK: u64 = 50;

/// What the request's headers say, from one pass over them: each look-up by name costs a call and an allocation.
#[derive(Default)]
struct Seen {
    method: Vec<u8>,
    path: Vec<u8>,
    authorization: Vec<u8>,
    encoded: bool,
    length: Option<u64>,
    hop: Option<Vec<u8>>,
    /// Headers of the gateway's own that the client has sent.
    forged: Vec<String>,
}

impl Seen {
    fn note(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b":method" => self.method = value.to_vec(),
            b":path" => self.path = value.to_vec(),
            b"authorization" => self.authorization = value.to_vec(),
            b"content-encoding" => self.encoded |= !value.eq_ignore_ascii_case(b"identity"),
            b"content-length" => self.length = std::str::from_utf8(value).ok().and_then(|l| l.parse().ok()),
            _ if name.starts_with(OWN) => {
                if name == hop::HEADER.as_bytes() {
                    self.hop = Some(value.to_vec());
                }
                self.forged.push(String::from_utf8_lossy(name).into_owned());
            }
            _ => {}
        }
    }
}

thread_local! {
    static HEADERS: RefCell<Vec<Pair>> = const { RefCell::new(Vec::new()) };
    /// The body in one piece; its memory is used again from request to request.
    static BODY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

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
enum Naming {
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
    asked: Option<usize>,
    naming: Naming,
    method: Vec<u8>,
    /// As the engine sees it, without query.
    path: Vec<u8>,
    has_length: bool,
    received: u64,
    pub stage: Stage,
    pub order: Option<Rc<RefCell<Order>>>,
    ticket: u64,
    pub watch: Option<Arc<Watch>>,
    held_since: u64,
    /// Candidates tried so far, this model included.
    tried: usize,
    /// Tokens taken from the tenant's allowance.
    pub reserved: u64,
    pub prompt_bytes: u64,
    pub sent: Option<Instant>,
    /// Milliseconds to the first byte.
    pub ttft_ms: Option<f64>,
    pub status: u32,
    pub sse: bool,
    /// The gateway asked for the usage event, so the client does not get it.
    pub strip_usage: bool,
    pub tail: Tail,
    in_flight: bool,
    /// When a stream has lasted long enough, on the coarse clock.
    pub end_ms: u64,
    /// Only the old revision of a model that has two.
    stable: bool,
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
            has_length: false,
            received: 0,
            stage: Stage::Reading,
            order: None,
            ticket: 0,
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

    fn refuse(&mut self, refusal: Refusal) -> Act {
        self.stage = Stage::Over;
        Act::Answer(refusal)
    }

    pub fn serving(&self) -> Option<&Model> {
        self.gateway.as_ref()?.models.get(self.model?)
    }

    pub fn caller(&self) -> Option<&Tenant> {
        self.gateway.as_ref()?.tenants.get(self.tenant?)
    }

    /// `gateway`: the configuration of the stream's route.
    pub fn request_headers(&mut self, http: &mut Http, gateway: Option<Arc<Gateway>>, end: bool) -> Act {
        let mut headers = HEADERS.take();
        let mut seen = Seen::default();
        for (name, value) in http.headers(REQUEST, &mut headers) {
            seen.note(name, value);
        }
        HEADERS.replace(headers);
        let hop = seen.hop.as_deref().and_then(hop::take);
        for name in seen.forged.drain(..) {
            http.remove_header(REQUEST, &name);
        }
        self.gateway = gateway;
        if let Some(hop) = hop {
            self.continue_hop(http, hop);
            return Act::Stop;
        }
        self.enter(http, seen, end).unwrap_or_else(|refusal| self.refuse(refusal))
    }

    fn continue_hop(&mut self, http: &mut Http, hop: Hop) {
        let limit = hop.gateway.max_body + SLACK;
        self.has_length = http.header(REQUEST, "content-length").is_some();
        self.naming = Naming::Hop { asked: hop.asked, tried: hop.tried };
        (self.tenant, self.method, self.path) = (Some(hop.tenant), hop.method, hop.path);
        (self.reserved, self.strip_usage, self.stable) = (hop.reserved, hop.strip_usage, hop.stable);
        self.gateway = Some(hop.gateway);
        http.set_buffer_limit(limit);
        let tenant = self.caller().map(|t| t.name.clone()).unwrap_or_default();
        http.set_header(REQUEST, TENANT, tenant.as_bytes());
    }

    fn enter(&mut self, http: &mut Http, seen: Seen, end: bool) -> Result<Act, Refusal> {
        let Some(gateway) = self.gateway.clone() else {
            return Err(Refusal::new(503, "not_configured", "the gateway has no configuration for this route"));
        };
        let tenant = authenticate(&seen.authorization, &gateway)?;
        self.tenant = Some(tenant);
        http.remove_header(REQUEST, "authorization");
        http.set_header(REQUEST, TENANT, gateway.tenants.get(tenant).map_or("", |t| &t.name).as_bytes());

        (self.method, self.has_length) = (seen.method, seen.length.is_some());
        let whole = seen.path;
        let (asked, query) = path::split(&whole);
        match path::target(&self.method, asked) {
            Target::Models => {
                self.stage = Stage::Over;
                return Ok(Act::Reply(gateway.listing.clone(), "models"));
            }
            Target::Model(name) => {
                let known = gateway.model(name).and_then(|m| gateway.models.get(m));
                self.stage = Stage::Over;
                return known.map(|m| Act::Reply(entry(&m.name), "model")).ok_or_else(|| unknown(name, &gateway));
            }
            Target::OpenAi(path) => {
                if !gateway.models.iter().any(|m| Model::serves(&m.openai, &self.method, path)) {
                    return Err(no_route(&self.method, path));
                }
                self.path = path.to_vec();
            }
            Target::Native(name, path) => {
                let number = gateway.model(name).ok_or_else(|| unknown(name, &gateway))?;
                if !gateway.models.get(number).is_some_and(|m| Model::serves(&m.native, &self.method, path)) {
                    return Err(no_route(&self.method, asked));
                }
                self.naming = Naming::Path(number);
                http.set_header(REQUEST, "x-envoy-original-path", &whole); // for the access log
                http.set_header(REQUEST, ":path", &[path, query].concat());
                self.path = path.to_vec();
            }
            Target::Nothing => return Err(no_route(&self.method, asked)),
        }
        if let (Naming::Path(model), b"GET") = (self.naming, &*self.method) {
            self.model = Some(model);
            http.set_header(REQUEST, MODEL, gateway.models.get(model).map_or("", |m| &m.name).as_bytes());
            http.choose_route_again();
            self.stage = Stage::Sent;
            return Ok(Act::Continue);
        }
        if seen.encoded {
            let message = "the body must not be compressed; send it without content-encoding";
            return Err(Refusal::new(415, "encoded_body", message));
        }
        if seen.length.is_some_and(|l| l > gateway.max_body.saturating_mul(PATIENCE)) {
            return Err(too_large(&gateway));
        }
        if end {
            return Err(Refusal::new(400, "invalid_json", "the body is empty"));
        }
        http.set_buffer_limit(gateway.max_body + SLACK);
        Ok(Act::Stop)
    }

    pub fn request_body(&mut self, http: &mut Http, end: bool) -> Act {
        let (Stage::Reading, Some(gateway)) = (self.stage, self.gateway.clone()) else { return Act::Continue };
        self.received += http.body_size(RECEIVED_REQUEST) as u64;
        if self.received > gateway.max_body + self.extra() {
            if end || self.received > gateway.max_body.saturating_mul(PATIENCE) {
                return self.refuse(too_large(&gateway));
            }
            http.replace_body(BUFFERED_REQUEST, &[]);
            return Act::Drop;
        }
        if !end {
            return Act::Stop;
        }
        self.whole_body(http, &gateway, false)
    }

    /// What the gateway itself may have added to a body before it began anew.
    fn extra(&self) -> u64 {
        if let Naming::Hop { .. } = self.naming {
            SLACK / 2
        } else {
            0
        }
    }

    /// A body may end by trailers too.
    pub fn request_trailers(&mut self, http: &mut Http) -> Act {
        let (Stage::Reading, Some(gateway)) = (self.stage, self.gateway.clone()) else { return Act::Continue };
        if self.received > gateway.max_body + self.extra() {
            return self.refuse(too_large(&gateway));
        }
        self.whole_body(http, &gateway, true)
    }

    fn whole_body(&mut self, http: &mut Http, gateway: &Gateway, trailers: bool) -> Act {
        let mut body = BODY.take();
        body.clear();
        if trailers || !http.request_is_buffered() {
            http.read_body(BUFFERED_REQUEST, &mut body);
        }
        if !trailers {
            http.read_body(RECEIVED_REQUEST, &mut body);
        }
        let result = self.decide(http, gateway, &body, trailers);
        body.shrink_to(1 << 20);
        BODY.replace(body);
        result.unwrap_or_else(|refusal| self.refuse(refusal))
    }

    fn decide(&mut self, http: &mut Http, gateway: &Gateway, body: &[u8], trailers: bool) -> Result<Act, Refusal> {
        let request = json::read(body).map_err(|fault| {
            let message = format!("the body is not a valid request: {} (byte {})", fault.why, fault.at);
            Refusal::new(400, "invalid_json", message)
        })?;
        let (asked, tried) = match self.naming {
            Naming::Hop { asked, tried } => (asked, tried),
            Naming::Path(number) => (number, 0),
            Naming::Body => (self.named(gateway, &request)?, 0),
        };
        let gone = || Refusal::new(503, "not_configured", "the model is gone");
        let model = gateway.models.get(asked).ok_or_else(gone)?;
        self.asked = Some(asked);
        self.model = Some(asked);
        self.prompt_bytes = request.prompt.len() as u64;
        if !matches!(self.naming, Naming::Hop { .. }) {
            self.reserve(model, &request)?;
        }
        let (number, up) = self.choose_model(http, gateway, asked, tried)?;
        let target = gateway.models.get(number).ok_or_else(gone)?;
        self.model = Some(number);
        self.rewrite(http, target, &request, body, trailers, number != asked);
        if target.picks {
            self.order(http, target, &request, body);
        }
        if up {
            self.send(http);
            return Ok(Act::Continue);
        }
        self.hold(http)?;
        Ok(Act::Stop)
    }

    /// The model that the body names, if it serves the route.
    fn named(&self, gateway: &Gateway, request: &Request) -> Result<usize, Refusal> {
        let Some(name) = &request.model else {
            let message = format!("the body must name a model: {}", names(gateway));
            return Err(Refusal::new(400, "model_missing", message));
        };
        let number = gateway.model(name).ok_or_else(|| unknown(name, gateway))?;
        let refused = |m: &&Model| !Model::serves(&m.openai, &self.method, &self.path);
        if let Some(model) = gateway.models.get(number).filter(refused) {
            let served: Vec<_> = model.openai.iter().map(|r| r.path.as_str()).collect();
            let served = if served.is_empty() { "no OpenAI route".into() } else { served.join(", ") };
            let message = format!("model {} does not serve {}; it serves {served}", model.name, shown(&self.path));
            return Err(Refusal::new(400, "route_not_served", message));
        }
        Ok(number)
    }

    /// Takes the request and the most tokens it can cost from the tenant's allowance.
    fn reserve(&mut self, model: &Model, request: &Request) -> Result<(), Refusal> {
        let care = &model.care;
        if request.choices > care.most_choices {
            let message = format!("one request may ask for at most {} answers (n, best_of)", care.most_choices);
            return Err(Refusal::new(400, "too_many_choices", message));
        }
        let Some((tenant, uses)) = self.caller().and_then(|t| Some((t, t.uses.get(self.model?)?))) else {
            return Ok(());
        };
        let given = request.limits.iter().map(|l| l.tokens).max();
        let generated = match given.or(care.default_tokens).or(care.most_tokens) {
            Some(tokens) if !model.embeds => tokens.min(care.most_tokens.unwrap_or(u64::MAX)),
            _ => 0,
        };
        let tokens = model.stats.tokens(self.prompt_bytes) + generated.saturating_mul(request.choices.max(1));
        uses.count(Use::Requests, 1);
        let denied = match tenant.account.reserve(tenant.allowance, tokens, Instant::now()) {
            Ok(()) => {
                self.reserved = tokens;
                return Ok(());
            }
            Err(denied) => denied,
        };
        uses.count(Use::Limited, 1);
        Err(match denied {
            Denied::Requests(wait) => {
                Refusal::new(429, "requests_per_minute", "the key's requests of this minute are used up")
                    .retry_after(wait)
            }
            Denied::Tokens(wait) => {
                let message = format!("this request may need {tokens} tokens, and fewer are left of the key's minute");
                Refusal::new(429, "tokens_per_minute", message).retry_after(wait)
            }
            Denied::TooBig(most) => {
                let message = format!("this request may need {tokens} tokens, more than the key's {most} a minute");
                Refusal::new(429, "tokens_per_minute", message)
            }
        })
    }

    /// The first candidate that has a backend and room; the model itself with `false` when none has and it may wait.
    fn choose_model(
        &mut self,
        http: &mut Http,
        gateway: &Gateway,
        asked: usize,
        tried: usize,
    ) -> Result<(usize, bool), Refusal> {
        let model = &gateway.models[asked];
        let mut full = false;
        for (i, number) in std::iter::once(asked).chain(model.fallback.iter().copied()).enumerate().skip(tried) {
            let Some(candidate) = gateway.models.get(number).filter(|c| i == 0 || self.can_serve(c)) else { continue };
            http.set_header(REQUEST, MODEL, candidate.name.as_bytes());
            let mut up = false;
            if !self.stable {
                http.choose_route_again();
                // What the balancer knows is cheaper than asking Envoy, which is asked when it knows of nobody.
                let known = candidate.picks && !candidate.canary && balancer::lock(&candidate.pool).is_up();
                up = known || http.healthy_hosts().unwrap_or(0) > 0;
            }
            if !up && candidate.canary {
                self.stable = true;
                http.set_header(REQUEST, REVISION, b"stable");
                http.choose_route_again();
                up = http.healthy_hosts().unwrap_or(0) > 0;
            }
            if !up {
                self.stable = false;
                continue;
            }
            let limit = self.caller().map_or(f64::INFINITY, |t| t.shed_at);
            if limit.is_finite() && balancer::lock(&candidate.pool).load().is_some_and(|load| load >= limit) {
                candidate.stats.count(Count::Shed, 1);
                full = true;
                continue;
            }
            if i > 0 {
                model.stats.count(Count::Fallbacks, 1);
            }
            self.tried = i + 1;
            return Ok((number, true));
        }
        if full {
            let message = format!("model {} is full; try again later", model.name);
            return Err(Refusal::new(503, "overloaded", message).retry_after(2));
        }
        if tried > 0 || model.care.hold_ms == 0 {
            return Err(no_backend(model));
        }
        http.set_header(REQUEST, MODEL, model.name.as_bytes());
        http.choose_route_again();
        self.tried = 1 + model.fallback.len();
        Ok((asked, false))
    }

    /// A model can stand in for another if it serves the same route.
    fn can_serve(&self, model: &Model) -> bool {
        match (&model.provider, self.naming) {
            (Some(_), _) => self.path.starts_with(b"/v1/"),
            (None, Naming::Path(_)) => Model::serves(&model.native, &self.method, &self.path),
            (None, _) => {
                Model::serves(&model.openai, &self.method, &self.path)
                    || Model::serves(&model.native, &self.method, &self.path)
            }
        }
    }

    fn rewrite(
        &mut self,
        http: &mut Http,
        target: &Model,
        request: &Request,
        body: &[u8],
        trailers: bool,
        renamed: bool,
    ) {
        let openai = self.path.starts_with(b"/v1/");
        let generates = !target.embeds && (openai || matches!(&*self.path, b"/" | b"/generate" | b"/generate_stream"));
        let mut changes = Edits::default();
        if generates {
            let care = &target.care;
            let wishes = Wishes {
                default_tokens: care.default_tokens,
                most_tokens: care.most_tokens,
                usage: care.meter_streams && openai,
                native: !openai,
            };
            let asked;
            (changes, _, asked) = edits(request, wishes);
            self.strip_usage |= asked;
        }
        if let Some(provider) = &target.provider {
            changes.replace(request.model_span.clone(), quoted(&provider.model));
            let path = [provider.path.as_bytes(), self.path.strip_prefix(b"/v1").unwrap_or(&self.path)].concat();
            http.set_header(REQUEST, ":path", &path);
            http.set_header(REQUEST, "authorization", format!("Bearer {}", provider.key).as_bytes());
            http.remove_header(REQUEST, TENANT);
        } else if renamed && request.model.is_some() {
            changes.replace(request.model_span.clone(), quoted(&target.name));
        }
        if changes.is_empty() {
            return;
        }
        let new = changes.apply(body);
        if trailers {
            http.replace_body(BUFFERED_REQUEST, &new);
        } else {
            if !http.request_is_buffered() {
                http.replace_body(BUFFERED_REQUEST, &[]);
            }
            http.replace_body(RECEIVED_REQUEST, &new);
        }
        if self.has_length {
            http.set_header(REQUEST, "content-length", new.len().to_string().as_bytes());
        }
    }

    /// Leaves the prompt's numbers for the balancer.
    fn order(&mut self, http: &mut Http, model: &Model, request: &Request, body: &[u8]) {
        let text = body.get(request.prompt.clone()).unwrap_or_default();
        let mut order = Order::new(model.stats.clone(), text.len() as u64);
        let adapter = request.adapter.as_deref().unwrap_or_default();
        let salt = request.salt.as_deref().unwrap_or_default();
        chain(seed(&[model.name.as_bytes(), adapter, salt]), text, &mut order.chain);
        let order = Rc::new(RefCell::new(order));
        self.ticket = balancer::file(order.clone());
        self.order = Some(order);
        http.set_header(REQUEST, TICKET, self.ticket.to_string().as_bytes());
    }

    fn send(&mut self, http: &Http) {
        self.stage = Stage::Sent;
        self.sent = Some(Instant::now());
        let Some(model) = self.gateway.as_ref().and_then(|g| g.models.get(self.model?)) else { return };
        model.stats.up(Level::InFlight);
        self.in_flight = true;
        let care = &model.care;
        if care.first_token_ms > 0 && care.first_token_ms < care.envoy_idle_ms {
            // Otherwise Envoy's own timer is the same, and this one would cost more than a tenth of a short request.
            let watch = self.watch.get_or_insert_with(|| Watch::new(http.scheduler()));
            watch.wake_in(care.first_token_ms);
        } else if let Some(watch) = &self.watch {
            watch.rest();
        }
    }

    fn hold(&mut self, http: &Http) -> Result<(), Refusal> {
        let Some(model) = self.gateway.as_ref().and_then(|g| g.models.get(self.model?)) else { return Ok(()) };
        if model.stats.up(Level::Waiting) >= model.care.hold_requests {
            model.stats.down(Level::Waiting);
            return Err(no_backend(model));
        }
        model.stats.count(Count::Held, 1);
        self.stage = Stage::Held;
        self.held_since = coarse_now();
        let watch = Watch::new(http.scheduler());
        watch.wake_in(LOOK);
        self.watch = Some(watch);
        Ok(())
    }

    fn leave_hold(&mut self) {
        if self.stage == Stage::Held {
            if let Some(model) = self.serving() {
                model.stats.down(Level::Waiting);
            }
            self.stage = Stage::Over;
        }
    }

    /// The stream's time has come.
    pub fn woken(&mut self, http: &mut Http) -> Act {
        if !self.watch.as_ref().is_some_and(|w| w.due()) {
            return Act::Stop;
        }
        match self.stage {
            Stage::Held => self.look_for_backend(http),
            Stage::Sent => self.first_token_late(http),
            Stage::Answering => self.answer_late(),
            Stage::Reading | Stage::Over => Act::Stop,
        }
    }

    fn look_for_backend(&mut self, http: &mut Http) -> Act {
        if http.healthy_hosts().unwrap_or(0) > 0 {
            self.leave_hold();
            self.send(http);
            return Act::GoOn;
        }
        let Some(model) = self.serving() else { return Act::Stop };
        if coarse_now().saturating_sub(self.held_since) >= model.care.hold_ms {
            model.stats.count(Count::HoldTimeouts, 1);
            let refusal = no_backend(model);
            self.leave_hold();
            return self.refuse(refusal);
        }
        if let Some(watch) = &self.watch {
            watch.wake_in(LOOK);
        }
        Act::Stop
    }

    fn first_token_late(&mut self, http: &mut Http) -> Act {
        let Some(model) = self.serving() else { return Act::Stop };
        model.stats.count(Count::FirstTokenTimeouts, 1);
        let seconds = model.care.first_token_ms as f64 / 1000.0;
        let message = format!("model {} gave no first token within {seconds} s", model.name);
        let refusal = Refusal::new(504, "first_token_timeout", message);
        self.again(http, Act::Answer(refusal))
    }

    /// Begins anew with the next candidate, if there is one; `otherwise` if not.
    pub fn again(&mut self, http: &mut Http, otherwise: Act) -> Act {
        let (Some(gateway), Some(tenant), Some(asked)) = (self.gateway.clone(), self.tenant, self.asked) else {
            return otherwise;
        };
        let stable = !self.stable && self.serving().is_some_and(|m| m.canary);
        if !stable && gateway.models.get(asked).is_none_or(|m| self.tried > m.fallback.len()) {
            return otherwise;
        }
        let hop = Hop {
            gateway,
            tenant,
            asked,
            tried: if stable { self.tried.saturating_sub(1) } else { self.tried },
            method: self.method.clone(),
            path: self.path.clone(),
            reserved: self.reserved,
            strip_usage: self.strip_usage,
            stable,
        };
        let Some(claim) = hop::leave(hop) else { return otherwise };
        http.set_header(REQUEST, hop::HEADER, claim.as_bytes());
        Act::Again(claim, Box::new(otherwise))
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
            balancer::withdraw(self.ticket);
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

fn authenticate(header: &[u8], gateway: &Gateway) -> Result<usize, Refusal> {
    let key = match header.split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => key.trim_ascii(),
        _ => &[],
    };
    if key.is_empty() {
        let message = "no key; send the header \"Authorization: Bearer <key>\"";
        return Err(Refusal::new(401, "missing_api_key", message));
    }
    gateway.tenant(key).ok_or_else(|| Refusal::new(401, "invalid_api_key", "the key is not valid"))
}

fn names(gateway: &Gateway) -> String {
    let named = gateway.models.iter().filter(|m| m.provider.is_none());
    named.map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn unknown(name: &[u8], gateway: &Gateway) -> Refusal {
    let message = format!("there is no model {}; there are: {}", quoted(&shown(name)), names(gateway));
    Refusal::new(404, "model_not_found", message)
}

fn no_route(method: &[u8], path: &[u8]) -> Refusal {
    let message = format!("there is no route {} {}", shown(method), shown(path));
    Refusal::new(404, "route_not_found", message)
}

fn no_backend(model: &Model) -> Refusal {
    let message = format!("model {} has no server up; try again later", model.name);
    Refusal::new(503, "no_backend", message).retry_after(5)
}

fn too_large(gateway: &Gateway) -> Refusal {
    let message = format!("the body is larger than {} bytes", gateway.max_body);
    Refusal::new(413, "body_too_large", message)
}
