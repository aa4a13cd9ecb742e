//! `contactbridge simulate KIND`: a CRM on loopback until a signal comes, which is a clean end.

use super::args::SimulateKind;
use super::exit::Exit;
use super::output::Output;
use crate::model::Result;
use crate::simulator::{association_anywhere, contactlist, data_sync};

/// Serves, and says on stdout what a bridge needs to reach it.
pub async fn run(kind: SimulateKind, output: Output) -> Result<Exit> {
    match kind {
        SimulateKind::Contactlist(args) => {
            contactlist::serve(args, |introduction| {
                output.report(introduction, contactlist::Introduction::text)
            })
            .await?;
            Ok(Exit::Clean)
        }
        SimulateKind::AssociationAnywhere(args) => {
            association_anywhere::serve(args, |introduction| {
                output.report(introduction, association_anywhere::Introduction::text)
            })
            .await?;
            Ok(Exit::Clean)
        }
        SimulateKind::DataSync(args) => {
            data_sync::serve(*args, |introduction| {
                output.report(introduction, data_sync::Introduction::text)
            })
            .await?;
            Ok(Exit::Clean)
        }
    }
}
