//! One request: whose it is, which model it is for, and whether it may pass.
use crate::abi::{Http, Pair, BUFFERED_REQUEST, CONTINUE, DROP, RECEIVED_REQUEST, REQUEST, STOP};
use crate::answer::{quoted, shown, Refusal};
use crate::balancer::{self, Order, TICKET};
use crate::chain::{chain, seed};
use crate::config::{entry, Gateway, Model};
use crate::json;
use crate::path::{self, Target};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// The request header by which routes tell models apart. What a client sends under this name is dropped.
pub const MODEL: &str = "x-berth-model";
/// The tenant, for consistent hashing and for the engines' logs.
pub const TENANT: &str = "x-berth-tenant";
/// Namespace of the metadata for the access log.
const NAMESPACE: &str = "berth";

/// Room over the largest body before Envoy's own 413 would come in place of ours.
const SLACK: u64 = 1 << 16;

/// A body that is too large is read to its end before the 413, up to this many times the limit: most clients only look
/// for an answer when they have sent everything, and would report a broken connection instead.
const PATIENCE: u64 = 4;

thread_local! {
    /// The body in one piece; its memory is used again from request to request.
    static BODY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How the model is named.
enum Naming {
    Body,
    Path(usize),
}

pub struct Stream {
    gateway: Option<Arc<Gateway>>,
    tenant: Option<usize>,
    model: Option<usize>,
    naming: Naming,
    /// The path that is checked against the model's routes, and the method.
    route: (Vec<u8>, Vec<u8>),
    received: u64,
    /// An answer has been sent or the request has been passed on.
    decided: bool,
    order: Option<Rc<RefCell<Order>>>,
    ticket: u64,
}

impl Stream {
    pub fn new() -> Self {
        Stream {
            gateway: None,
            tenant: None,
            model: None,
            naming: Naming::Body,
            route: (Vec::new(), Vec::new()),
            received: 0,
            decided: false,
            order: None,
            ticket: 0,
        }
    }

    /// `gateway`: the configuration of the stream's route.
    pub fn request_headers(&mut self, http: &mut Http, gateway: Option<Arc<Gateway>>, end: bool) -> u32 {
        for name in [MODEL, TENANT, TICKET] {
            if http.header(REQUEST, name).is_some() {
                http.remove_header(REQUEST, name);
            }
        }
        self.gateway = gateway;
        match self.enter(http, end) {
            Ok(true) => CONTINUE,
            Ok(false) => STOP,
            Err(refusal) => self.refuse(http, &refusal),
        }
    }

    /// Ok(true): nothing to wait for. Ok(false): answered, or waits for the body.
    fn enter(&mut self, http: &mut Http, end: bool) -> Result<bool, Refusal> {
        let Some(gateway) = self.gateway.clone() else {
            return Err(Refusal::new(503, "not_configured", "the gateway has no configuration for this route"));
        };
        self.tenant = Some(authenticate(http, &gateway)?);
        http.remove_header(REQUEST, "authorization");
        let tenant = self.tenant.and_then(|t| gateway.tenants.get(t));
        http.set_header(REQUEST, TENANT, tenant.map_or(&b""[..], |t| t.name.as_bytes()));

        let method = http.header(REQUEST, ":method").unwrap_or_default().to_vec();
        let whole = http.header(REQUEST, ":path").unwrap_or_default().to_vec();
        let (asked, query) = path::split(&whole);
        match path::target(&method, asked) {
            Target::Models => {
                self.answer_json(http, gateway.listing.as_bytes(), "models");
                return Ok(false);
            }
            Target::Model(name) => {
                let known = gateway.model(name).and_then(|m| gateway.models.get(m));
                let model = known.ok_or_else(|| unknown(name, &gateway))?;
                self.answer_json(http, entry(&model.name).as_bytes(), "model");
                return Ok(false);
            }
            Target::OpenAi(path) => {
                if !gateway.models.iter().any(|m| Model::serves(&m.openai, &method, path)) {
                    return Err(no_route(&method, path));
                }
                self.route = (method, path.to_vec());
            }
            Target::Native(name, path) => {
                let number = gateway.model(name).ok_or_else(|| unknown(name, &gateway))?;
                if !gateway.models.get(number).is_some_and(|m| Model::serves(&m.native, &method, path)) {
                    return Err(no_route(&method, asked));
                }
                self.naming = Naming::Path(number);
                let inner = [path, query].concat();
                http.set_header(REQUEST, ":path", &inner);
                self.route = (method, path.to_vec());
            }
            Target::Nothing => return Err(no_route(&method, asked)),
        }
        if self.route.0 == b"GET" {
            if let Naming::Path(model) = self.naming {
                self.pass(http, model, None)?;
                return Ok(true);
            }
        }
        if http.header(REQUEST, "content-encoding").is_some_and(|e| !e.eq_ignore_ascii_case(b"identity")) {
            return Err(Refusal::new(
                415,
                "encoded_body",
                "the body must not be compressed; send it without content-encoding",
            ));
        }
        let length = http.header(REQUEST, "content-length").and_then(|l| std::str::from_utf8(l).ok()?.parse().ok());
        if length.is_some_and(|l: u64| l > gateway.max_body * PATIENCE) {
            return Err(too_large(&gateway));
        }
        if end {
            return Err(Refusal::new(400, "invalid_json", "the body is empty"));
        }
        http.set_buffer_limit(gateway.max_body + SLACK);
        Ok(false)
    }

    pub fn request_body(&mut self, http: &mut Http, end: bool) -> u32 {
        if self.decided {
            return CONTINUE;
        }
        let Some(gateway) = self.gateway.clone() else { return CONTINUE };
        self.received += http.body_size(RECEIVED_REQUEST) as u64;
        if self.received > gateway.max_body {
            if end || self.received > gateway.max_body * PATIENCE {
                return self.refuse(http, &too_large(&gateway));
            }
            http.replace_body(BUFFERED_REQUEST, &[]);
            return DROP;
        }
        if !end {
            return STOP;
        }
        self.whole_body(http, &gateway)
    }

    /// A body may end by trailers too.
    pub fn request_trailers(&mut self, http: &mut Http) -> u32 {
        match (self.decided, self.gateway.clone()) {
            (false, Some(gateway)) if self.received > gateway.max_body => self.refuse(http, &too_large(&gateway)),
            (false, Some(gateway)) => self.whole_body(http, &gateway),
            _ => CONTINUE,
        }
    }

    fn whole_body(&mut self, http: &mut Http, gateway: &Gateway) -> u32 {
        let mut body = BODY.take();
        body.clear();
        if !http.request_is_buffered() {
            http.read_body(BUFFERED_REQUEST, &mut body);
        }
        http.read_body(RECEIVED_REQUEST, &mut body);
        let result = self.decide(http, gateway, &body);
        body.shrink_to(1 << 20);
        BODY.replace(body);
        match result {
            Ok(()) => CONTINUE,
            Err(refusal) => self.refuse(http, &refusal),
        }
    }

    fn decide(&mut self, http: &mut Http, gateway: &Gateway, body: &[u8]) -> Result<(), Refusal> {
        let request = json::read(body).map_err(|fault| {
            let message = format!("the body is not a valid request: {} (byte {})", fault.why, fault.at);
            Refusal::new(400, "invalid_json", message)
        })?;
        let number = match self.naming {
            Naming::Path(number) => number,
            Naming::Body => {
                let Some(name) = &request.model else {
                    let message = format!("the body must name a model: {}", names(gateway));
                    return Err(Refusal::new(400, "model_missing", message));
                };
                let number = gateway.model(name).ok_or_else(|| unknown(name, gateway))?;
                let (method, path) = &self.route;
                if let Some(model) = gateway.models.get(number).filter(|m| !Model::serves(&m.openai, method, path)) {
                    let served: Vec<_> = model.openai.iter().map(|r| r.path.as_str()).collect();
                    let served = if served.is_empty() { "no OpenAI route".into() } else { served.join(", ") };
                    let message = format!("model {} does not serve {}; it serves {served}", model.name, shown(path));
                    return Err(Refusal::new(400, "route_not_served", message));
                }
                number
            }
        };
        self.pass(http, number, Some((&request, body)))
    }

    /// Sends the request on its way to a model.
    fn pass(&mut self, http: &mut Http, number: usize, body: Option<(&json::Request, &[u8])>) -> Result<(), Refusal> {
        let Some(model) = self.gateway.as_ref().and_then(|g| g.models.get(number)) else {
            return Err(Refusal::new(503, "not_configured", "the model is gone"));
        };
        self.model = Some(number);
        self.decided = true;
        http.set_header(REQUEST, MODEL, model.name.as_bytes());
        if let Some((request, body)) = body.filter(|_| model.picks) {
            let text = body.get(request.prompt.clone()).unwrap_or_default();
            let mut order = Order { prompt_bytes: text.len() as u64, ..Order::default() };
            let adapter = request.adapter.as_deref().unwrap_or_default();
            let salt = request.salt.as_deref().unwrap_or_default();
            chain(seed(&[model.name.as_bytes(), adapter, salt]), text, &mut order.chain);
            let order = Rc::new(RefCell::new(order));
            self.ticket = balancer::file(order.clone());
            self.order = Some(order);
            http.set_header(REQUEST, TICKET, self.ticket.to_string().as_bytes());
        }
        http.choose_route_again();
        Ok(())
    }

    pub fn response_body(&mut self) {
        if let Some(order) = &self.order {
            order.borrow_mut().prefilled();
        }
    }

    /// The stream has ended, by whatever way; the access log is written next.
    pub fn complete(&mut self, http: &mut Http) {
        if let Some(gateway) = &self.gateway {
            let tenant = self.tenant.and_then(|t| gateway.tenants.get(t)).map_or("", |t| &t.name);
            let model = self.model.and_then(|m| gateway.models.get(m)).map_or("", |m| &m.name);
            http.set_strings(NAMESPACE, &[Pair::of("tenant", tenant.as_bytes()), Pair::of("model", model.as_bytes())]);
        }
        if let Some(order) = &self.order {
            let cached = order.borrow().cached;
            http.set_numbers(NAMESPACE, &[("cached_bytes", cached as f64)]);
        }
        self.close();
    }

    /// Gives everything back; also when Envoy drops the stream without completing it.
    pub fn close(&mut self) {
        if let Some(order) = self.order.take() {
            order.borrow_mut().finished();
            balancer::withdraw(self.ticket);
        }
    }

    fn answer_json(&mut self, http: &mut Http, body: &[u8], details: &str) {
        self.decided = true;
        http.answer(200, &[Pair::of("content-type", b"application/json")], body, details);
    }

    fn refuse(&mut self, http: &mut Http, refusal: &Refusal) -> u32 {
        self.decided = true;
        let mut headers = vec![Pair::of("content-type", b"application/json")];
        let seconds = refusal.retry_after.map(|s| s.to_string());
        if let Some(seconds) = &seconds {
            headers.push(Pair::of("retry-after", seconds.as_bytes()));
        }
        if refusal.status == 401 {
            headers.push(Pair::of("www-authenticate", b"Bearer"));
        }
        http.answer(refusal.status, &headers, refusal.body().as_bytes(), refusal.code);
        STOP
    }
}

fn authenticate(http: &Http, gateway: &Gateway) -> Result<usize, Refusal> {
    let header = http.header(REQUEST, "authorization").unwrap_or_default();
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
    gateway.models.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn unknown(name: &[u8], gateway: &Gateway) -> Refusal {
    let message = format!("there is no model {}; there are: {}", quoted(&shown(name)), names(gateway));
    Refusal::new(404, "model_not_found", message)
}

fn no_route(method: &[u8], path: &[u8]) -> Refusal {
    let message = format!("there is no route {} {}", shown(method), shown(path));
    Refusal::new(404, "route_not_found", message)
}

fn too_large(gateway: &Gateway) -> Refusal {
    let message = format!("the body is larger than {} bytes", gateway.max_body);
    Refusal::new(413, "body_too_large", message)
}
