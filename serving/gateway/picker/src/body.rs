//! A request's body: which model it is for, and the form in which it goes on.
use crate::abi::{Http, BUFFERED_REQUEST, RECEIVED_REQUEST, REQUEST};
use crate::answer::{quoted, shown, Refusal};
use crate::arrival::{names, too_large, unknown, PATIENCE, SLACK};
use crate::balancer::Order;
use crate::chain::{chain, seed};
use crate::config::{Gateway, Model};
use crate::edit::{edits, Edits, Wishes};
use crate::request::{self, Request};
use crate::stream::{Act, Naming, Stage, Stream, TENANT};
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    /// The body in one piece; its memory is used again from request to request.
    static BODY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Stream {
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
    pub fn extra(&self) -> u64 {
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

    pub fn whole_body(&mut self, http: &mut Http, gateway: &Gateway, trailers: bool) -> Act {
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

    pub fn decide(&mut self, http: &mut Http, gateway: &Gateway, body: &[u8], trailers: bool) -> Result<Act, Refusal> {
        let request = request::read(body).map_err(|fault| {
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
            self.order(target, &request, body);
        }
        if up {
            self.send(http);
            return Ok(Act::Continue);
        }
        self.hold(http)?;
        Ok(Act::Stop)
    }

    /// The model that the body names, if it serves the route.
    pub fn named(&self, gateway: &Gateway, request: &Request) -> Result<usize, Refusal> {
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

    pub fn rewrite(
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
    pub fn order(&mut self, model: &Model, request: &Request, body: &[u8]) {
        let text = body.get(request.prompt.clone()).unwrap_or_default();
        let mut order = Order::new(model.stats.clone(), text.len() as u64);
        let adapter = request.adapter.as_deref().unwrap_or_default();
        let salt = request.salt.as_deref().unwrap_or_default();
        chain(seed(&[model.name.as_bytes(), adapter, salt]), text, &mut order.chain);
        self.order = Some(Rc::new(RefCell::new(order)));
    }
}
