//! A request's headers: whose it is, and what it asks for.
use crate::abi::{Http, Pair, REQUEST};
use crate::answer::{quoted, shown, Refusal};
use crate::balancer;
use crate::config::{entry, Gateway, Model};
use crate::hop::{self, Hop};
use crate::path::{self, Target};
use crate::stream::{Act, Naming, Stage, Stream, MODEL, TENANT};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

/// Every request header of this kind is the gateway's own; a client's are dropped.
const OWN: &[u8] = b"x-berth-";

/// Room over the largest body before Envoy's own 413 would come in place of ours.
pub const SLACK: u64 = 1 << 16;

/// A body that is too large is read to its end before the 413, up to this many times the limit: most clients only look
/// for an answer when they have sent everything, and would report a broken connection instead.
pub const PATIENCE: u64 = 4;

thread_local! {
    static HEADERS: RefCell<Vec<Pair>> = const { RefCell::new(Vec::new()) };
}

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

impl Stream {
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
        self.began = Some(Instant::now());
        if let Some(hop) = hop {
            self.continue_hop(http, hop);
            return Act::Stop;
        }
        (self.method, self.sent_path) = (std::mem::take(&mut seen.method), seen.path.clone());
        self.enter(http, seen, end).unwrap_or_else(|refusal| self.refuse(refusal))
    }

    fn continue_hop(&mut self, http: &mut Http, hop: Hop) {
        let limit = hop.gateway.max_body + SLACK;
        self.has_length = http.header(REQUEST, "content-length").is_some();
        self.naming = Naming::Hop { asked: hop.asked, tried: hop.tried };
        (self.tenant, self.method, self.path) = (Some(hop.tenant), hop.method, hop.path);
        self.sent_path = hop.sent_path;
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

        self.has_length = seen.length.is_some();
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
            balancer::place(None);
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

pub fn names(gateway: &Gateway) -> String {
    let named = gateway.models.iter().filter(|m| m.provider.is_none());
    named.map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ")
}

pub fn unknown(name: &[u8], gateway: &Gateway) -> Refusal {
    let message = format!("there is no model {}; there are: {}", quoted(&shown(name)), names(gateway));
    Refusal::new(404, "model_not_found", message)
}

fn no_route(method: &[u8], path: &[u8]) -> Refusal {
    let message = format!("there is no route {} {}", shown(method), shown(path));
    Refusal::new(404, "route_not_found", message)
}

pub fn too_large(gateway: &Gateway) -> Refusal {
    let message = format!("the body is larger than {} bytes", gateway.max_body);
    Refusal::new(413, "body_too_large", message)
}
