//! Envoy 1.40's C interface for dynamic modules, as far as this module uses it.
//!
//! Declared by hand from `source/extensions/dynamic_modules/abi/abi.h`: nobody checks these signatures, so the Envoy
//! wheel is pinned exactly and `tests/gateway` must pass on every change of it. Callbacks bind lazily: a missing one
//! shows only at its first call.
use std::{ffi::c_void, marker::PhantomData, ptr, slice};

pub type Ptr = *mut c_void;

/// Bytes owned by whoever passes them; valid for the length of the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Buf {
    pub ptr: *const u8,
    pub len: usize,
}

impl Buf {
    pub const EMPTY: Buf = Buf { ptr: ptr::null(), len: 0 };

    pub fn of(bytes: &[u8]) -> Buf {
        Buf { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// # Safety
    /// The owner keeps the bytes alive and unchanged for `'a`.
    pub unsafe fn get<'a>(self) -> &'a [u8] {
        if self.len == 0 || self.ptr.is_null() {
            return &[];
        }
        unsafe { slice::from_raw_parts(self.ptr, self.len) }
    }
}

/// A header or a metadata entry owned by the module.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pair {
    key: Buf,
    value: Buf,
}

impl Pair {
    const EMPTY: Pair = Pair { key: Buf::EMPTY, value: Buf::EMPTY };

