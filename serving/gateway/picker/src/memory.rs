//! Which prefixes each backend is believed to have in its KV cache.
//!
//! One table for all backends, from chunk number (chain.rs) to the backends that hold it. Each holder's entry is dated
//! by that backend's own generation; a backend forgets by moving its oldest valid generation on, so that forgetting
//! touches no entry. Eight generations a backend come close to the least-recently-used order of real caches while its
//! memory stays between 7/8 of its capacity and all of it.
use crate::chain::weight;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A backend's number in its pool.
pub type Number = u32;

const GENERATIONS: u32 = 8;
/// The table is swept of dead entries part by part, so that no request pays for a sweep of all of it.
const PARTS: usize = 64;
const NOBODY: Number = Number::MAX;

#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value; // chunk numbers are hashes already
    }
}

type Part = HashMap<u64, Holders, BuildHasherDefault<Identity>>;

#[derive(Clone, Copy)]
struct Holder {
    backend: Number,
    generation: u32,
}

/// Two in place: most prefixes have one or two holders, and a popular one has as many as it likes.
struct Holders {
    few: [Holder; 2],
    #[allow(clippy::box_collection)] // 8 bytes instead of 24 in every entry, and rarely there
    more: Option<Box<Vec<Holder>>>,
}

impl Holders {
    const NONE: Holders = Holders { few: [Holder { backend: NOBODY, generation: 0 }; 2], more: None };

    fn iter(&self) -> impl Iterator<Item = Holder> + '_ {
        let more = self.more.iter().flat_map(|m| m.iter());
        self.few.iter().chain(more).filter(|h| h.backend != NOBODY).copied()
    }
}

/// One backend's clock.
struct Clock {
    /// In units of `CHUNK` bytes, as all sizes here; 0: nothing is remembered.
    capacity: u32,
    /// Entries from this generation on are valid.
    oldest: u32,
    now: u32,
    /// Valid entries by generation modulo `GENERATIONS` + 1, and their sum.
    counts: [u32; GENERATIONS as usize + 1],
    held: u32,
}

impl Clock {
    fn slot(generation: u32) -> usize {
        (generation % (GENERATIONS + 1)) as usize
    }

    fn add(&mut self, weight: u32) {
        if self.counts[Self::slot(self.now)] >= self.capacity.div_ceil(GENERATIONS) {
            if self.now - self.oldest >= GENERATIONS {
                self.forget_oldest();
            }
            self.now += 1;
        }
        self.counts[Self::slot(self.now)] += weight;
        self.held += weight;
        while self.held > self.capacity && self.oldest < self.now {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let slot = Self::slot(self.oldest);
        self.held -= self.counts[slot];
        self.counts[slot] = 0;
        self.oldest += 1;
    }

    fn forget_all(&mut self) {
        (self.counts, self.held) = ([0; GENERATIONS as usize + 1], 0);
        self.now += 1;
        self.oldest = self.now;
    }
}

/// Prefixes of all backends of one pool.
pub struct Memory {
    parts: Vec<Part>,
    clocks: Vec<Clock>,
}

impl Default for Memory {
    fn default() -> Self {
        Memory { parts: (0..PARTS).map(|_| Part::default()).collect(), clocks: Vec::new() }
    }
}

impl Memory {
    /// Makes room for backend numbers below `n`.
    pub fn resize(&mut self, n: usize) {
        while self.clocks.len() < n {
            self.clocks.push(Clock { capacity: 0, oldest: 0, now: 0, counts: [0; GENERATIONS as usize + 1], held: 0 });
        }
    }

    /// How many chunks a backend holds at most.
    pub fn set_capacity(&mut self, backend: Number, chunks: u32) {
        if let Some(clock) = self.clocks.get_mut(backend as usize) {
            clock.capacity = chunks;
            while clock.held > chunks && clock.oldest < clock.now {
                clock.forget_oldest();
            }
        }
    }

    /// The backend's cache is gone, or its number now means another one.
    pub fn forget(&mut self, backend: Number) {
        if let Some(clock) = self.clocks.get_mut(backend as usize) {
            clock.forget_all();
        }
    }

    #[cfg(test)]
    pub fn held(&self, backend: Number) -> u32 {
        self.clocks[backend as usize].held
    }

    fn part(key: u64) -> usize {
        (key >> 58) as usize
    }

    /// For each backend how many leading chunks of `chain` it holds, into `matched` (indexed by backend, all zero).
    pub fn matches(&self, chain: &[u64], matched: &mut [u32]) {
        for (depth, key) in chain.iter().enumerate() {
            let Some(holders) = self.parts[Self::part(*key)].get(key) else { return };
            let mut alive = false;
            for h in holders.iter() {
                let valid = self.clocks.get(h.backend as usize).is_some_and(|c| h.generation >= c.oldest);
                if let Some(m) = matched.get_mut(h.backend as usize).filter(|m| valid && **m as usize == depth) {
                    *m += 1;
                    alive = true;
                }
            }
            if !alive {
                return;
            }
        }
    }

    /// The backend is about to hold (or has just used) every chunk of `chain`.
    pub fn remember(&mut self, backend: Number, chain: &[u64]) {
        // The end of a prompt too long for the cache is what an LRU cache would keep of it; its beginning is what
        // the next prompt can share. Engines refuse such prompts anyway.
        let Some(capacity) = self.clocks.get(backend as usize).map(|c| c.capacity) else { return };
        let room = self.clocks.iter().map(|c| c.held as usize).sum::<usize>() / PARTS * 2 + 1024;
        let mut units = 0;
        for (i, key) in chain.iter().enumerate() {
            units += weight(i);
            if units > capacity {
                break;
            }
            self.touch(backend, *key, weight(i), room);
        }
    }

