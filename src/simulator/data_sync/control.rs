//! The simulator as a process is told what to do by HTTP: `POST /control/WHAT?name=value`, beside the paths of Data Sync.
//!
//! It answers with ids, numbers and counts alone; what a customer holds is for tests in process.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::any;
use serde_json::{Value, json};

use crate::simulator::answer;

use super::customer::Customer;
use super::retail::{Failure, RetailSystem, Survivor};
use super::third::Shared;

const PREFIX: &str = "/control/";
/// More customers than one request should make at a time.
const COUNT_MAX: usize = 100_000;
/// Larger than any receiver takes.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Everything that it may be told about, for messages and help.
pub(super) const NAMES: &str = "status, job, sample, add, edit, delete, merge, transaction, segment, junk, replay, fault, \
post-fault, calm, expire-tokens";

/// Both ends.
#[derive(Clone)]
pub(super) struct Control {
    third: Shared,
    retail: Option<Arc<RetailSystem>>,
}

/// The paths.
pub(super) fn router(third: &Shared, retail: Option<Arc<RetailSystem>>) -> Router {
    let control = Control {
        third: third.clone(),
        retail,
    };
    Router::new()
        .route("/control/{what}", any(handle))
        .with_state(control)
}

/// The status of an answer, and what it says.
type Said = (u16, Value);

fn refused(sentence: impl Into<String>) -> Said {
    (400, json!({ "error": sentence.into() }))
}

async fn handle(State(control): State<Control>, request: Request) -> Response {
    let uri = request.uri();
    let what = uri
        .path()
        .strip_prefix(PREFIX)
        .unwrap_or_default()
        .to_owned();
    let query = uri.query().unwrap_or_default().as_bytes();
    let values: HashMap<String, String> = form_urlencoded::parse(query).into_owned().collect();
    let (status, said) = match (request.method(), what.as_str()) {
        (&Method::GET, "status") => (200, control.status()),
        (&Method::POST, _) => control.act(&what, &Values(values)).await,
        _ => (405, json!({ "error": "POST, or GET /control/status" })),
    };
    let date = control.third.date();
    answer::answer(
        status,
        "application/json",
        Body::from(format!("{said}\n")),
        &date,
    )
}

/// What stands behind the question mark.
struct Values(HashMap<String, String>);

impl Values {
    fn text(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// A number up to `max`, or `default`.
    fn number(&self, name: &str, default: usize, max: usize) -> Result<usize, Said> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(number) if number <= max => Ok(number),
                _ => Err(refused(format!("{name}: expected a number up to {max}"))),
            },
        }
    }

    fn needed(&self, name: &str) -> Result<&str, Said> {
        self.text(name)
            .ok_or_else(|| refused(format!("{name} is missing")))
    }
}

impl Control {
    fn status(&self) -> Value {
        let retail = self.retail.as_ref().map(|retail| {
            let counts = retail.with(|books| {
                let queues = books.queues();
                json!({
                    "customers": books.customers().len(),
                    "transactions": books.transactions().len(),
                    "customer_pending": queues.customers().len(),
                    "transaction_pending": queues.transactions().len(),
                    "progress": queues.progress().len(),
                })
            });
            let delivered = retail.delivered();
            json!({
                "queues": counts,
                "sent": retail.sent_count(),
                "delivered": {
                    "customers": delivered.customers().len(),
                    "transactions": delivered.transactions().len(),
                    "repeated": delivered.repeated(),
                    "unreadable": delivered.unreadable(),
                },
            })
        });
        json!({ "application": self.third.status(), "retail": retail })
    }

