//! How the retail system is set up, where it posts to, what it is like, and what may befall a message.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::simulator::data_sync::message::Form;
use crate::simulator::data_sync::operation::Operation;
use crate::simulator::data_sync::queue::QueueRules;
use crate::simulator::data_sync::seeded::Profile;
use crate::simulator::rules;

/// As in the appendix's examples.
const DEFAULT_FIRST_UNIQUE_ID: u64 = 26_764_466;
/// The appendix says "in batches" and no number.
const DEFAULT_BATCH: usize = 100;
/// Longer than any receiver should need; a job that waits for ever is no test.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(60);

/// Where messages go.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// DataSyncApiUrl.
    pub api_url: String,
    /// DataSyncTokenUrl.
    pub token_url: String,
    /// The client id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// Certificate authorities in PEM, beside those of the system.
    pub ca: Option<PathBuf>,
}

impl fmt::Debug for Target {
    /// Without the secret, which may be somebody's real one.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Target")
            .field("api_url", &self.api_url)
            .field("token_url", &self.token_url)
            .field("client_id", &self.client_id)
            .field("ca", &self.ca)
            .finish_non_exhaustive()
    }
}

/// How the client shows who it is when it asks for a token; the appendix does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Credentials {
    /// `Authorization: Basic`
    #[default]
    Basic,
    /// `client_id` and `client_secret` in the form.
    Body,
    /// The same in the address.
    Query,
}

/// How often a token is fetched; the appendix does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TokenUse {
    /// One for a job, however long it takes.
    #[default]
    Job,
    /// One for a message.
    Message,
    /// One as long as it is accepted, also from job to job.
    Kept,
}

/// What this system is like, where the appendix leaves it open.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Habits {
    /// How envelopes are written.
    pub form: Form,
    /// What the queues are like.
    pub queues: QueueRules,
    /// How it shows who it is.
    pub credentials: Credentials,
    /// The scope it asks for.
    pub scope: Option<String>,
    /// How often it fetches a token.
    pub token_use: TokenUse,
    /// Whether it fetches a new token after a 401 and posts the message again, once.
    pub renew: bool,
    /// The Content-Type, where it is not just `application/json`.
    pub content_type: Option<String>,
    /// How many messages go into one POST, where it is not one.
    pub per_post: Option<usize>,
    /// The offset of stamps, where it is not the one that the transaction came with.
    pub offset: Option<String>,
    /// The name of an e-mail address, where it is not `emailAddress`.
    pub email_key: Option<String>,
    /// Paths that are left out of payloads.
    pub left_out: Vec<String>,
}

/// Something that befalls one POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The answer is thrown away; the job fails, and the message stays at the head of the queue.
    LoseAnswer,
    /// The answer is thrown away, and the same message is posted once more at once.
    Twice,
    /// The connection ends in the middle of the body.
    CutBody,
    /// Half of the body comes, under a length that fits.
    HalfBody,
    /// A token that nobody gave out.
    WrongToken,
    /// No token.
    NoToken,
    /// This Content-Type.
    ContentType(String),
    /// The message waits this long before it is posted.
    Delay(Duration),
}

/// A fault of this system, and the messages that it befalls.
pub type Rule = rules::Rule<Operation, Fault>;

/// How the retail system is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it posts to; may be said later.
    pub target: Option<Target>,
    /// How many customers there are at the start.
    pub people: u64,
    /// Whether they wait in the pending queue as created; else they are old ones that nobody has told of.
    pub queued: bool,
    /// What customers, transactions and chance follow from.
    pub seed: u64,
    /// What kind of customers.
    pub profile: Profile,
    /// DataSyncEnabled: whether changes are queued.
    pub enabled: bool,
    /// The number of the first message.
    pub first_unique_id: u64,
    /// How many rows move from pending to progress at a time.
    pub batch: usize,
    /// How long a request may take.
    pub patience: Duration,
    /// What it is like.
    pub habits: Habits,
    /// What befalls messages.
    pub rules: Vec<Rule>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target: None,
            people: 0,
            queued: true,
            seed: 1,
            profile: Profile::Awkward,
            enabled: true,
            first_unique_id: DEFAULT_FIRST_UNIQUE_ID,
            batch: DEFAULT_BATCH,
            patience: DEFAULT_PATIENCE,
            habits: Habits::default(),
            rules: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let target = Target {
            api_url: "http://127.0.0.1:1/datasync".to_owned(),
            token_url: "http://127.0.0.1:1/token".to_owned(),
            client_id: "orce".to_owned(),
            client_secret: "hush".to_owned(),
            ca: None,
        };
        let options = Options {
            target: Some(target),
            ..Options::default()
        };
        let shown = format!("{options:?}");
        assert!(shown.contains("orce") && !shown.contains("hush"));
    }
}