    /// `room`: entries that a part may have before its dead ones are swept out.
    fn touch(&mut self, backend: Number, key: u64, weight: u32, room: usize) {
        let part = &mut self.parts[Self::part(key)];
        if part.len() > room {
            let clocks = &self.clocks;
            let live = |h: Holder| clocks.get(h.backend as usize).is_some_and(|c| h.generation >= c.oldest);
            part.retain(|_, holders| holders.iter().any(live));
        }
        let clock = &mut self.clocks[backend as usize];
        let holders = part.entry(key).or_insert(Holders::NONE);
        let more = holders.more.iter_mut().flat_map(|m| m.iter_mut());
        if let Some(mine) = holders.few.iter_mut().chain(more).find(|h| h.backend == backend) {
            if mine.generation >= clock.oldest {
                if mine.generation == clock.now {
                    return;
                }
                clock.counts[Clock::slot(mine.generation)] -= weight;
                clock.held -= weight;
            }
            clock.add(weight);
            mine.generation = clock.now;
            return;
        }
        clock.add(weight);
        let new = Holder { backend, generation: clock.now };
        let clocks = &self.clocks;
        let dead = |h: &&mut Holder| {
            clocks.get(h.backend as usize).is_none_or(|c| h.generation < c.oldest)
            // NOBODY is dead too
        };
        let more = holders.more.iter_mut().flat_map(|m| m.iter_mut());
        if let Some(free) = holders.few.iter_mut().chain(more).find(dead) {
            *free = new;
        } else {
            holders.more.get_or_insert_default().push(new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(backends: usize, capacity: u32) -> Memory {
        let mut m = Memory::default();
        m.resize(backends);
        for b in 0..backends {
            m.set_capacity(b as Number, capacity);
        }
        m
    }

    fn matches(m: &Memory, n: usize, chain: &[u64]) -> Vec<u32> {
        let mut out = vec![0; n];
        m.matches(chain, &mut out);
        out
    }

    /// Chunk numbers are hashes: spread over all bits.
    fn keys(from: u64, to: u64) -> Vec<u64> {
        (from..to).map(|k| (k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect()
    }

    #[test]
    fn more_than_64_backends_share_a_prefix() {
        let mut m = memory(200, 100);
        for b in 0..200 {
            m.remember(b, &keys(0, b as u64 % 10));
        }
        let got = matches(&m, 200, &keys(0, 10));
        assert!((0..200).all(|b| got[b] == b as u32 % 10), "{got:?}");
    }

    #[test]
    fn a_backend_holds_no_more_than_its_capacity_and_forgets_the_oldest() {
        let mut m = memory(2, 80);
        m.set_capacity(1, 8);
        for i in 0..50 {
            m.remember(0, &keys(i * 8, i * 8 + 8));
            m.remember(1, &keys(i * 8, i * 8 + 8));
            assert!(m.held(0) <= 80 && m.held(1) <= 8);
        }
        assert_eq!(matches(&m, 2, &keys(392, 400))[0], 8);
        assert_eq!(matches(&m, 2, &keys(352, 360))[0], 8, "five prompts back of ten");
        assert_eq!(matches(&m, 2, &keys(296, 304))[0], 0, "twelve back");
    }

    #[test]
    fn what_is_used_again_stays() {
        let mut m = memory(1, 80);
        for i in 1..100 {
            m.remember(0, &keys(0, 5));
            m.remember(0, &keys(i * 10, i * 10 + 8));
            assert_eq!(matches(&m, 1, &keys(0, 5))[0], 5);
        }
    }

    #[test]
    fn a_forgotten_backend_starts_empty() {
        let mut m = memory(2, 80);
        m.remember(0, &keys(0, 5));
        m.remember(1, &keys(0, 5));
        m.forget(0);
        assert_eq!(matches(&m, 2, &keys(0, 5)), [0, 5]);
        m.remember(0, &keys(0, 3));
        assert_eq!(matches(&m, 2, &keys(0, 5)), [3, 5]);
    }

    #[test]
    fn the_table_does_not_grow_without_bound() {
        let mut m = memory(4, 1000);
        for i in 0..2000u64 {
            m.remember((i % 4) as Number, &keys(i * 50, i * 50 + 50));
        }
        let entries: usize = m.parts.iter().map(HashMap::len).sum();
        assert!(entries <= 2 * 4 * 1000 + PARTS * 1100, "{entries}");
    }

    #[test]
    fn long_chunks_weigh_what_they_hold() {
        let mut m = memory(1, 100);
        m.remember(0, &keys(0, 10));
        assert_eq!(m.held(0), 8 + 2 * 4);
        m.remember(0, &keys(0, 10));
        assert_eq!(m.held(0), 16);
        m.remember(0, &keys(100, 200));
        assert!(m.held(0) <= 100);
    }

    #[test]
    fn nothing_is_remembered_without_capacity() {
        let mut m = memory(1, 0);
        m.remember(0, &keys(0, 5));
        assert_eq!(matches(&m, 1, &keys(0, 5)), [0]);
    }
}