    async fn act(&self, what: &str, values: &Values) -> Said {
        let done = match what {
            "fault" => self.switch(values, |text| self.third.switch(text)),
            "expire-tokens" => {
                self.third.expire_tokens();
                Ok(json!({}))
            }
            "calm" => {
                self.third.clear_rules();
                if let Some(retail) = &self.retail {
                    retail.clear_rules();
                }
                Ok(json!({}))
            }
            _ => match &self.retail {
                Some(retail) => tell(retail, self, what, values).await,
                None => Err((409, json!({ "error": "it was started without --post-to" }))),
            },
        };
        match done {
            Ok(said) => (200, said),
            Err(said) => said,
        }
    }

    fn switch(
        &self,
        values: &Values,
        turn: impl Fn(&str) -> Result<(), String>,
    ) -> Result<Value, Said> {
        let text = values.needed("set")?;
        text.split(',')
            .try_for_each(|part| turn(part.trim()))
            .map_err(refused)?;
        Ok(json!({}))
    }
}

/// Lets the retail system do something.
async fn tell(
    retail: &RetailSystem,
    control: &Control,
    what: &str,
    values: &Values,
) -> Result<Value, Said> {
    let missing = || (404, json!({ "error": "there is no such customer" }));
    match what {
        "job" => Ok(json!(retail.run_job().await)),
        "sample" => retail.send_sample().await.map_or_else(
            |failure: Failure| Err((502, json!(failure))),
            |status| Ok(json!({ "status": status })),
        ),
        "add" => match values.text("id") {
            Some(id) => Ok(json!({ "ids": [retail.add_customer(Customer::new(id))] })),
            None => {
                let count = values.number("count", 1, COUNT_MAX)?;
                Ok(json!({ "ids": retail.add_seeded(count) }))
            }
        },
        "edit" => {
            let is_done = retail.update_customer(values.needed("id")?, |customer| {
                customer.note("Edited by hand")
            });
            if is_done {
                Ok(json!({}))
            } else {
                Err(missing())
            }
        }
        "delete" => {
            let id = values.needed("id")?;
            let is_known = retail.delete_customer(id);
            if !is_known {
                retail.delete_unknown(id);
            }
            Ok(json!({ "known": is_known }))
        }
        "merge" => {
            let ids: Vec<&str> = values.needed("ids")?.split(',').collect();
            let survivor = match values.text("survivor") {
                None | Some("new") => Survivor::New,
                Some("first") => Survivor::First,
                Some(_) => return Err(refused("survivor: expected new or first")),
            };
            let id = retail.merge(&ids, survivor).ok_or_else(missing)?;
            Ok(json!({ "id": id }))
        }
        "transaction" => {
            let customer = values.needed("customer")?;
            let count = values.number("count", 1, COUNT_MAX)?;
            let bytes = values.number("bytes", 0, BYTES_MAX)?;
            let ids: Vec<String> = retail.with(|books| {
                (0..count)
                    .map(|_| books.post_seeded_padded(customer, bytes))
                    .collect()
            });
            Ok(json!({ "ids": ids }))
        }
        "segment" => {
            let count = values.number("count", usize::MAX, usize::MAX)?;
            Ok(json!({ "count": retail.segment_job(count) }))
        }
        "junk" => {
            let object = values.text("type").unwrap_or("CUSTOMER");
            let action = values.text("action").unwrap_or("CUSTOMERMOD");
            let payload = values.text("payload").unwrap_or_default();
            Ok(json!({ "unique_id": retail.queue_junk(object, action, payload).to_string() }))
        }
        "replay" => {
            let is_known = retail.replay(values.needed("unique-id")?);
            if is_known {
                Ok(json!({}))
            } else {
                Err((404, json!({ "error": "no such message was delivered" })))
            }
        }
        "post-fault" => control.switch(values, |text| retail.switch(text)),
        _ => Err((404, json!({ "error": format!("there are {NAMES}") }))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_listed_name_is_documented() {
        let page = include_str!("../../../docs/simulator.md");
        let (_, page) = page
            .split_once("### Told by HTTP")
            .expect("a section of its own");
        for name in super::NAMES.split(", ") {
            assert!(page.contains(&format!("`{name}")), "{name}");
        }
    }
}
