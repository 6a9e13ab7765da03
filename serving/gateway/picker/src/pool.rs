//! All that is known about one cluster's backends, shared by every worker thread: who is charged with what, who has
//! which prefix, and who would give the first token of a new prompt first.
#[path = "calibrate.rs"]
mod calibrate;

use crate::chain::{covered, seed, CHUNK};
use crate::memory::{Memory, Number};
use calibrate::Calibration;
use std::collections::HashMap;

/// Bytes of prompt a token is worth on average, for turning token counts into work.
pub const BYTES_PER_TOKEN: u64 = 4;
/// Chunks remembered for a backend that does not say how large its KV cache is (2 million tokens).
const DEFAULT_CHUNKS: u32 = 1 << 14;

/// What a backend has been sent lately counts this much of what it has outstanding. It settles ties, which are the rule
/// when little is going on, and spreads what the first byte gives back too early. Measured inside Dynamo's engine model
/// (`python -m tests.bench gateway dynamo`): without it the busiest of 8 gets 1.4 times the mean at low load; at 0.05
/// decoding suffers.
const RECENT: f64 = 0.005;
/// What was sent fades by this much at every pick, wherever it goes: half of it in 69 picks.
const FADE: f64 = 0.99;

/// What discovery metadata says of a backend.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Traits {
    /// Relative speed of prompt processing; 1 is the pool's normal.
    pub speed: f64,
    /// KV cache in tokens; None: unknown.
    pub kv_tokens: Option<u64>,
    /// Requests it runs at once; 0: unknown.
    pub slots: u32,
}

impl Default for Traits {
    fn default() -> Self {
        Traits { speed: 1.0, kv_tokens: None, slots: 0 }
    }
}

/// Prompt bytes and requests.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    pub work: u64,
    pub active: u32,
}

impl Load {
    fn add(&mut self, work: i64, active: i32) {
        self.work = self.work.saturating_add_signed(work);
        self.active = self.active.saturating_add_signed(active);
    }
}

impl Backend {
    fn load(&self) -> Load {
        Load { work: self.work + self.others.work, active: self.active + self.others.active }
    }
}

pub struct Backend {
    pub address: Vec<u8>,
    pub traits: Traits,
    /// Prompt bytes sent here whose first token is not out, cached parts not counted.
    pub work: u64,
    /// Requests picked and not ended.
    pub active: u32,
    /// The same two, as other gateways tell of their own.
    others: Load,
    /// Work and requests that this gateway has sent here lately, in bytes.
    recent: f64,
    /// Changes when the number comes to mean another address.
    epoch: u32,
    gone: bool,
}

/// What a request holds of a backend until it gives it back.
#[derive(Debug, PartialEq)]
pub struct Charge {
    pub backend: Number,
    epoch: u32,
    work: u64,
}

/// What a pick was made on: how much stood before the new request's first token, at speed 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ahead {
    /// Prompt bytes, its own uncached ones included.
    pub bytes: f64,
    /// Requests in flight.
    pub requests: f64,
}

pub struct Pick {
    pub charge: Charge,
    /// Prompt bytes believed cached there.
    pub cached: u64,
    pub ahead: Ahead,
    /// Expected seconds to the first token; None before enough has been observed.
    pub estimate: Option<f64>,
    /// Another backend had more of the prompt cached.
    pub spilled: bool,
}

#[derive(Default)]
pub struct Pool {
    backends: Vec<Backend>,
    numbers: HashMap<Vec<u8>, Number>,
    /// Numbers by `name` of the address, which is how gateways call backends among themselves.
    names: HashMap<u64, Number>,
    /// What each other gateway has sent to each backend.
    told: HashMap<(u64, Number), Load>,
    free: Vec<Number>,
    memory: Memory,
    matched: Vec<u32>,
    calibration: Calibration,
    /// Requests in flight on all backends, and the slots of the healthy ones (0: not all say).
    active: u64,
    slots: u64,
    up: usize,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} backends, {} active)", self.numbers.len(), self.active)
    }
}

