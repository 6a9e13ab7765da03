//! Whether a request may pass: the tenant's allowance, and a model that has a backend and room.
use crate::abi::{Http, REQUEST};
use crate::answer::Refusal;
use crate::balancer;
use crate::config::{Gateway, Model};
use crate::limits::Denied;
use crate::request::Request;
use crate::stats::{Count, Use};
use crate::stream::{Naming, Stream, MODEL};
use std::time::Instant;

/// "stable" asks for the old revision of a model that has two.
const REVISION: &str = "x-berth-revision";

impl Stream {
    /// Takes the request and the most tokens it can cost from the tenant's allowance.
    pub fn reserve(&mut self, model: &Model, request: &Request) -> Result<(), Refusal> {
        let care = &model.care;
        care.caps.check(&request.asked)?;
        let Some((tenant, uses)) = self.caller().and_then(|t| Some((t, t.uses.get(self.model?)?))) else {
            return Ok(());
        };
        let given = request.limits.iter().map(|l| l.tokens).max();
        let generated = match given.or(care.default_tokens).or(care.most_tokens) {
            Some(tokens) if !model.embeds => tokens.min(care.most_tokens.unwrap_or(u64::MAX)),
            _ => 0,
        };
        let tokens = model.stats.tokens(self.prompt_bytes) + generated.saturating_mul(request.asked.choices.max(1));
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
    pub fn choose_model(
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
    pub fn can_serve(&self, model: &Model) -> bool {
        match (&model.provider, self.naming) {
            (Some(_), _) => self.path.starts_with(b"/v1/"),
            (None, Naming::Path(_)) => Model::serves(&model.native, &self.method, &self.path),
            (None, _) => {
                Model::serves(&model.openai, &self.method, &self.path)
                    || Model::serves(&model.native, &self.method, &self.path)
            }
        }
    }
}

pub fn no_backend(model: &Model) -> Refusal {
    let message = format!("model {} has no server up; try again later", model.name);
    Refusal::new(503, "no_backend", message).retry_after(5)
}
