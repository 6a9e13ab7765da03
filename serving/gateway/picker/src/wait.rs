//! A request under way: sent, held until a backend comes up, late, or begun anew for another model.
use crate::abi::{Http, REQUEST};
use crate::admit::no_backend;
use crate::answer::Refusal;
use crate::balancer;
use crate::hop::{self, Hop};
use crate::stats::{Count, Level};
use crate::stream::{Act, Stage, Stream};
use crate::watch::{coarse_now, Watch};
use std::time::Instant;

/// How often a held request looks for a backend, in milliseconds.
const LOOK: u64 = 50;

impl Stream {
    pub fn send(&mut self, http: &Http) {
        self.stage = Stage::Sent;
        balancer::place(self.order.clone());
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

    pub fn hold(&mut self, http: &Http) -> Result<(), Refusal> {
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

    pub fn leave_hold(&mut self) {
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

    pub fn look_for_backend(&mut self, http: &mut Http) -> Act {
        let mut healthy = http.healthy_hosts();
        if healthy.is_none() {
            // The cluster was not there when the route was chosen; Envoy remembers that until it chooses again.
            http.choose_route_again();
            healthy = http.healthy_hosts();
        }
        if healthy.unwrap_or(0) > 0 {
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

    pub fn first_token_late(&mut self, http: &mut Http) -> Act {
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
            sent_path: self.sent_path.clone(),
            reserved: self.reserved,
            strip_usage: self.strip_usage,
            stable,
        };
        let Some(claim) = hop::leave(hop) else { return otherwise };
        http.set_header(REQUEST, hop::HEADER, claim.as_bytes());
        Act::Again(claim, Box::new(otherwise))
    }
}