impl Pool {
    /// The backend's number, which stays while it has the address or holds work.
    pub fn number(&mut self, address: &[u8], traits: Traits) -> Number {
        let number = match self.numbers.get(address) {
            Some(number) => *number,
            None => self.enter(address),
        };
        let backend = &mut self.backends[number as usize];
        backend.gone = false;
        if backend.traits != traits || backend.epoch == 0 {
            backend.epoch = backend.epoch.max(1);
            backend.traits = traits;
            let chunks = traits.kv_tokens.map_or(DEFAULT_CHUNKS, |t| {
                u32::try_from(t * BYTES_PER_TOKEN / CHUNK as u64).unwrap_or(u32::MAX).min(1 << 20)
            });
            self.memory.set_capacity(number, chunks);
        }
        number
    }

    fn enter(&mut self, address: &[u8]) -> Number {
        let number = if let Some(number) = self.free.pop() {
            let backend = &mut self.backends[number as usize];
            backend.address = address.to_vec();
            backend.recent = 0.0;
            backend.epoch += 1;
            self.memory.forget(number);
            number
        } else {
            let traits = Traits::default();
            let address = address.to_vec();
            self.backends.push(Backend {
                address,
                traits,
                work: 0,
                active: 0,
                others: Load::default(),
                recent: 0.0,
                epoch: 0,
                gone: false,
            });
            self.memory.resize(self.backends.len());
            (self.backends.len() - 1) as Number
        };
        self.numbers.insert(address.to_vec(), number);
        self.names.insert(name(address), number);
        number
    }

    /// Forgets the backends that `present` does not name; those with open requests when the last one ends.
    pub fn keep(&mut self, present: impl Fn(&[u8]) -> bool) {
        for number in 0..self.backends.len() {
            let backend = &mut self.backends[number];
            if !backend.gone
                && self.numbers.get(&backend.address) == Some(&(number as Number))
                && !present(&backend.address)
            {
                backend.gone = true;
                self.release_number(number as Number);
            }
        }
    }

    fn release_number(&mut self, number: Number) {
        let backend = &mut self.backends[number as usize];
        if backend.gone && backend.active == 0 && self.numbers.get(&backend.address) == Some(&number) {
            self.numbers.remove(&backend.address);
            self.names.remove(&name(&backend.address));
            self.told.retain(|(_, n), _| *n != number);
            let others = std::mem::take(&mut backend.others);
            self.active = self.active.saturating_sub(u64::from(others.active));
            self.memory.forget(number);
            self.free.push(number);
        }
    }

    pub fn backend(&self, number: Number) -> Option<&Backend> {
        self.backends.get(number as usize)
    }

    /// Who is healthy now.
    pub fn set_up(&mut self, up: &[Number]) {
        self.up = up.len();
        let slots = |n: &Number| self.backend(*n).map_or(0, |b| u64::from(b.traits.slots));
        self.slots = if up.iter().all(|n| slots(n) > 0) { up.iter().map(slots).sum() } else { 0 };
    }

    /// Whether a healthy backend is known.
    pub fn is_up(&self) -> bool {
        self.up > 0
    }

    /// Requests in flight as a share of what the healthy backends run at once; None when they do not say.
    pub fn load(&self) -> Option<f64> {
        (self.slots > 0).then(|| self.active as f64 / self.slots as f64)
    }

    /// A first token came after so many seconds.
    pub fn observe(&mut self, ahead: Ahead, seconds: f64) {
        self.calibration.observe(ahead.bytes, ahead.requests, seconds);
    }

