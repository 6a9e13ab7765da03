//! What the gateway's routes say (RDS): models, tenants, limits. Parsed once an update; streams keep the one they began
//! with, so that a rotation of keys or a change of models cuts nothing.
use crate::balancer::{self, Shared};
use crate::caps::{Asked, Caps};
use crate::limits::{self, Account, Allowance};
use crate::peers;
use crate::sha256::{from_hex, same, sha256, Digest};
use crate::stats::{self, ModelStats, UseStats};
use crate::tree::Tree;
use std::sync::Arc;

/// A path that a model answers on.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    pub method: String,
    pub path: String,
}

/// How a model's requests are treated; all times in milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Care {
    /// From passing on to the first byte of the answer; 0: as long as it takes.
    pub first_token_ms: u64,
    /// Between two pieces of an answer; 0: as long as it takes.
    pub idle_ms: u64,
    /// A whole stream; 0: as long as it takes.
    pub stream_ms: u64,
    /// Envoy's own limit of silence for this route, before and in an answer.
    pub envoy_idle_ms: u64,
    /// How long a request waits for a backend when there is none.
    pub hold_ms: u64,
    /// How many may wait.
    pub hold_requests: u64,
    /// Tokens that a request without a limit gets, and the largest limit.
    pub default_tokens: Option<u64>,
    pub most_tokens: Option<u64>,
    pub caps: Caps,
    /// Streams are made to tell their usage.
    pub meter_streams: bool,
}

/// A remote service instead of backends of our own.
#[derive(Clone)]
pub struct Provider {
    /// The model's name there.
    pub model: String,
    /// What stands in place of /v1.
    pub path: String,
    pub key: String,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Provider({}, {})", self.model, self.path)
    }
}

#[derive(Debug, Clone)]
pub struct Model {
    pub name: String,
    pub embeds: bool,
    pub care: Care,
    /// Models that answer in its place when it cannot, in order, as numbers of `Gateway::models`.
    pub fallback: Vec<usize>,
    pub provider: Option<Provider>,
    pub stats: Arc<ModelStats>,
    pub pool: Shared,
    /// Under the OpenAI base URL, where the body names the model.
    pub openai: Vec<Route>,
    /// Under /models/<name>/.
    pub native: Vec<Route>,
    /// The backend is chosen by this module.
    pub picks: bool,
    /// Some of its requests go to a new revision, whose backends may all be down while the old one's are up.
    pub canary: bool,
}

impl Model {
    pub fn serves(routes: &[Route], method: &[u8], path: &[u8]) -> bool {
        routes.iter().any(|r| r.method.as_bytes() == method && r.path.as_bytes() == path)
    }
}

#[derive(Debug, Clone)]
pub struct Tenant {
    pub name: String,
    /// SHA-256 of each valid key.
    pub keys: Vec<Digest>,
    pub allowance: Allowance,
    pub account: Arc<Account>,
    /// Load at which the tenant's requests are refused, in parts of the slots of all backends.
    pub shed_at: f64,
    /// By model number.
    pub uses: Vec<Arc<UseStats>>,
}

#[derive(Debug)]
pub struct Gateway {
    pub models: Vec<Model>,
    pub tenants: Vec<Tenant>,
    /// Largest request body in bytes.
    pub max_body: u64,
    /// The answer to GET /v1/models.
    pub listing: String,
    pub peers: Option<peers::Settings>,
}

/// Tells what is missing at which place.
fn need<T>(value: Option<T>, place: &str, what: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("{place}: {what}"))
}

fn routes(tree: &Tree, key: &str, place: &str) -> Result<Vec<Route>, String> {
    let items = tree.get(key).map_or(&[][..], Tree::items);
    items
        .iter()
        .map(|item| {
            let line = need(item.text(), place, "a route must be a string such as \"POST /generate\"")?;
            let (method, path) = need(line.split_once(' '), place, "a route must be \"METHOD /path\"")?;
            Ok(Route { method: method.into(), path: path.into() })
        })
        .collect()
}

