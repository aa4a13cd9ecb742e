//! `contactbridge simulate KIND`: a CRM on loopback until a signal comes, which is a clean end.

use super::args::SimulateKind;
use super::exit::Exit;
use crate::model::Result;
use crate::simulator::contactlist::serve;

/// Serves, and says on stdout what a bridge needs to reach it.
pub async fn run(kind: SimulateKind) -> Result<Exit> {
    match kind {
        SimulateKind::Contactlist(args) => {
            serve(args, &mut std::io::stdout()).await?;
            Ok(Exit::Clean)
        }
        SimulateKind::AssociationAnywhere { .. } => {
            Err(super::not_in_this_version("simulate association-anywhere"))
        }
        SimulateKind::DataSync { .. } => Err(super::not_in_this_version("simulate data-sync")),
    }
}
