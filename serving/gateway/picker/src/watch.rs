//! Time for streams. Envoy gives a filter no timers, so one thread looks at all deadlines and wakes the streams whose
//! time has come on their own worker threads. It also keeps the coarse clock, which costs a load instead of a call.
use crate::abi::Scheduler;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How late a deadline may fire.
pub const TICK: Duration = Duration::from_millis(20);
const NEVER: u64 = u64::MAX;

static NOW: AtomicU64 = AtomicU64::new(0);
static WATCHES: Mutex<Vec<Arc<Watch>>> = Mutex::new(Vec::new());

/// Milliseconds since the module was loaded, at most a tick old.
pub fn coarse_now() -> u64 {
    NOW.load(Relaxed)
}

/// One stream's deadline.
pub struct Watch {
    deadline: AtomicU64,
    scheduler: Mutex<Option<Scheduler>>,
}

impl Watch {
    /// Registers a stream; `scheduler` wakes it.
    pub fn new(scheduler: Scheduler) -> Arc<Watch> {
        let watch = Arc::new(Watch { deadline: AtomicU64::new(NEVER), scheduler: Mutex::new(Some(scheduler)) });
        WATCHES.lock().unwrap_or_else(PoisonError::into_inner).push(watch.clone());
        watch
    }

    /// Wake the stream in so many milliseconds (instead of at the time set before).
    pub fn wake_in(&self, ms: u64) {
        self.deadline.store(coarse_now().saturating_add(ms).saturating_add(1), Relaxed);
    }

    /// The time set last is over: a wake-up that was on its way may have been put off.
    pub fn due(&self) -> bool {
        self.deadline.load(Relaxed) <= coarse_now()
    }

    pub fn rest(&self) {
        self.deadline.store(NEVER, Relaxed);
    }

    /// The stream ends: no wake-up comes after this returns.
    pub fn close(&self) {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// One look at all deadlines; the thread's work at every tick.
pub fn tick() {
    static START: OnceLock<Instant> = OnceLock::new();
    let now = START.get_or_init(Instant::now).elapsed().as_millis() as u64;
    NOW.store(now, Relaxed);
    let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    watches.retain(|watch| {
        if Arc::strong_count(watch) == 1 {
            return false;
        }
        if watch.deadline.load(Relaxed) <= now {
            if let Some(scheduler) = &*watch.scheduler.lock().unwrap_or_else(PoisonError::into_inner) {
                scheduler.wake(0);
            }
        }
        true
    });
}