    pub fn of(key: &str, value: &[u8]) -> Pair {
        Pair { key: Buf::of(key.as_bytes()), value: Buf::of(value) }
    }
}

pub const REQUEST: u32 = 0;
pub const RESPONSE: u32 = 2;

pub const RECEIVED_REQUEST: u32 = 0;
pub const BUFFERED_REQUEST: u32 = 1;
pub const RECEIVED_RESPONSE: u32 = 2;
pub const BUFFERED_RESPONSE: u32 = 3;

/// Answers of the header, body and trailer hooks.
pub const CONTINUE: u32 = 0;
/// Headers: hold them. Bodies: keep what came, ask for more.
pub const STOP: u32 = 1;
/// Bodies: throw away what came, ask for more.
pub const DROP: u32 = 3;

extern "C" {
    fn envoy_dynamic_module_callback_is_validation_mode() -> bool;
    fn envoy_dynamic_module_callback_log(level: u32, message: Buf);

    fn envoy_dynamic_module_callback_get_most_specific_route_config(f: Ptr) -> Ptr;
    fn envoy_dynamic_module_callback_http_get_header(
        f: Ptr,
        kind: u32,
        key: Buf,
        out: *mut Buf,
        index: usize,
        count: *mut usize,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_set_header(f: Ptr, kind: u32, key: Buf, value: Buf) -> bool;
    fn envoy_dynamic_module_callback_http_send_response(
        f: Ptr,
        status: u32,
        headers: *const Pair,
        count: usize,
        body: Buf,
        details: Buf,
    );
    fn envoy_dynamic_module_callback_http_get_body_size(f: Ptr, kind: u32) -> usize;
    fn envoy_dynamic_module_callback_http_get_body_chunks_size(f: Ptr, kind: u32) -> usize;
    fn envoy_dynamic_module_callback_http_get_body_chunks(f: Ptr, kind: u32, out: *mut Buf) -> bool;
    fn envoy_dynamic_module_callback_http_append_body(f: Ptr, kind: u32, data: Buf) -> bool;
    fn envoy_dynamic_module_callback_http_drain_body(f: Ptr, kind: u32, bytes: usize) -> bool;
    fn envoy_dynamic_module_callback_http_received_buffered_request_body(f: Ptr) -> bool;
    fn envoy_dynamic_module_callback_http_received_buffered_response_body(f: Ptr) -> bool;
    fn envoy_dynamic_module_callback_http_get_headers_size(f: Ptr, kind: u32) -> usize;
    fn envoy_dynamic_module_callback_http_get_headers(f: Ptr, kind: u32, out: *mut Pair) -> bool;
    fn envoy_dynamic_module_callback_http_clear_route_cache(f: Ptr);
    fn envoy_dynamic_module_callback_http_set_filter_state_bytes(f: Ptr, key: Buf, value: Buf) -> bool;
    fn envoy_dynamic_module_callback_http_filter_get_attribute_string(f: Ptr, attribute: u32, out: *mut Buf) -> bool;
    fn envoy_dynamic_module_callback_http_set_buffer_limit(f: Ptr, bytes: u64);
    fn envoy_dynamic_module_callback_http_get_cluster_host_count(
        f: Ptr,
        priority: u32,
        total: *mut usize,
        healthy: *mut usize,
        degraded: *mut usize,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_filter_scheduler_new(f: Ptr) -> Ptr;
    fn envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler: Ptr, event: u64);
    fn envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler: Ptr);
    fn envoy_dynamic_module_callback_http_filter_continue_decoding(f: Ptr);
    fn envoy_dynamic_module_callback_http_filter_reset_stream(f: Ptr, reason: u32, details: Buf);
    fn envoy_dynamic_module_callback_http_filter_recreate_stream(f: Ptr, headers: *const Pair, count: usize) -> bool;

    fn envoy_dynamic_module_callback_http_filter_config_scheduler_new(c: Ptr) -> Ptr;
    fn envoy_dynamic_module_callback_http_filter_config_scheduler_commit(scheduler: Ptr, event: u64);
    fn envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler: Ptr);
    fn envoy_dynamic_module_callback_http_filter_config_define_counter(
        c: Ptr,
        name: Buf,
        labels: *const Buf,
        count: usize,
        id: *mut usize,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_define_gauge(
        c: Ptr,
        name: Buf,
        labels: *const Buf,
        count: usize,
        id: *mut usize,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_define_histogram(
        c: Ptr,
        name: Buf,
        labels: *const Buf,
        count: usize,
        id: *mut usize,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_increment_counter(
        c: Ptr,
        id: usize,
        values: *const Buf,
        count: usize,
        by: u64,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_set_gauge(
        c: Ptr,
        id: usize,
        values: *const Buf,
        count: usize,
        to: u64,
    ) -> u32;
    fn envoy_dynamic_module_callback_http_filter_config_record_histogram_value(
        c: Ptr,
        id: usize,
        values: *const Buf,
        count: usize,
        value: u64,
    ) -> u32;

    fn envoy_dynamic_module_callback_lb_get_cluster_name(lb: Ptr, out: *mut Buf);
    fn envoy_dynamic_module_callback_lb_get_healthy_hosts_count(lb: Ptr, priority: u32) -> usize;
    fn envoy_dynamic_module_callback_lb_get_healthy_host_address(
        lb: Ptr,
        priority: u32,
        i: usize,
        out: *mut Buf,
    ) -> bool;
    fn envoy_dynamic_module_callback_lb_get_hosts_count(lb: Ptr, priority: u32) -> usize;
    fn envoy_dynamic_module_callback_lb_get_host_address(lb: Ptr, priority: u32, i: usize, out: *mut Buf) -> bool;
    fn envoy_dynamic_module_callback_lb_get_host_metadata_number(
        lb: Ptr,
        priority: u32,
        i: usize,
        ns: Buf,
        key: Buf,
        out: *mut f64,
    ) -> bool;
}

/// Envoy runs with `--mode validate`: no threads, no sockets.
pub fn validating() -> bool {
    unsafe { envoy_dynamic_module_callback_is_validation_mode() }
}

/// Into Envoy's own log.
pub fn log_error(message: &str) {
    const ERROR: u32 = 4;
    unsafe { envoy_dynamic_module_callback_log(ERROR, Buf::of(message.as_bytes())) }
}

/// Envoy's side of one HTTP stream. Only lives inside a hook; what it lends is good until a setter is called.
pub struct Http<'a>(Ptr, PhantomData<&'a ()>);

impl Http<'_> {
    /// # Safety
    /// `f` is the filter pointer that the running hook was given.
    pub unsafe fn new(f: Ptr) -> Self {
        Http(f, PhantomData)
    }

    /// The module's per-route configuration of the stream's present route, null if it has none.
    pub fn route_config(&self) -> Ptr {
        unsafe { envoy_dynamic_module_callback_get_most_specific_route_config(self.0) }
    }

    /// The first value of a header. Lower-case names only.
    pub fn header(&self, kind: u32, name: &str) -> Option<&[u8]> {
        let (mut out, key) = (Buf::EMPTY, Buf::of(name.as_bytes()));
        let found =
            unsafe { envoy_dynamic_module_callback_http_get_header(self.0, kind, key, &mut out, 0, ptr::null_mut()) };
        (found && !out.ptr.is_null()).then(|| unsafe { out.get() })
    }

    pub fn set_header(&mut self, kind: u32, name: &str, value: &[u8]) {
        unsafe {
            envoy_dynamic_module_callback_http_set_header(self.0, kind, Buf::of(name.as_bytes()), Buf::of(value));
        }
    }

    pub fn remove_header(&mut self, kind: u32, name: &str) {
        unsafe { envoy_dynamic_module_callback_http_set_header(self.0, kind, Buf::of(name.as_bytes()), Buf::EMPTY) };
    }

    /// A value for the access log. Each name once a stream: Envoy throws at the second.
    pub fn set_filter_state(&mut self, name: &str, value: &[u8]) {
        let (name, value) = (Buf::of(name.as_bytes()), Buf::of(value));
        unsafe { envoy_dynamic_module_callback_http_set_filter_state_bytes(self.0, name, value) };
    }

    /// Why the answer is what it is, in a word of Envoy's or of `answer`.
    pub fn details(&self) -> Option<&[u8]> {
        const RESPONSE_CODE_DETAILS: u32 = 16;
        let mut out = Buf::EMPTY;
        let call = envoy_dynamic_module_callback_http_filter_get_attribute_string;
        let found = unsafe { call(self.0, RESPONSE_CODE_DETAILS, &mut out) };
        (found && !out.ptr.is_null()).then(|| unsafe { out.get() })
    }

    /// Answers in place of the backend. `details` lands in the access log as %RESPONSE_CODE_DETAILS%.
    pub fn answer(&mut self, status: u32, headers: &[Pair], body: &[u8], details: &str) {
        let (body, details) = (Buf::of(body), Buf::of(details.as_bytes()));
        unsafe {
            envoy_dynamic_module_callback_http_send_response(
                self.0,
                status,
                headers.as_ptr(),
                headers.len(),
                body,
                details,
            );
        }
    }

    pub fn body_size(&self, kind: u32) -> usize {
        unsafe { envoy_dynamic_module_callback_http_get_body_size(self.0, kind) }
    }

    /// Appends a body to `out`.
    pub fn read_body(&self, kind: u32, out: &mut Vec<u8>) {
        let n = unsafe { envoy_dynamic_module_callback_http_get_body_chunks_size(self.0, kind) };
        let mut few = [Buf::EMPTY; 8];
        let mut many = Vec::new();
        let chunks = if n <= few.len() {
            &mut few[..n]
        } else {
            many.resize(n, Buf::EMPTY);
            &mut many[..]
        };
        if n > 0 && unsafe { envoy_dynamic_module_callback_http_get_body_chunks(self.0, kind, chunks.as_mut_ptr()) } {
            for chunk in chunks {
                out.extend_from_slice(unsafe { chunk.get() });
            }
        }
    }

    /// Puts `new` in place of a whole body.
    pub fn replace_body(&mut self, kind: u32, new: &[u8]) {
        unsafe {
            envoy_dynamic_module_callback_http_drain_body(self.0, kind, self.body_size(kind));
            if !new.is_empty() {
                envoy_dynamic_module_callback_http_append_body(self.0, kind, Buf::of(new));
            }
        }
    }

    /// The request body just received is the one that was buffered before, not a further piece.
    pub fn request_is_buffered(&self) -> bool {
        unsafe { envoy_dynamic_module_callback_http_received_buffered_request_body(self.0) }
    }

    /// The same of the response body.
    pub fn response_is_buffered(&self) -> bool {
        unsafe { envoy_dynamic_module_callback_http_received_buffered_response_body(self.0) }
    }

    /// All headers in one call, names in small letters, into `out`.
    pub fn headers<'a>(&'a self, kind: u32, out: &'a mut Vec<Pair>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let n = unsafe { envoy_dynamic_module_callback_http_get_headers_size(self.0, kind) };
        out.clear();
        out.resize(n, Pair::EMPTY);
        if !unsafe { envoy_dynamic_module_callback_http_get_headers(self.0, kind, out.as_mut_ptr()) } {
            out.clear();
        }
        out.iter().map(|p| unsafe { (p.key.get(), p.value.get()) })
    }

    /// The route is chosen anew from the headers as they are now.
    pub fn choose_route_again(&mut self) {
        unsafe { envoy_dynamic_module_callback_http_clear_route_cache(self.0) }
    }

    /// Healthy backends of the present route's cluster; None without a cluster.
    pub fn healthy_hosts(&self) -> Option<usize> {
        let (mut total, mut healthy, mut degraded) = (0, 0, 0);
        unsafe {
            envoy_dynamic_module_callback_http_get_cluster_host_count(
                self.0,
                0,
                &mut total,
                &mut healthy,
                &mut degraded,
            )
        }
        .then_some(healthy)
    }

    /// What wakes this stream from other threads.
    pub fn scheduler(&self) -> Scheduler {
        Scheduler(unsafe { envoy_dynamic_module_callback_http_filter_scheduler_new(self.0) })
    }

    /// Goes on with a request that was stopped. Not for use inside a request hook.
    pub fn go_on(&mut self) {
        unsafe { envoy_dynamic_module_callback_http_filter_continue_decoding(self.0) }
    }

    /// Breaks the stream off, so that the client sees that it is not whole.
    pub fn reset(&mut self, details: &str) {
        const LOCAL_RESET: u32 = 0;
        let details = Buf::of(details.as_bytes());
        unsafe { envoy_dynamic_module_callback_http_filter_reset_stream(self.0, LOCAL_RESET, details) }
    }

    /// Begins the request anew, with its headers as they are now and the body that is buffered. The running hook must
    /// stop. False: not possible, nothing has changed.
    pub fn begin_again(&mut self) -> bool {
        unsafe { envoy_dynamic_module_callback_http_filter_recreate_stream(self.0, ptr::null(), 0) }
    }

    /// How much of a request body may be held back, in bytes.
    pub fn set_buffer_limit(&mut self, bytes: u64) {
        unsafe { envoy_dynamic_module_callback_http_set_buffer_limit(self.0, bytes) }
    }
}

/// Wakes one stream on its worker thread, from any thread.
pub struct Scheduler(Ptr);

unsafe impl Send for Scheduler {}

impl Scheduler {
    pub fn wake(&self, event: u64) {
        unsafe { envoy_dynamic_module_callback_http_filter_scheduler_commit(self.0, event) }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        unsafe { envoy_dynamic_module_callback_http_filter_scheduler_delete(self.0) }
    }
}

/// Wakes a filter configuration on the main thread, from any thread.
pub struct ConfigScheduler(Ptr);

unsafe impl Send for ConfigScheduler {}

impl ConfigScheduler {
    pub fn wake(&self, event: u64) {
        unsafe { envoy_dynamic_module_callback_http_filter_config_scheduler_commit(self.0, event) }
    }
}

impl Drop for ConfigScheduler {
    fn drop(&mut self) {
        unsafe { envoy_dynamic_module_callback_http_filter_config_scheduler_delete(self.0) }
    }
}

#[derive(Clone, Copy)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Envoy's side of a filter configuration. Main thread only.
#[derive(Clone, Copy)]
pub struct Metrics(pub Ptr);

impl Metrics {
    /// A statistic with labels; None: Envoy takes no more.
    pub fn define(&self, kind: Kind, name: &str, labels: &[&str]) -> Option<usize> {
        let labels: Vec<Buf> = labels.iter().map(|l| Buf::of(l.as_bytes())).collect();
        let (name, mut id) = (Buf::of(name.as_bytes()), 0);
        let define = match kind {
            Kind::Counter => envoy_dynamic_module_callback_http_filter_config_define_counter,
            Kind::Gauge => envoy_dynamic_module_callback_http_filter_config_define_gauge,
            Kind::Histogram => envoy_dynamic_module_callback_http_filter_config_define_histogram,
        };
        (unsafe { define(self.0, name, labels.as_ptr(), labels.len(), &mut id) } == 0).then_some(id)
    }