    /// Chooses among the backends `up` for a prompt of `len` bytes whose whole chunks are `chain`, and charges it.
    pub fn pick(&mut self, up: &[Number], chain: &[u64], len: u64) -> Option<Pick> {
        let n = self.backends.len();
        self.matched.clear();
        self.matched.resize(n, 0);
        self.memory.matches(chain, &mut self.matched);
        let decode = self.calibration.decode();
        let mut best: Option<(f64, Number)> = None;
        let mut most = 0;
        for number in up {
            let Some(backend) = self.backends.get(*number as usize) else { continue };
            let matched = self.matched[*number as usize];
            most = most.max(matched);
            let new = len.saturating_sub(covered(matched));
            let (load, speed) = (backend.load(), backend.traits.speed);
            let cost = ((load.work + new) as f64 + f64::from(load.active) * decode + backend.recent * RECENT) / speed;
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, *number));
            }
        }
        let (_, number) = best?;
        let matched = self.matched[number as usize];
        let cached = covered(matched).min(len);
        self.memory.remember(number, chain);
        self.sent(number, (len - cached) as f64 + decode);
        let backend = self.backends.get(number as usize)?;
        let load = backend.load();
        let ahead = Ahead {
            bytes: (load.work + len - cached) as f64 / backend.traits.speed,
            requests: f64::from(load.active) / backend.traits.speed,
        };
        let estimate = self.calibration.estimate(ahead.bytes, ahead.requests);
        let charge = self.charge(number, len - cached)?;
        Some(Pick { charge, cached, ahead, estimate, spilled: matched < most })
    }

    fn sent(&mut self, number: Number, bytes: f64) {
        self.backends.iter_mut().for_each(|b| b.recent *= FADE);
        if let Some(backend) = self.backends.get_mut(number as usize) {
            backend.recent += bytes;
        }
    }

    /// The backend with the least to do, for requests without a prompt. Not charged.
    pub fn least(&self, up: impl Iterator<Item = Number>) -> Option<Number> {
        up.filter_map(|n| self.backend(n).map(|b| (n, b)))
            .map(|(n, b)| (n, b.load(), b.traits.speed))
            .map(|(n, l, speed)| (n, (l.work as f64 + f64::from(l.active) * self.calibration.decode()) / speed))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(n, _)| n)
    }

    pub fn charge(&mut self, number: Number, work: u64) -> Option<Charge> {
        let backend = self.backends.get_mut(number as usize)?;
        backend.work += work;
        backend.active += 1;
        self.active += 1;
        Some(Charge { backend: number, epoch: backend.epoch, work })
    }

    /// The first token is out: the prompt is no longer in anyone's way.
    pub fn prefilled(&mut self, charge: &mut Charge) {
        let work = std::mem::take(&mut charge.work);
        if let Some(backend) = self.backends.get_mut(charge.backend as usize).filter(|b| b.epoch == charge.epoch) {
            backend.work = backend.work.saturating_sub(work);
        }
    }

    pub fn finished(&mut self, mut charge: Charge) {
        self.prefilled(&mut charge);
        if let Some(backend) = self.backends.get_mut(charge.backend as usize).filter(|b| b.epoch == charge.epoch) {
            backend.active = backend.active.saturating_sub(1);
            self.active = self.active.saturating_sub(1);
            self.release_number(charge.backend);
        }
    }
}

/// How gateways call a backend (or a cluster) among themselves.
pub fn name(text: &[u8]) -> u64 {
    seed(&[text])
}

/// What other gateways tell.
impl Pool {
    /// Gateway `from` has sent work to a backend, or has got some back.
    pub fn told(&mut self, from: u64, backend: u64, work: i64, active: i32, chain: &[u64]) {
        let Some(number) = self.names.get(&backend).copied() else { return };
        let mut load = self.told.get(&(from, number)).copied().unwrap_or_default();
        load.add(work, active);
        self.set_told(from, number, load);
        self.memory.remember(number, chain);
    }

    /// All that gateway `from` has on a backend: puts right what lost messages left wrong.
    pub fn told_all(&mut self, from: u64, backend: u64, load: Load) {
        if let Some(number) = self.names.get(&backend).copied() {
            self.set_told(from, number, load);
        }
    }

    fn set_told(&mut self, from: u64, number: Number, load: Load) {
        let Some(backend) = self.backends.get_mut(number as usize) else { return };
        let old = self.told.insert((from, number), load).unwrap_or_default();
        backend.others.add(load.work as i64 - old.work as i64, load.active as i32 - old.active as i32);
        self.active = (self.active + u64::from(load.active)).saturating_sub(u64::from(old.active));
    }

