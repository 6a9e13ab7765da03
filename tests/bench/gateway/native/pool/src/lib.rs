//! The picker's own files behind a C interface, so that a simulator decides by the very code that the gateway runs.
#[path = "../../../../../../serving/gateway/picker/src/chain.rs"]
mod chain;
#[path = "../../../../../../serving/gateway/picker/src/memory.rs"]
mod memory;
#[path = "../../../../../../serving/gateway/picker/src/pool.rs"]
mod pool;

use memory::Number;
use pool::{name, Ahead, Charge, Pool, Traits};
use std::collections::HashMap;

/// One gateway's view of its backends, which are numbered from 0 on.
pub struct Picker {
    pool: Pool,
    up: Vec<Number>,
    open: HashMap<u64, (Charge, Ahead)>,
    tickets: u64,
    keys: Vec<u64>,
}

#[repr(C)]
pub struct Choice {
    /// What `picker_prefilled` and `picker_finished` want; 0: there was no backend.
    ticket: u64,
    backend: u32,
    cached_bytes: u64,
}

fn address(backend: u32) -> String {
    format!("backend-{backend:06}")
}

#[no_mangle]
pub extern "C" fn picker_new(backends: u32, kv_tokens: u64) -> *mut Picker {
    let mut pool = Pool::default();
    let traits = Traits { kv_tokens: Some(kv_tokens), ..Traits::default() };
    let up = (0..backends).map(|i| pool.number(address(i).as_bytes(), traits)).collect();
    Box::into_raw(Box::new(Picker { pool, up, open: HashMap::new(), tickets: 0, keys: Vec::new() }))
}

/// # Safety
/// `picker` comes from `picker_new` and is not used again.
#[no_mangle]
pub unsafe extern "C" fn picker_free(picker: *mut Picker) {
    drop(unsafe { Box::from_raw(picker) });
}

/// # Safety
/// `picker` comes from `picker_new`; `prompt` has `len` bytes.
#[no_mangle]
pub unsafe extern "C" fn picker_pick(picker: *mut Picker, prompt: *const u8, len: usize) -> Choice {
    let (picker, prompt) = unsafe { (&mut *picker, std::slice::from_raw_parts(prompt, len)) };
    chain::chain(chain::seed(&[b"chat", b"", b""]), prompt, &mut picker.keys);
    let Some(pick) = picker.pool.pick(&picker.up, &picker.keys, len as u64) else {
        return Choice { ticket: 0, backend: 0, cached_bytes: 0 };
    };
    picker.tickets += 1;
    let choice = Choice { ticket: picker.tickets, backend: pick.charge.backend, cached_bytes: pick.cached };
    picker.open.insert(picker.tickets, (pick.charge, pick.ahead));
    choice
}

/// The first token is out, so many seconds after the pick.
///
/// # Safety
/// `picker` comes from `picker_new`.
#[no_mangle]
pub unsafe extern "C" fn picker_prefilled(picker: *mut Picker, ticket: u64, seconds: f64) {
    let picker = unsafe { &mut *picker };
    if let Some((charge, ahead)) = picker.open.get_mut(&ticket) {
        picker.pool.prefilled(charge);
        picker.pool.observe(*ahead, seconds);
    }
}

/// # Safety
/// `picker` comes from `picker_new`.
#[no_mangle]
pub unsafe extern "C" fn picker_finished(picker: *mut Picker, ticket: u64) {
    let picker = unsafe { &mut *picker };
    if let Some((charge, _)) = picker.open.remove(&ticket) {
        picker.pool.finished(charge);
    }
}

/// Another gateway has sent a prompt to a backend (`prompt` of `len` bytes), or has got work back (`len` 0).
///
/// # Safety
/// `picker` comes from `picker_new`; `prompt` has `len` bytes.
#[no_mangle]
pub unsafe extern "C" fn picker_told(
    picker: *mut Picker,
    from: u64,
    backend: u32,
    work: i64,
    active: i32,
    prompt: *const u8,
    len: usize,
) {
    let (picker, prompt) = unsafe { (&mut *picker, std::slice::from_raw_parts(prompt, len)) };
    chain::chain(chain::seed(&[b"chat", b"", b""]), prompt, &mut picker.keys);
    picker.pool.told(from, name(address(backend).as_bytes()), work, active, &picker.keys);
}