    fn with(
        &self,
        call: unsafe extern "C" fn(Ptr, usize, *const Buf, usize, u64) -> u32,
        id: usize,
        labels: &[&str],
        n: u64,
    ) {
        let mut values = [Buf::EMPTY; 2];
        for (value, label) in values.iter_mut().zip(labels) {
            *value = Buf::of(label.as_bytes());
        }
        unsafe { call(self.0, id, values.as_ptr(), labels.len(), n) };
    }

    pub fn add(&self, id: usize, labels: &[&str], n: u64) {
        self.with(envoy_dynamic_module_callback_http_filter_config_increment_counter, id, labels, n);
    }

    pub fn set(&self, id: usize, labels: &[&str], n: u64) {
        self.with(envoy_dynamic_module_callback_http_filter_config_set_gauge, id, labels, n);
    }

    pub fn record(&self, id: usize, labels: &[&str], n: u64) {
        self.with(envoy_dynamic_module_callback_http_filter_config_record_histogram_value, id, labels, n);
    }

    pub fn scheduler(&self) -> ConfigScheduler {
        ConfigScheduler(unsafe { envoy_dynamic_module_callback_http_filter_config_scheduler_new(self.0) })
    }
}

/// Envoy's side of a load balancer: one worker thread's view of one cluster. Priority 0 only.
#[derive(Clone, Copy)]
pub struct Cluster(pub Ptr);

type Count = unsafe extern "C" fn(Ptr, u32) -> usize;
type Address = unsafe extern "C" fn(Ptr, u32, usize, *mut Buf) -> bool;

impl Cluster {
    pub fn name(&self) -> Vec<u8> {
        let mut out = Buf::EMPTY;
        unsafe {
            envoy_dynamic_module_callback_lb_get_cluster_name(self.0, &mut out);
            out.get().to_vec()
        }
    }