    /// Gateway `from` has fallen silent: what it told counts no more.
    pub fn forget_told(&mut self, from: u64) {
        let numbers: Vec<_> = self.told.keys().filter(|(f, _)| *f == from).map(|(_, n)| *n).collect();
        for number in numbers {
            self.set_told(from, number, Load::default());
            self.told.remove(&(from, number));
        }
    }

    /// This gateway's own load by backend, to be told.
    pub fn own(&self) -> impl Iterator<Item = (u64, Load)> + '_ {
        let known = self.names.iter().filter_map(|(name, n)| Some((*name, self.backends.get(*n as usize)?)));
        known.map(|(name, b)| (name, Load { work: b.work, active: b.active }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::chain;

    fn pool(n: usize) -> (Pool, Vec<Number>) {
        let mut p = Pool::default();
        let up = (0..n).map(|i| p.number(format!("10.0.0.{i}:80").as_bytes(), Traits::default())).collect();
        (p, up)
    }

    fn go(p: &mut Pool, up: &[Number], text: &str) -> Pick {
        let mut keys = vec![];
        chain(0, text.as_bytes(), &mut keys);
        p.pick(up, &keys, text.len() as u64).unwrap()
    }

    #[test]
    fn same_prefix_same_backend_until_it_is_busy() {
        let (mut p, up) = pool(4);
        let long = "a".repeat(8192);
        let mut first = go(&mut p, &up, &long).charge;
        p.prefilled(&mut first);
        let second = go(&mut p, &up, &(long.clone() + "tail"));
        assert_eq!((second.charge.backend, second.cached), (first.backend, 8192));
        p.charge(first.backend, 100_000);
        let third = go(&mut p, &up, &long);
        assert!(third.charge.backend != first.backend && third.spilled);
    }

    #[test]
    fn only_usable_backends_and_idle_ones_take_turns() {
        let (mut p, up) = pool(3);
        let mut seen = vec![];
        for i in 0..6 {
            let pick = go(&mut p, &[up[0], up[2]], &format!("{i}").repeat(600));
            seen.push(pick.charge.backend);
            p.finished(pick.charge);
        }
        assert_eq!(seen, [0, 2, 0, 2, 0, 2]);
        assert!(p.pick(&[], &[], 5).is_none());
    }

    #[test]
    fn a_prefix_that_all_have_goes_round_as_well() {
        let (mut p, up) = pool(4);
        for number in &up {
            let first = go(&mut p, &[*number], &"s".repeat(1024));
            p.finished(first.charge);
        }
        let mut seen = [0; 4];
        for i in 0..400 {
            let pick = go(&mut p, &up, &("s".repeat(1024) + &format!("{i:04}").repeat(200)));
            seen[pick.charge.backend as usize] += 1;
            p.finished(pick.charge);
        }
        assert!(seen.iter().all(|n| (90..110).contains(n)), "{seen:?}");
    }

    #[test]
    fn unequal_speeds_are_used_in_proportion() {
        let mut p = Pool::default();
        let up: Vec<_> = [1.0, 3.0]
            .iter()
            .map(|s| p.number(format!("h{s}").as_bytes(), Traits { speed: *s, ..Traits::default() }))
            .collect();
        let mut counts = [0; 2];
        for i in 0..400 {
            let mut keys = vec![];
            chain(i, &[0; 2048], &mut keys);
            counts[p.pick(&up, &keys, 2048).unwrap().charge.backend as usize] += 1;
        }
        assert!((90..110).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn everything_is_given_back() {
        let (mut p, up) = pool(2);
        let mut charges: Vec<_> = (0..50).map(|i| go(&mut p, &up, &format!("{i}").repeat(900)).charge).collect();
        for c in charges.iter_mut().step_by(2) {
            p.prefilled(c);
        }
        for c in charges {
            p.finished(c);
        }
        assert!(up.iter().all(|n| p.backend(*n).is_some_and(|b| (b.work, b.active) == (0, 0))));
    }

    #[test]
    fn load_is_a_share_of_the_slots_that_healthy_backends_have() {
        let mut p = Pool::default();
        let up: Vec<_> = [4, 12, 0]
            .iter()
            .map(|s| p.number(format!("h{s}").as_bytes(), Traits { slots: *s, ..Traits::default() }))
            .collect();
        p.set_up(&up[..2]);
        let charges: Vec<_> = (0..4).map(|i| p.charge(up[i % 2], 1).unwrap()).collect();
        assert_eq!(p.load(), Some(0.25));
        p.set_up(&up);
        assert_eq!(p.load(), None, "one does not say");
        p.set_up(&up[..1]);
        assert_eq!(p.load(), Some(1.0));
        charges.into_iter().for_each(|c| p.finished(c));
        assert_eq!(p.load(), Some(0.0));
    }

    #[test]
    fn a_leaving_backend_keeps_its_number_until_its_last_request_ends() {
        let (mut p, up) = pool(2);
        let held = p.charge(up[0], 10).unwrap();
        p.keep(|a| a == b"10.0.0.1:80");
        assert_eq!(p.number(b"10.0.0.9:80", Traits::default()), 2, "number 0 is still taken");
        p.finished(held);
        let again = p.number(b"10.0.0.8:80", Traits::default());
        assert_eq!(again, 0);
        assert_eq!(p.backend(again).map(|b| (b.work, b.active)), Some((0, 0)));
    }

    #[test]
    fn a_stale_charge_never_touches_the_next_holder_of_its_number() {
        let (mut p, up) = pool(1);
        let charge = p.charge(up[0], 10).unwrap();
        let stale = Charge { epoch: charge.epoch, ..charge };
        p.finished(Charge { ..charge });
        p.keep(|_| false);
        let next = p.number(b"new:1", Traits::default());
        let _held = p.charge(next, 7);
        p.finished(stale);
        assert_eq!(p.backend(next).map(|b| (b.work, b.active)), Some((7, 1)));
    }

    #[test]
    fn what_others_tell_counts_until_they_are_silent() {
        let (mut p, up) = pool(2);
        let (a, b) = (name(b"10.0.0.0:80"), name(b"10.0.0.1:80"));
        let mut keys = vec![];
        chain(0, &[b'x'; 4096], &mut keys);
        p.told(7, a, 4096, 1, &keys);
        assert_eq!(p.pick(&up, &keys, 4096).map(|k| (k.charge.backend, k.cached)), Some((1, 0)), "0 is busy");
        p.told(7, a, -4096, 0, &[]);
        assert_eq!(p.pick(&up, &keys, 4096).map(|k| (k.charge.backend, k.cached)), Some((0, 4096)), "0 has it");
        p.told_all(7, b, Load { work: 1 << 40, active: 9 });
        p.told(8, b, 5, 1, &[]);
        p.told(8, name(b"unknown"), 5, 1, &[]);
        assert_eq!(p.backends[1].others, Load { work: (1 << 40) + 5, active: 10 });
        p.forget_told(7);
        assert_eq!((p.backends[0].others, p.backends[1].others), (Load::default(), Load { work: 5, active: 1 }));
        p.told(8, b, -50, -5, &[]);
        assert_eq!(p.backends[1].others, Load::default(), "never below nothing");
        assert_eq!(p.own().map(|(_, l)| l.active).sum::<u32>(), 2);
    }

    #[test]
    fn capacity_comes_from_the_metadata() {
        let mut p = Pool::default();
        let small = p.number(b"small:1", Traits { kv_tokens: Some(1280), ..Traits::default() }); // 10 chunks
        let mut keys = vec![];
        chain(1, &[1; 5 * CHUNK], &mut keys);
        p.pick(&[small], &keys, 5 * CHUNK as u64);
        for i in 2..6 {
            chain(i, &[1; 5 * CHUNK], &mut keys);
            p.pick(&[small], &keys, 5 * CHUNK as u64);
        }
        chain(1, &[1; 5 * CHUNK], &mut keys);
        assert_eq!(p.pick(&[small], &keys, 5 * CHUNK as u64).unwrap().cached, 0);
    }
}
