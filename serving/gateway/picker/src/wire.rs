//! Messages between gateways: what each has sent to which backend. Datagrams, each with a message authentication code
//! over all of it; lossy by design, because every second's totals put right what a lost one left wrong.
//!
//! Layout, little-endian: "BRT1", sender u64, sequence u64, events, the first 16 bytes of HMAC-SHA-256.
//! Event: kind u8; 1 = change: cluster u64, backend u64, work i64, active i32, n u16, n chunk numbers;
//! 2 = totals: cluster u64, backend u64, work u64, active u32.
use crate::pool::Load;
use crate::sha256::{hmac, same, Digest};

const MAGIC: &[u8; 4] = b"BRT1";
const HEAD: usize = 20;
const CODE: usize = 16;
/// Fits an Ethernet frame with its headers.
pub const LARGEST: usize = 1400;
/// Chunk numbers of one event; the rest of a longer prompt goes untold (150 chunks are 77 KB of prompt).
pub const MOST_CHUNKS: usize = 150;

/// A change of what this gateway has on a backend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    pub cluster: u64,
    pub backend: u64,
    pub work: i64,
    pub active: i32,
}

#[derive(Debug, PartialEq)]
pub enum Event {
    Change(Told, Vec<u64>),
    Totals { cluster: u64, backend: u64, load: Load },
}

pub fn change(told: Told, chain: &[u64], out: &mut Vec<u8>) {
    let chain = &chain[..chain.len().min(MOST_CHUNKS)];
    out.push(1);
    out.extend_from_slice(&told.cluster.to_le_bytes());
    out.extend_from_slice(&told.backend.to_le_bytes());
    out.extend_from_slice(&told.work.to_le_bytes());
    out.extend_from_slice(&told.active.to_le_bytes());
    out.extend_from_slice(&(chain.len() as u16).to_le_bytes());
    for key in chain {
        out.extend_from_slice(&key.to_le_bytes());
    }
}

pub fn totals(cluster: u64, backend: u64, load: Load, out: &mut Vec<u8>) {
    out.push(2);
    out.extend_from_slice(&cluster.to_le_bytes());
    out.extend_from_slice(&backend.to_le_bytes());
    out.extend_from_slice(&load.work.to_le_bytes());
    out.extend_from_slice(&load.active.to_le_bytes());
}

/// A whole message around encoded events.
pub fn seal(key: &Digest, sender: u64, sequence: u64, events: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + events.len() + CODE);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&sender.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(events);
    let code = hmac(key, &out);
    out.extend_from_slice(&code[..CODE]);
    out
}

/// Bytes that events may take in one message.
pub const ROOM: usize = LARGEST - HEAD - CODE;

/// Sender, sequence and events of an authentic message.
pub fn open(key: &Digest, message: &[u8]) -> Option<(u64, u64, Vec<Event>)> {
    let (signed, code) = message.split_at(message.len().checked_sub(CODE)?);
    if !same(hmac(key, signed).get(..CODE)?, code) {
        return None;
    }
    let mut rest = signed.strip_prefix(MAGIC)?;
    let (sender, sequence) = (u64::from_le_bytes(take(&mut rest)?), u64::from_le_bytes(take(&mut rest)?));
    let mut events = Vec::new();
    while !rest.is_empty() {
        events.push(event(&mut rest)?);
    }
    Some((sender, sequence, events))
}

fn event(rest: &mut &[u8]) -> Option<Event> {
    let [kind] = take(rest)?;
    let (cluster, backend) = (u64::from_le_bytes(take(rest)?), u64::from_le_bytes(take(rest)?));
    match kind {
        1 => {
            let (work, active) = (i64::from_le_bytes(take(rest)?), i32::from_le_bytes(take(rest)?));
            let n = usize::from(u16::from_le_bytes(take(rest)?));
            let chain = (0..n).map(|_| take(rest).map(u64::from_le_bytes)).collect::<Option<Vec<_>>>()?;
            Some(Event::Change(Told { cluster, backend, work, active }, chain))
        }
        2 => {
            let (work, active) = (u64::from_le_bytes(take(rest)?), u32::from_le_bytes(take(rest)?));
            Some(Event::Totals { cluster, backend, load: Load { work, active } })
        }
        _ => None,
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Digest = [7; 32];

    fn message() -> Vec<u8> {
        let mut events = vec![];
        change(Told { cluster: 1, backend: 2, work: -3, active: -1 }, &[4, 5], &mut events);
        totals(1, 2, Load { work: 9, active: 8 }, &mut events);
        seal(&KEY, 42, 7, &events)
    }

    #[test]
    fn what_is_sealed_can_be_opened() {
        let told = Told { cluster: 1, backend: 2, work: -3, active: -1 };
        let totals = Event::Totals { cluster: 1, backend: 2, load: Load { work: 9, active: 8 } };
        assert_eq!(open(&KEY, &message()), Some((42, 7, vec![Event::Change(told, vec![4, 5]), totals])));
        assert_eq!(open(&KEY, &seal(&KEY, 1, 1, &[])), Some((1, 1, vec![])));
    }

    #[test]
    fn nothing_else_can() {
        let good = message();
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 1;
            assert_eq!(open(&KEY, &bad), None);
            assert_eq!(open(&KEY, &good[..i]), None);
        }
        assert_eq!(open(&[8; 32], &good), None);
    }

    #[test]
    fn authentic_nonsense_is_refused_without_a_panic() {
        let mut state = 1u64;
        for n in 0..20_000usize {
            let events: Vec<u8> = (0..n % 80)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (state >> 60) as u8
                })
                .collect();
            open(&KEY, &seal(&KEY, 1, 1, &events));
        }
    }

    #[test]
    fn a_long_prompt_fits_a_message() {
        let mut out = vec![];
        change(Told { cluster: 1, backend: 2, work: 3, active: 1 }, &[9; 10_000], &mut out);
        assert!(out.len() <= ROOM);
    }
}