impl Model {
    fn parse(tree: &Tree, i: usize, names: &[&str]) -> Result<Model, String> {
        let place = format!("models[{i}]");
        let name = need(tree.get("name").and_then(Tree::text), &place, "needs a name")?.to_string();
        let text = |tree: &Tree, key: &str| tree.get(key).and_then(Tree::text).map(str::to_string);
        let whole = |key: &str| tree.get(key).and_then(Tree::whole);
        let fallback = tree.get("fallback").map_or(&[][..], Tree::items).iter();
        let fallback = fallback.map(|f| names.iter().position(|n| Some(*n) == f.text())).collect::<Option<Vec<_>>>();
        Ok(Model {
            embeds: tree.get("task").and_then(Tree::text) == Some("embed"),
            care: Care {
                first_token_ms: whole("first_token_ms").unwrap_or(0),
                idle_ms: whole("idle_ms").unwrap_or(0),
                stream_ms: whole("stream_ms").unwrap_or(0),
                envoy_idle_ms: whole("envoy_idle_ms").unwrap_or(u64::MAX),
                hold_ms: whole("hold_ms").unwrap_or(0),
                hold_requests: whole("hold_requests").unwrap_or(0),
                default_tokens: whole("default_tokens"),
                most_tokens: whole("most_tokens"),
                caps: tree.get("caps").map_or_else(Caps::default, caps),
                meter_streams: tree.get("meter_streams").and_then(Tree::bool).unwrap_or(false),
            },
            fallback: need(fallback, &place, "fallback names a model that is not there")?,
            provider: tree.get("provider").map(|p| Provider {
                model: text(p, "model").unwrap_or_default(),
                path: text(p, "path").unwrap_or_default(),
                key: text(p, "key").unwrap_or_default(),
            }),
            stats: stats::model(&name),
            pool: balancer::pool(name.as_bytes()),
            openai: routes(tree, "openai", &place)?,
            native: routes(tree, "native", &place)?,
            canary: tree.get("canary").and_then(Tree::bool).unwrap_or(false),
            picks: tree.get("picks").and_then(Tree::bool).unwrap_or(false),
            name,
        })
    }
}

/// What is not named has no cap.
fn caps(tree: &Tree) -> Caps {
    let most = |key: &str| tree.get(key).and_then(Tree::whole).unwrap_or(u64::MAX);
    Caps(Asked {
        choices: most("choices"),
        stops: most("stops"),
        top_tokens: most("top_tokens"),
        grammar_bytes: most("grammar_bytes"),
    })
}

impl Tenant {
    fn parse(tree: &Tree, i: usize, models: &[Model]) -> Result<Tenant, String> {
        let place = format!("tenants[{i}]");
        let name = need(tree.get("name").and_then(Tree::text), &place, "needs a name")?.to_string();
        let keys = tree.get("keys").map_or(&[][..], Tree::items);
        let keys: Option<Vec<_>> = keys.iter().map(|k| k.text().and_then(from_hex)).collect();
        let whole = |key: &str| tree.get(key).and_then(Tree::whole);
        Ok(Tenant {
            keys: need(keys, &place, "keys must be SHA-256 digests in hexadecimal")?,
            allowance: Allowance { requests: whole("requests_per_minute"), tokens: whole("tokens_per_minute") },
            account: limits::account(&name),
            shed_at: tree.get("shed_at").and_then(Tree::number).unwrap_or(f64::INFINITY),
            uses: models.iter().map(|m| stats::of_use(&name, &m.name)).collect(),
            name,
        })
    }
}

