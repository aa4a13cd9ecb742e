//! `contactbridge plan`: the very plan that `sync` would execute, from the same engine. Writes nothing on any side.

use serde::Serialize;

use super::args::{Global, RunArgs};
use super::exit::Exit;
use super::output::{Output, table};
use super::sync::{bridge_text, passes, run_id};
use super::world::RealWorld;
use crate::model::Result;
use crate::sync::{BridgeReport, PlanItem};

/// How many lines of a plan a person is shown; JSON has all of them.
const DEFAULT_LINES_MAX: usize = 200;

#[derive(Serialize)]
struct Document {
    run: String,
    bridges: Vec<Planned>,
}

#[derive(Serialize)]
struct Planned {
    #[serde(flatten)]
    report: BridgeReport,
    plan: Vec<PlanItem>,
}

/// Prints the plan of each bridge; `exit_code`: 10 where there is something to do.
pub async fn run(global: &Global, args: &RunArgs, exit_code: bool, output: Output) -> Result<Exit> {
    let world = RealWorld::new();
    let mut document = Document {
        run: run_id(&world),
        bridges: Vec::new(),
    };
    let outcome = passes(global, args, &world, true, &mut |pass| {
        document.bridges.push(Planned {
            report: pass.report,
            plan: pass.plan,
        });
    })
    .await;
    output.report(&document, text)?;
    let exit = outcome?;
    let something = document
        .bridges
        .iter()
        .any(|bridge| bridge.plan.iter().any(|item| item.action != "hold"));
    match exit {
        Exit::Clean | Exit::Held if exit_code && something => Ok(Exit::Pending),
        exit => Ok(exit),
    }
}

fn text(document: &Document) -> String {
    let mut text = String::new();
    for bridge in &document.bridges {
        text.push_str(&bridge_text(&bridge.report));
        if bridge.plan.is_empty() {
            text.push_str("  nothing to do\n");
            continue;
        }
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let shown = table(
            ["ACTION", "SIDE", "ROW", "CONTACT", "FIELDS", "WHY"],
            bridge.plan.iter().take(DEFAULT_LINES_MAX).map(|item| {
                [
                    item.action.to_owned(),
                    item.side.to_owned(),
                    or_none(&item.local),
                    or_none(&item.remote),
                    item.fields.join(", "),
                    item.reason.clone().unwrap_or_default(),
                ]
            }),
        );
        text.push_str(&shown);
        text.push('\n');
        if bridge.plan.len() > DEFAULT_LINES_MAX {
            let more = bridge.plan.len() - DEFAULT_LINES_MAX;
            text.push_str(&format!(
                "... and {more} more; --format json has them all\n"
            ));
        }
    }
    text
}
