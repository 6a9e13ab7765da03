//! The load balancing policy: one `Balancer` per cluster and worker thread, one `Pool` per cluster.
//!
//! The filter places an order when it lets a request go; `choose` serves it. So the first choice and every retry see the
//! hosts as Envoy sees them at that moment, and a retry takes the work off the backend that failed.
use crate::abi::{Cluster, Ptr};
use crate::memory::Number;
use crate::peers;
use crate::pool::{name, Ahead, Charge, Pool, Traits};
use crate::stats::{Count, ModelStats};
use crate::wire::Told;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Metadata namespace of endpoints.
const NAMESPACE: &str = "berth";

pub type Shared = Arc<Mutex<Pool>>;

/// A pool stays usable when a thread panicked while it held it: its numbers may be off by one request.
pub fn lock(pool: &Shared) -> MutexGuard<'_, Pool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

static POOLS: Mutex<Option<HashMap<Vec<u8>, Shared>>> = Mutex::new(None);

fn pools<T>(body: impl FnOnce(&mut HashMap<Vec<u8>, Shared>) -> T) -> T {
    body(POOLS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// The pool of a cluster, for all worker threads. Pools outlive their clusters, so that an update forgets nothing.
pub fn pool(cluster: &[u8]) -> Shared {
    pools(|p| p.entry(cluster.to_vec()).or_default().clone())
}

/// All pools by the name that gateways give their clusters among themselves.
pub fn all_pools() -> Vec<(u64, Shared)> {
    pools(|p| p.iter().map(|(cluster, pool)| (name(cluster), pool.clone())).collect())
}

/// A request that wants a backend: its prompt until it has one, then what it holds of it.
pub struct Order {
    pub chain: Vec<u64>,
    pub prompt_bytes: u64,
    pub stats: Arc<ModelStats>,
    pool: Option<(u64, Shared)>,
    charge: Option<Charge>,
    /// Envoy's, once it has asked.
    context: Option<usize>,
    /// Backends that failed it.
    tried: Vec<Number>,
    /// The backend's name among gateways, and what it was told to have got.
    told: (u64, u64),
    ahead: Ahead,
    pub cached: u64,
    /// Expected seconds to the first token.
    pub estimate: Option<f64>,
}

impl Order {
    pub fn new(stats: Arc<ModelStats>, prompt_bytes: u64) -> Self {
        Order {
            chain: Vec::new(),
            prompt_bytes,
            stats,
            pool: None,
            charge: None,
            context: None,
            tried: Vec::new(),
            told: (0, 0),
            ahead: Ahead::default(),
            cached: 0,
            estimate: None,
        }
    }

    /// The first token is out, so many seconds after the request was passed on.
    pub fn prefilled(&mut self, seconds: f64) {
        if let (Some((cluster, pool)), Some(charge)) = (&self.pool, &mut self.charge) {
            let mut pool = lock(pool);
            pool.prefilled(charge);
            pool.observe(self.ahead, seconds);
            drop(pool);
            let (backend, work) = (self.told.0, std::mem::take(&mut self.told.1));
            peers::tell(|| Told { cluster: *cluster, backend, work: -(work as i64), active: 0 }, &[]);
        }
    }

    /// The request has ended, or its backend failed it. Does nothing the second time.
    pub fn finished(&mut self) {
        if let (Some((cluster, pool)), Some(charge)) = (&self.pool, self.charge.take()) {
            lock(pool).finished(charge);
            let (backend, work) = (self.told.0, std::mem::take(&mut self.told.1));
            peers::tell(|| Told { cluster: *cluster, backend, work: -(work as i64), active: -1 }, &[]);
        }
    }
}

pub type Placed = Rc<RefCell<Order>>;

thread_local! {
    /// The order of the request that its filter has just let go: Envoy asks for its host before this thread turns to
    /// any other request.
    static NEXT: RefCell<Option<Placed>> = const { RefCell::new(None) };
    /// Orders that have been asked for, by Envoy's context: the request's router, which comes back for every retry.
    static ASKED: RefCell<HashMap<usize, Placed>> = RefCell::default();
}

/// The request that goes on now has this order, or none.
pub fn place(order: Option<Placed>) {
    NEXT.replace(order);
}

/// Before a request's router goes, whose address may be another's next.
pub fn withdraw(order: &Placed) {
    NEXT.with_borrow_mut(|next| drop(next.take_if(|n| Rc::ptr_eq(n, order))));
    if let Some(context) = order.borrow_mut().context.take() {
        ASKED.with_borrow_mut(|asked| asked.remove(&context));
    }
}

fn asked_by(context: Ptr) -> Option<Placed> {
    let context = Some(context as usize).filter(|c| *c != 0)?;
    let before = ASKED.with_borrow(|asked| asked.get(&context).cloned());
    before.or_else(|| {
        let order = NEXT.take()?;
        order.try_borrow_mut().ok()?.context = Some(context);
        ASKED.with_borrow_mut(|asked| asked.insert(context, order.clone()));
        Some(order)
    })
}

/// One worker thread's view of one cluster.
pub struct Balancer {
    cluster: Cluster,
    /// Its name among gateways.
    name: u64,
    pool: Shared,
    /// A shadow's request has no order, and must not take another's.
    serves: bool,
    /// Pool numbers of the healthy hosts in Envoy's order; read anew when Envoy says that hosts changed.
    healthy: RefCell<Option<Vec<Number>>>,
}

impl Balancer {
    pub fn new(cluster: Cluster) -> Self {
        let own = cluster.name();
        let serves = !own.ends_with(b".shadow");
        Balancer { cluster, name: name(&own), pool: pool(&own), serves, healthy: RefCell::default() }
    }

    pub fn hosts_changed(&self) {
        self.healthy.replace(Some(self.refresh()));
    }

    fn refresh(&self) -> Vec<Number> {
        let all: Vec<&[u8]> = self.cluster.all().collect();
        let mut pool = lock(&self.pool);
        let numbers: HashMap<&[u8], Number> =
            all.iter().enumerate().map(|(i, address)| (*address, pool.number(address, self.traits(i)))).collect();
        pool.keep(|address| numbers.contains_key(address));
        let up: Vec<_> = self.cluster.healthy().filter_map(|address| numbers.get(address).copied()).collect();
        pool.set_up(&up);
        up
    }

    fn traits(&self, i: usize) -> Traits {
        let number = |key| self.cluster.number(i, NAMESPACE, key).filter(|v| v.is_finite() && *v > 0.0);
        Traits {
            speed: number("speed").unwrap_or(1.0),
            kv_tokens: number("kv_tokens").map(|v| v as u64),
            slots: number("concurrent_requests").map_or(0, |v| v as u32),
        }
    }

    /// The index of the chosen host among the healthy ones.
    pub fn choose(&self, context: Ptr) -> Option<u32> {
        let mut healthy = self.healthy.borrow_mut();
        if healthy.as_ref().is_none_or(|h| h.len() != self.cluster.healthy_count()) {
            *healthy = Some(self.refresh());
        }
        let healthy = healthy.as_deref()?;
        let Some(order) = self.serves.then(|| asked_by(context)).flatten() else {
            let least = lock(&self.pool).least(healthy.iter().copied())?;
            return healthy.iter().position(|n| *n == least).map(|i| i as u32);
        };
        let mut order = order.try_borrow_mut().ok()?;
        let failed = order.charge.as_ref().map(|c| c.backend);
        order.finished();
        order.tried.extend(failed);
        let left: Vec<_>; // none left: then any of them must do
        let mut up = healthy;
        if failed.is_some() {
            left = healthy.iter().copied().filter(|n| !order.tried.contains(n)).collect();
            up = if left.is_empty() { healthy } else { &left };
        }
        let mut pool = lock(&self.pool);
        let pick = pool.pick(up, &order.chain, order.prompt_bytes)?;
        let chosen = pick.charge.backend;
        if peers::on() {
            let backend = pool.backend(chosen).map_or(0, |b| name(&b.address));
            let work = order.prompt_bytes - pick.cached;
            order.told = (backend, work);
            let told = || Told { cluster: self.name, backend, work: work as i64, active: 1 };
            peers::tell(told, &order.chain);
        }
        drop(pool);
        (order.cached, order.ahead, order.estimate) = (pick.cached, pick.ahead, pick.estimate);
        order.stats.count(if failed.is_some() { Count::Repicks } else { Count::Picks }, 1);
        if failed.is_none() {
            order.stats.count(Count::PromptBytes, order.prompt_bytes);
            order.stats.count(Count::CachedBytes, pick.cached);
        }
        if pick.spilled {
            order.stats.count(Count::Spills, 1);
        }
        order.charge = Some(pick.charge);
        order.pool = Some((self.name, self.pool.clone()));
        healthy.iter().position(|n| *n == chosen).map(|i| i as u32)
    }
}
