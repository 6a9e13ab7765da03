//! The module's one thread: deadlines at every tick, statistics twice a second. It belongs to a filter configuration
//! and ends with it.
use crate::abi::{ConfigScheduler, Metrics};
use crate::stats::Ids;
use crate::watch::{tick, TICK};
use std::sync::mpsc::{channel, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};

/// Ticks between two hand-overs of statistics.
const FLUSH: u32 = 25;

/// What the filter configuration (one a listener) holds.
pub struct FilterConfig {
    metrics: Metrics,
    ids: Ids,
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl FilterConfig {
    /// `threads`: false while Envoy only checks its configuration.
    pub fn new(metrics: Metrics, threads: bool) -> Self {
        let ids = Ids::define(&metrics);
        let running = threads.then(|| start(metrics.scheduler())).flatten();
        FilterConfig { metrics, ids, running }
    }

    /// On Envoy's main thread, when the clock asked for it.
    pub fn scheduled(&self) {
        self.ids.flush(&self.metrics);
    }
}

fn start(scheduler: ConfigScheduler) -> Option<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = channel();
    tick();
    let run = move || {
        let mut n = 0u32;
        while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            tick();
            n = n.wrapping_add(1);
            if n % FLUSH == 0 {
                scheduler.wake(0);
            }
        }
    };
    let thread = thread::Builder::new().name("berth-clock".into()).spawn(run).ok()?;
    Some((stop, thread))
}

impl Drop for FilterConfig {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // A panic in the thread has been reported by it; there is nothing to add here.
            drop(thread.join());
        }
    }
}