    fn hosts(&self, count: Count, address: Address) -> impl Iterator<Item = &[u8]> {
        let n = unsafe { count(self.0, 0) };
        (0..n).map(move |i| {
            let mut out = Buf::EMPTY;
            unsafe {
                address(self.0, 0, i, &mut out);
                out.get()
            }
        })
    }

    /// Addresses ("10.0.0.1:80") of all hosts, in the order of `Cluster::number`.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.hosts(envoy_dynamic_module_callback_lb_get_hosts_count, envoy_dynamic_module_callback_lb_get_host_address)
    }

    /// Addresses of the healthy hosts, in the order that `choose_host` answers in: another index than that of `all`.
    pub fn healthy(&self) -> impl Iterator<Item = &[u8]> {
        self.hosts(
            envoy_dynamic_module_callback_lb_get_healthy_hosts_count,
            envoy_dynamic_module_callback_lb_get_healthy_host_address,
        )
    }

    pub fn healthy_count(&self) -> usize {
        unsafe { envoy_dynamic_module_callback_lb_get_healthy_hosts_count(self.0, 0) }
    }

    /// A number from the metadata of host `i` of `all`.
    pub fn number(&self, i: usize, namespace: &str, key: &str) -> Option<f64> {
        let (mut out, ns, key) = (0.0, Buf::of(namespace.as_bytes()), Buf::of(key.as_bytes()));
        unsafe { envoy_dynamic_module_callback_lb_get_host_metadata_number(self.0, 0, i, ns, key, &mut out) }
            .then_some(out)
    }
}
