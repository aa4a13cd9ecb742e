//! `contactbridge simulate KIND`: a CRM on loopback until a signal comes, which is a clean end.

use super::args::SimulateKind;
use super::exit::Exit;
use super::output::Output;
use crate::model::Result;
use crate::simulator::contactlist::{Introduction, serve};

/// Serves, and says on stdout what a bridge needs to reach it.
pub async fn run(kind: SimulateKind, output: Output) -> Result<Exit> {
    match kind {
        SimulateKind::Contactlist(args) => {
            serve(args, |introduction| {
                output.report(introduction, Introduction::text)
            })
            .await?;
            Ok(Exit::Clean)
        }
        SimulateKind::AssociationAnywhere { .. } => {
            Err(super::not_in_this_version("simulate association-anywhere"))
        }
        SimulateKind::DataSync { .. } => Err(super::not_in_this_version("simulate data-sync")),
    }
}
