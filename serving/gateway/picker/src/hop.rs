//! What a request takes along when it begins anew for another model: Envoy keeps its headers and its body, the rest
//! waits here. The header that names it holds a secret, so that no client can claim another's.
use crate::config::Gateway;
use crate::sha256::hmac;
use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The request header with the claim.
pub const HEADER: &str = "x-berth-hop";

pub struct Hop {
    pub gateway: Arc<Gateway>,
    pub tenant: usize,
    /// The model that the client asked for.
    pub asked: usize,
    /// How many of the candidates (the model itself, then its fallbacks) have been tried.
    pub tried: usize,
    pub method: Vec<u8>,
    pub path: Vec<u8>,
    pub sent_path: Vec<u8>,
    pub reserved: u64,
    pub strip_usage: bool,
    /// Ask for the old revision of the next candidate: the new one may be what failed.
    pub stable: bool,
}

static HOPS: Mutex<Option<HashMap<String, Hop>>> = Mutex::new(None);

fn secret() -> Option<&'static [u8; 32]> {
    static SECRET: OnceLock<Option<[u8; 32]>> = OnceLock::new();
    let read = || {
        let mut bytes = [0; 32];
        std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes)).ok().map(|()| bytes)
    };
    SECRET.get_or_init(read).as_ref()
}

/// Leaves a hop here; the claim to it. None: there is no randomness on this machine.
pub fn leave(hop: Hop) -> Option<String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mac = hmac(secret()?, &COUNT.fetch_add(1, Relaxed).to_be_bytes());
    let claim: String = mac[..16].iter().map(|b| format!("{b:02x}")).collect();
    let mut hops = HOPS.lock().unwrap_or_else(PoisonError::into_inner);
    hops.get_or_insert_default().insert(claim.clone(), hop);
    Some(claim)
}

/// Takes a hop; a claim is good for once.
pub fn take(claim: &[u8]) -> Option<Hop> {
    let claim = std::str::from_utf8(claim).ok()?;
    HOPS.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.remove(claim)
}
