//! What is posted to a bridge while `run` stays: from its receiver into its store, and a pass soon afterwards.
//!
//! The receiver listens as long as `run` stays; the store may come and go meanwhile, and without it nothing is answered with 200.
//! It looks into no message.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::world::RealWorld;
use crate::config::{BridgeSettings, RemoteSettings};
use crate::model::{Error, Result, Signal, Vault, World};
use crate::remote::data_sync::Message;
use crate::remote::data_sync::receive::{
    Gathered, Group, GroupLimits, ReceiveLimits, Receiver, TokenKey,
};
use crate::service::control::Order;
use crate::state::AnyStore;
use crate::sync::{Keeper, RunOptions};

/// So long a pass waits for further messages: a pass reads what has changed in the database, whatever has arrived.
const GATHERING: Duration = Duration::from_secs(1);

/// Where the store of a bridge stands while it is open. Clones are the same place.
#[derive(Clone, Default)]
pub struct Mailbox(Arc<Mutex<Option<Open>>>);

#[derive(Clone)]
struct Open {
    store: Arc<AnyStore>,
    keeper: Arc<Keeper>,
}

impl Mailbox {
    /// From now on messages go into this store.
    pub async fn open(&self, store: &Arc<AnyStore>) -> Result<()> {
        let open = Open {
            keeper: Arc::new(Keeper::open(&**store).await?),
            store: Arc::clone(store),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(())
    }

    /// From now on they go nowhere.
    pub fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn get(&self) -> Option<Open> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A bridge's receiver that listens already and does not serve yet.
pub struct Reception {
    receiver: Receiver<Group>,
    gathered: Gathered,
    vault: Vault,
    world: RealWorld,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its messages go.
    pub mailbox: Mailbox,
}

impl Reception {
    /// Listens for a bridge that receives; `None` for any other. Errors as of [`Receiver::bind`].
    pub async fn bind(
        bridge: &BridgeSettings,
        vault: &Vault,
        world: &RealWorld,
    ) -> Result<Option<Self>> {
        let RemoteSettings::DataSync(remote) = &bridge.remote else {
            return Ok(None);
        };
        let Some(settings) = remote.receive.as_ref().filter(|_| bridge.direction.pulls()) else {
            return Ok(None);
        };
        let (group, gathered) = Group::new(GroupLimits::default());
        let receiver = Receiver::bind(
            settings,
            ReceiveLimits::from_settings(&bridge.limits),
            TokenKey::of(vault),
            Arc::new(group),
            Arc::new(world.clone()),
        )
        .await?;
        let address = receiver.address()?;
        tracing::info!(target: crate::service::LOG, bridge = bridge.name, "messages are taken at {address}");
        Ok(Some(Self {
            receiver,
            gathered,
            vault: vault.clone(),
            world: world.clone(),
            address,
            mailbox: Mailbox::default(),
        }))
    }

    /// Serves until `stop` says so. The handle ends when the answers that were due are given.
    pub fn serve(
        self,
        orders: mpsc::UnboundedSender<Order>,
        mut stop: watch::Receiver<Option<Signal>>,
    ) -> JoinHandle<()> {
        let Self {
            receiver,
            gathered,
            vault,
            world,
            mailbox,
            ..
        } = self;
        let bell = Bell {
            rung: Arc::default(),
            orders,
            world: world.clone(),
        };
        tokio::spawn(gathered.run(move |messages| {
            let kept = keep(mailbox.clone(), vault.clone(), world.clone(), messages);
            let bell = bell.clone();
            async move {
                let kept = kept.await;
                // Also after a failure: the pass finds out whether the store is still in order.
                bell.ring();
                kept
            }
        }));
        tokio::spawn(receiver.serve(async move {
            let _ = stop.wait_for(Option::is_some).await;
        }))
    }
}

async fn keep(
    mailbox: Mailbox,
    vault: Vault,
    world: RealWorld,
    messages: Vec<Message>,
) -> Result<()> {
    let Some(Open { store, keeper }) = mailbox.get() else {
        return Err(Error::needs_person(
            "E-HOOK-CUSTODY",
            "The store of this bridge is not open, so that nothing can be kept",
        ));
    };
    keeper.keep(&*store, &vault, &world, &messages).await
}

/// Asks for a pass, once for everything that arrives before it begins.
#[derive(Clone)]
struct Bell {
    rung: Arc<AtomicBool>,
    orders: mpsc::UnboundedSender<Order>,
    world: RealWorld,
}

impl Bell {
    fn ring(&self) {
        if self.rung.swap(true, Ordering::Relaxed) {
            return;
        }
        let bell = self.clone();
        tokio::spawn(async move {
            bell.world.sleep(GATHERING).await;
            // Before it is asked for: what arrives from here on asks for another one.
            bell.rung.store(false, Ordering::Relaxed);
            let order = Order::Pass {
                options: RunOptions::default(),
                reply: None,
            };
            // The keeper may have ended.
            let _ = bell.orders.send(order);
        });
    }
}