impl Gateway {
    pub fn parse(text: &[u8]) -> Result<Gateway, String> {
        let tree = Tree::parse(text)?;
        let list = |key: &str| tree.get(key).map_or(&[][..], Tree::items).iter().enumerate();
        let names: Vec<_> = list("models").map(|(_, t)| t.get("name").and_then(Tree::text).unwrap_or("")).collect();
        let models = list("models").map(|(i, t)| Model::parse(t, i, &names)).collect::<Result<Vec<_>, _>>()?;
        let tenants = list("tenants").map(|(i, t)| Tenant::parse(t, i, &models)).collect::<Result<Vec<_>, _>>()?;
        let max_body = need(tree.get("max_body").and_then(Tree::whole), "max_body", "needs a number of bytes")?;
        let listing = listing(&models);
        let peers = tree.get("peers").map(peers_settings).transpose()?;
        Ok(Gateway { models, tenants, max_body, listing, peers })
    }

    /// The number of a model that clients may name. Providers are there for fallback only.
    pub fn model(&self, name: &[u8]) -> Option<usize> {
        self.models.iter().position(|m| m.name.as_bytes() == name && m.provider.is_none())
    }

    /// Whose key this is. Every key of every tenant is compared in full, whatever the result.
    pub fn tenant(&self, key: &[u8]) -> Option<usize> {
        let digest = sha256(&[key]);
        let mut found = None;
        for (i, tenant) in self.tenants.iter().enumerate() {
            for valid in &tenant.keys {
                if same(valid, &digest) {
                    found = Some(i);
                }
            }
        }
        found
    }
}

fn peers_settings(tree: &Tree) -> Result<peers::Settings, String> {
    let text =
        |key: &str| need(tree.get(key).and_then(Tree::text), "peers", &format!("needs {key}")).map(str::to_string);
    let others = tree.get("others").map_or(&[][..], Tree::items).iter();
    Ok(peers::Settings {
        listen: text("listen")?,
        others: others.filter_map(Tree::text).map(str::to_string).collect(),
        key: need(from_hex(&text("key")?), "peers", "key must be 64 hexadecimal digits")?,
    })
}

/// One model in the form of OpenAI's models API. `created` is not known to a gateway.
pub fn entry(name: &str) -> String {
    format!(r#"{{"id":{},"object":"model","created":0,"owned_by":"berth"}}"#, crate::answer::quoted(name))
}

fn listing(models: &[Model]) -> String {
    let entries: Vec<_> = models.iter().filter(|m| m.provider.is_none()).map(|m| entry(&m.name)).collect();
    format!(r#"{{"object":"list","data":[{}]}}"#, entries.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"max_body":1000,
        "models":[{"name":"chat","picks":true,"openai":["POST /v1/chat/completions"],"native":["GET /info"]},{"name":"e"}],
        "tenants":[{"name":"acme","keys":["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]}]}"#;

    #[test]
    fn reads_models_and_tenants() {
        let g = Gateway::parse(TEXT.as_bytes()).unwrap();
        assert_eq!((g.model(b"e"), g.model(b"x"), g.max_body), (Some(1), None, 1000));
        assert!(g.models[0].picks && Model::serves(&g.models[0].native, b"GET", b"/info"));
        assert!(!Model::serves(&g.models[0].native, b"POST", b"/info"));
        assert_eq!((g.tenant(b"abc"), g.tenant(b"abd"), g.tenant(b"")), (Some(0), None, None));
        assert!(g.listing.contains(r#""id":"chat""#));
    }

    #[test]
    fn faults_name_the_place() {
        for (bad, place) in [
            ("{}", "max_body"),
            (r#"{"max_body":1,"models":[{}]}"#, "models[0]"),
            (r#"{"max_body":1,"models":[{"name":"a","native":["GET"]}]}"#, "models[0]"),
            (r#"{"max_body":1,"models":[{"name":"a","fallback":["b"]}]}"#, "models[0]"),
            (r#"{"max_body":1,"tenants":[{"name":"a","keys":["zz"]}]}"#, "tenants[0]"),
        ] {
            assert!(Gateway::parse(bad.as_bytes()).unwrap_err().starts_with(place), "{bad}");
        }
    }
}
