//! The functions that Envoy calls. Each turns raw pointers into this module's types, and none lets a panic out.
//!
//! Envoy refuses a module that lacks any hook of an extension point it is used for, so the unused ones are here too.
use crate::abi::{log_error, validating, Buf, Cluster, Http, Metrics, Pair, Ptr, CONTINUE, DROP, STOP};
use crate::balancer::Balancer;
use crate::clock::FilterConfig;
use crate::config::Gateway;
use crate::hop;
use crate::peers;
use crate::stream::{answer, Act, Stage, Stream};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::null_mut;
use std::sync::Arc;

/// Runs a hook's body; a panic costs this call, not the process.
fn guard<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        log_error("picker: a hook panicked; please report this with the request's details");
        otherwise
    })
}

/// The ABI version that abi.rs was written for; another one is a warning in Envoy's log.
#[no_mangle]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const u8 {
    c"v0.2.0".as_ptr().cast()
}

#[no_mangle]
extern "C" fn envoy_dynamic_module_on_http_filter_config_new(c: Ptr, _: Buf, _: Buf) -> Ptr {
    guard(null_mut(), || Box::into_raw(Box::new(FilterConfig::new(Metrics(c), !validating()))).cast())
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(config: Ptr) {
    let config = unsafe { Box::from_raw(config.cast::<FilterConfig>()) };
    guard((), || drop(config));
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(_: Ptr, config: Ptr, _: u64) {
    let config = unsafe { &*config.cast::<FilterConfig>() };
    guard((), || config.scheduled());
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(_: Buf, config: Buf) -> Ptr {
    guard(null_mut(), || match Gateway::parse(unsafe { config.get() }) {
        Ok(gateway) => {
            if !validating() {
                if let Err(why) = peers::configure(gateway.peers.clone()) {
                    log_error(&format!("picker: no word from or to the other gateways: {why}"));
                }
            }
            Box::into_raw(Box::new(Arc::new(gateway))).cast()
        }
        Err(why) => {
            log_error(&format!("picker: the routes' configuration is refused: {why}"));
            null_mut()
        }
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(config: Ptr) {
    drop(unsafe { Box::from_raw(config.cast::<Arc<Gateway>>()) });
}

#[no_mangle]
extern "C" fn envoy_dynamic_module_on_http_filter_new(_: Ptr, _: Ptr) -> Ptr {
    Box::into_raw(Box::new(Stream::new())).cast()
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(s: Ptr) {
    let mut stream = unsafe { Box::from_raw(s.cast::<Stream>()) };
    guard((), || stream.close());
}

/// Runs a stream's hook and does what it asks for; the answer for Envoy.
///
/// # Safety
/// `f` and `s` are the running hook's own arguments.
unsafe fn on(f: Ptr, s: Ptr, body: impl FnOnce(&mut Stream, &mut Http) -> Act) -> u32 {
    let mut http = unsafe { Http::new(f) };
    let mut act = guard(Act::Continue, || body(unsafe { &mut *s.cast::<Stream>() }, &mut http));
    loop {
        match act {
            Act::Continue => return CONTINUE,
            Act::Drop => return DROP,
            Act::Stop => return STOP,
            Act::Answer(refusal) => {
                unsafe { &mut *s.cast::<Stream>() }.stage = Stage::Over;
                answer(&mut http, &refusal);
                return STOP;
            }
            Act::Reply(body, details) => {
                http.answer(200, &[Pair::of("content-type", b"application/json")], body.as_bytes(), details);
                return STOP;
            }
            Act::GoOn => {
                http.go_on();
                return STOP;
            }
            Act::Reset(details) => {
                http.reset(details);
                return STOP;
            }
            Act::Again(claim, otherwise) => {
                // Envoy ends this stream inside the call; what it holds must have been given back before.
                let kept = unsafe { &mut *s.cast::<Stream>() }.part();
                if http.begin_again() {
                    return STOP;
                }
                drop(hop::take(claim.as_bytes()));
                unsafe { &mut *s.cast::<Stream>() }.join(kept);
                act = *otherwise;
            }
        }
    }
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(f: Ptr, s: Ptr, end: bool) -> u32 {
    unsafe {
        on(f, s, |stream, http| {
            let config = http.route_config().cast::<Arc<Gateway>>();
            let gateway = (!config.is_null()).then(|| (*config).clone());
            stream.request_headers(http, gateway, end)
        })
    }
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_body(f: Ptr, s: Ptr, end: bool) -> u32 {
    unsafe { on(f, s, |stream, http| stream.request_body(http, end)) }
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_trailers(f: Ptr, s: Ptr) -> u32 {
    unsafe { on(f, s, Stream::request_trailers) }
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_headers(f: Ptr, s: Ptr, end: bool) -> u32 {
    unsafe { on(f, s, |stream, http| stream.response_headers(http, end)) }
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_response_body(f: Ptr, s: Ptr, end: bool) -> u32 {
    unsafe { on(f, s, |stream, http| stream.response_body(http, end)) }
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_local_reply(f: Ptr, s: Ptr, _: u32, why: Buf, _: bool) -> u32 {
    unsafe {
        on(f, s, |stream, _| {
            stream.local_reply(why.get());
            Act::Continue
        })
    }
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(f: Ptr, s: Ptr, _: u64) {
    unsafe { on(f, s, Stream::woken) };
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(f: Ptr, s: Ptr) {
    unsafe {
        on(f, s, |stream, http| {
            stream.complete(http);
            Act::Continue
        })
    };
}

#[no_mangle]
extern "C" fn envoy_dynamic_module_on_lb_config_new(_: Ptr, _: Buf, _: Buf) -> Ptr {
    Box::into_raw(Box::new(0u8)).cast()
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_lb_config_destroy(config: Ptr) {
    drop(unsafe { Box::from_raw(config.cast::<u8>()) });
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_lb_new(_: Ptr, lb: Ptr) -> Ptr {
    guard(null_mut(), || {
        let balancer = Balancer::new(Cluster(lb));
        balancer.hosts_changed();
        Box::into_raw(Box::new(balancer)).cast()
    })
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_lb_destroy(b: Ptr) {
    drop(unsafe { Box::from_raw(b.cast::<Balancer>()) });
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_lb_on_host_membership_update(_: Ptr, b: Ptr, _: usize, _: usize) {
    let balancer = unsafe { &*b.cast::<Balancer>() };
    guard((), || balancer.hosts_changed());
}

#[no_mangle]
unsafe extern "C" fn envoy_dynamic_module_on_lb_choose_host(
    _: Ptr,
    b: Ptr,
    context: Ptr,
    priority: *mut u32,
    index: *mut u32,
) -> bool {
    let balancer = unsafe { &*b.cast::<Balancer>() };
    let Some(chosen) = guard(None, || balancer.choose(context)) else { return false };
    unsafe { (*priority, *index) = (0, chosen) };
    true
}

/// Hooks that Envoy insists on and this module has no use for: each does nothing and answers 0 (Continue).
macro_rules! unused {
    ($($name:ident)*) => { $(#[no_mangle] extern "C" fn $name() -> u32 { 0 })* };
}

unused! {
    envoy_dynamic_module_on_http_filter_response_trailers
    envoy_dynamic_module_on_http_filter_http_callout_done
    envoy_dynamic_module_on_http_filter_http_stream_headers
    envoy_dynamic_module_on_http_filter_http_stream_data
    envoy_dynamic_module_on_http_filter_http_stream_trailers
    envoy_dynamic_module_on_http_filter_http_stream_complete
    envoy_dynamic_module_on_http_filter_http_stream_reset
    envoy_dynamic_module_on_http_filter_config_http_callout_done
    envoy_dynamic_module_on_http_filter_config_http_stream_headers
    envoy_dynamic_module_on_http_filter_config_http_stream_data
    envoy_dynamic_module_on_http_filter_config_http_stream_trailers
    envoy_dynamic_module_on_http_filter_config_http_stream_complete
    envoy_dynamic_module_on_http_filter_config_http_stream_reset
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark
}
