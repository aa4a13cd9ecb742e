//! `contactbridge plan`: the very plan that `sync` would execute, from the same engine. Writes nothing on any side.

use serde::Serialize;

use super::args::{Global, RunArgs};
use super::exit::Exit;
use super::output::{Output, table};
use super::sync::{Pass, passes, run_id};
use super::world::RealWorld;
use crate::model::Result;
use crate::sync::{Guard, Outcome, PlanItem};

/// How many lines of a plan a person is shown; JSON has all of them.
const DEFAULT_LINES_MAX: usize = 200;

#[derive(Serialize)]
struct Document {
    run: String,
    bridges: Vec<Planned>,
}

/// What a run would do to one bridge. The counts are of the lines of the plan.
#[derive(Serialize)]
struct Planned {
    bridge: String,
    outcome: Outcome,
    guard: Option<Guard>,
    pull: Writes,
    push: Writes,
    held: u64,
    plan: Vec<PlanItem>,
    error: Option<String>,
}

/// Records that would be written on one side.
#[derive(Clone, Copy, Default, Serialize)]
struct Writes {
    created: u64,
    updated: u64,
    deleted: u64,
}

impl Planned {
    fn new(pass: Pass) -> Self {
        let (mut pull, mut push, mut held) = (Writes::default(), Writes::default(), 0);
        for item in &pass.plan {
            let writes = if item.side == "remote" {
                &mut push
            } else {
                &mut pull
            };
            match item.action {
                "create" => writes.created += 1,
                "update" => writes.updated += 1,
                "delete" => writes.deleted += 1,
                "hold" => held += 1,
                _ => {}
            }
        }
        Self {
            bridge: pass.report.bridge,
            outcome: pass.report.outcome,
            guard: pass.report.guard,
            pull,
            push,
            held,
            plan: pass.plan,
            error: pass.report.error,
        }
    }

    fn heading(&self) -> String {
        let mut said = Vec::new();
        for (place, writes) in [("rows", self.pull), ("contacts", self.push)] {
            for (count, what) in [
                (writes.created, "create"),
                (writes.updated, "update"),
                (writes.deleted, "delete"),
            ] {
                if count > 0 {
                    said.push(format!("{what} {count} {place}"));
                }
            }
        }
        if self.held > 0 {
            said.push(format!("hold {} records", self.held));
        }
        let what = match (self.outcome, self.guard, said.is_empty()) {
            (Outcome::Failed, _, _) => "no plan could be made".to_owned(),
            (_, Some(guard), _) => format!(
                "the guard {} would stop a run that would {}",
                guard.name(),
                said.join(", ")
            ),
            (_, None, true) => "nothing to do".to_owned(),
            (_, None, false) => format!("would {}", said.join(", ")),
        };
        format!("{}: {what}\n", self.bridge)
    }
}

/// Prints the plan of each bridge; `exit_code`: 10 where there is something to do.
pub async fn run(global: &Global, args: &RunArgs, exit_code: bool, output: Output) -> Result<Exit> {
    let world = RealWorld::new();
    let mut document = Document {
        run: run_id(&world),
        bridges: Vec::new(),
    };
    let outcome = passes(global, args, &world, true, &mut |pass| {
        document.bridges.push(Planned::new(pass));
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
        text.push_str(&bridge.heading());
        if bridge.plan.is_empty() {
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
