//! A life of a bridge in a world: users act, the bridge runs (and dies), and at the end everything stops and is judged.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use contactbridge::mapping::Mapping;
use contactbridge::model::{DeletePolicy, LocalKey, Vault};
use contactbridge::remote::contactlist::{ContactList, ScanLimits, vocabulary};
use contactbridge::sync::{
    BridgeReport, Engine, Finished, Guard, Outcome, ReviewKind, Rules, RunOptions, begin_relink,
    quarantine, reviews, values_of,
};

use crate::chance::Chance;
use crate::crm::SimCalls;
use crate::database::SimLocal;
use crate::oracle::{FIELDS, Waiting};
use crate::settings::Settings;
use crate::store::SimStore;
use crate::universe::{Death, Shared, SimWorld, Universe, drive, drive_overtaken};

/// A world with a bridge in it.
pub struct Life {
    pub shared: Shared,
    pub mapping: Mapping,
    pub vault: Vault,
    pub rules: Rules,
    pub site: String,
    pub watermark: Option<String>,
    pub runs: u64,
    /// Points of the longest run so far.
    pub longest_run: u64,
}

impl Life {
    pub fn new(seed: u64, settings: Settings) -> Self {
        let text = settings.mapping();
        let mapping = Mapping::load("simulated.yaml", &text, &vocabulary(settings.zone))
            .expect("the simulated mapping is good");
        let rules = settings.rules();
        let mut universe = Universe::new(seed, settings.clone(), &mapping);
        universe.log.settings = Some(settings);
        Self {
            shared: Rc::new(RefCell::new(universe)),
            mapping,
            vault: Vault::new(&[9; 32]),
            rules,
            site: "https://crm.example/ 1".into(),
            watermark: None,
            runs: 0,
            longest_run: 0,
        }
    }

    /// A run; a person who sees that a side is really empty, or that most of the known were really deleted, lets it pass.
    pub fn run(&mut self, options: &RunOptions) -> Option<Finished> {
        let mut options = options.clone();
        loop {
            let finished = self.run_once(&options)?;
            match finished.report.guard {
                Some(guard @ (Guard::Emptied | Guard::Site))
                    if !options.accept.contains(&guard) =>
                {
                    options.accept.insert(guard);
                }
                // Somebody put a backup back, and knows it.
                Some(guard @ Guard::Rewound)
                    if self.shared.borrow().log.restored && !options.accept.contains(&guard) =>
                {
                    let mut universe = self.shared.borrow_mut();
                    universe.fault("guard rewound");
                    // Who is missing then was made after the backup, as far as anybody can tell.
                    universe.log.deletions.clear();
                    universe.log.rewinding = true;
                    drop(universe);
                    options.accept.insert(guard);
                    self.watermark = None;
                }
                _ => match &finished.error {
                    Some(error) if self.is_for_relink(error.code()) => self.relink()?,
                    _ => return Some(finished),
                },
            }
        }
    }

    /// Whether the state is not the one that the database knows, in a world in which that happens.
    fn is_for_relink(&self, code: &str) -> bool {
        let rare = &self.shared.borrow().settings.rare;
        let may_be_old = rare.state_restored > 0;
        match code {
            "E-STATE-OLD" => may_be_old,
            "E-STATE-FOREIGN" => may_be_old || rare.state_lost > 0,
            "E-STATE-LOST" => rare.state_lost > 0 || rare.state_restored > 0,
            _ => false,
        }
    }

    /// `reseed --relink`; `None` when it was killed.
    fn relink(&mut self) -> Option<()> {
        {
            let mut universe = self.shared.borrow_mut();
            universe.fault("state linked anew");
            universe.log.forget_meetings();
        }
        self.watermark = None;
        let mut local = SimLocal {
            shared: Rc::clone(&self.shared),
            vault: self.vault.clone(),
        };
        let store = SimStore(Rc::clone(&self.shared));
        let world = SimWorld(Rc::clone(&self.shared));
        let work = begin_relink(&store, &mut local, &world);
        let ended = drive(&self.shared, work)?;
        self.shared.borrow_mut().make_room();
        if let Err(error) = ended
            && error.code() != "E-DISK"
        {
            let line = format!("a state could not be linked anew: {error}");
            self.shared.borrow_mut().log.broken.push(line);
            return None;
        }
        Some(())
    }

    /// One run as a process of its own; `None` when it was killed.
    fn run_once(&mut self, options: &RunOptions) -> Option<Finished> {
        self.runs += 1;
        let runs = self.runs;
        self.shared.borrow_mut().log.run = runs;
        self.shared.borrow_mut().say(|| format!("RUN {runs}"));
        let remote = ContactList::new(
            SimCalls(Rc::clone(&self.shared)),
            self.shared.borrow().settings.zone,
            ScanLimits::default(),
        );
        let mut local = SimLocal {
            shared: Rc::clone(&self.shared),
            vault: self.vault.clone(),
        };
        let store = SimStore(Rc::clone(&self.shared));
        let world = SimWorld(Rc::clone(&self.shared));
        let mut engine = Engine {
            bridge: "members",
            remote: &remote,
            local: &mut local,
            store: &store,
            world: &world,
            mapping: &self.mapping,
            vault: &self.vault,
            rules: &self.rules,
            site: &self.site,
            database: "sqlite:customers.db",
            watch: &(),
        };
        let is_older = std::mem::take(&mut self.shared.borrow_mut().log.state_is_older);
        if is_older || self.shared.borrow().log.rewinding {
            self.watermark = None;
        }
        let began = self.shared.borrow().log.now();
        crate::said::listen();
        let finished = drive(&self.shared, engine.run(options));
        let mut universe = self.shared.borrow_mut();
        let said = crate::said::check(finished.as_ref(), 100 + universe.log.edits);
        universe.log.broken.extend(said);
        self.longest_run = self.longest_run.max(universe.points);
        let failed = universe.make_room();
        if let (true, Some(finished)) = (failed, &finished)
            && finished.error.is_none()
        {
            let line = "a run whose commit failed ended well".to_owned();
            universe.log.broken.push(line);
        }
        universe.check_doubles();
        universe.check_secrecy();
        universe.say_what_is_kept();
        if let Some(finished) = &finished {
            let report = &finished.report;
            if matches!(report.outcome, Outcome::Ok | Outcome::Partial) {
                universe.ended_well(began);
            }
            universe.say(|| format!("   {}", brief(report)));
            for (name, counts) in [("pull", report.pull), ("push", report.push)] {
                let sum = counts.created
                    + counts.updated
                    + counts.deleted
                    + counts.unchanged
                    + counts.held;
                if counts.read != sum {
                    universe
                        .log
                        .broken
                        .push(format!("{name}.read is {} of {sum}", counts.read));
                }
            }
            if let (Some(old), Some(new)) = (&self.watermark, &report.watermark)
                && new < old
            {
                universe
                    .log
                    .broken
                    .push(format!("I7 the watermark fell from {old} to {new}"));
            }
            if report.watermark.is_some() {
                self.watermark.clone_from(&report.watermark);
            }
        }
        finished
    }

    /// A run that stands still at a point, while another machine that was given the state runs the bridge; then it goes on.
    pub fn run_overtaken(&mut self, at: u64) {
        self.shared.borrow_mut().pause_at = Some(at);
        self.shared
            .borrow_mut()
            .say(|| "RUN that may stand still".to_owned());
        let (mapping, vault) = (self.mapping.clone(), self.vault.clone());
        let (rules, site) = (self.rules.clone(), self.site.clone());
        let shared = Rc::clone(&self.shared);
        let remote = ContactList::new(
            SimCalls(Rc::clone(&shared)),
            shared.borrow().settings.zone,
            ScanLimits::default(),
        );
        let mut local = SimLocal {
            shared: Rc::clone(&shared),
            vault: vault.clone(),
        };
        let store = SimStore(Rc::clone(&shared));
        let world = SimWorld(Rc::clone(&shared));
        let mut engine = Engine {
            bridge: "members",
            remote: &remote,
            local: &mut local,
            store: &store,
            world: &world,
            mapping: &mapping,
            vault: &vault,
            rules: &rules,
            site: &site,
            database: "sqlite:customers.db",
            watch: &(),
        };
        let options = RunOptions::default();
        drive_overtaken(&shared, engine.run(&options), || {
            self.run(&options);
            self.shared.borrow_mut().somebody_acts();
        });
    }

    /// A run that must end well.
    pub fn good_run(&mut self) -> BridgeReport {
        let finished = self.run(&RunOptions::default()).expect("nobody killed it");
        if let Some(error) = finished.error {
            let line = format!("a run failed in a world without faults: {error}");
            self.shared.borrow_mut().log.broken.push(line);
        }
        finished.report
    }

    /// Writes on both sides so far.
    pub fn writes(&self) -> (u64, u64) {
        let universe = self.shared.borrow();
        (universe.crm.writes, universe.database.writes)
    }

    pub fn wait(&self, span: Duration) {
        self.shared.borrow_mut().pass_time(span);
    }

    /// What waits for a person.
    pub fn waiting(&self) -> Waiting {
        {
            let mut universe = self.shared.borrow_mut();
            (universe.dead, universe.busy, universe.death) = (false, 0, Death::Never);
        }
        let store = SimStore(Rc::clone(&self.shared));
        let one_way = self.shared.borrow().settings.source().is_some();
        let work = async {
            let mut waiting = Waiting::default();
            let mut ids = Vec::new();
            let mut decided = Vec::new();
            for settled in [false, true] {
                for (id, review) in reviews(&store, settled).await? {
                    ids.push(id);
                    if settled {
                        continue;
                    }
                    *waiting.codes.entry(review.code.clone()).or_default() += 1;
                    if let Some(decision) = &review.decision {
                        let what = format!("{} {decision:?}", review.code);
                        decided.push((what, review.remote.clone(), review.local.clone()));
                        continue;
                    }
                    if let (ReviewKind::Delete, Some(id), Some(key)) =
                        (review.kind, &review.remote, &review.local)
                    {
                        waiting.deleted.push((id.0.clone(), key.clone()));
                    }
                    // A newcomer that might be somebody: neither can be judged.
                    let mut fields = review.fields;
                    if review.kind == ReviewKind::Match {
                        fields.extend(FIELDS.iter().map(|(field, _)| (*field).to_owned()));
                    }
                    for candidate in &review.candidates {
                        if let Some(id) = candidate.strip_prefix("contact ") {
                            waiting
                                .remote
                                .entry(id.to_owned())
                                .or_default()
                                .push("?".into());
                        }
                    }
                    if let Some(remote) = review.remote {
                        waiting
                            .remote
                            .entry(remote.0)
                            .or_default()
                            .extend(fields.clone());
                    }
                    if let Some(local) = review.local {
                        waiting.local.entry(local).or_default().extend(fields);
                    }
                }
            }
            for (_, record) in quarantine(&store).await? {
                *waiting.codes.entry(record.code.clone()).or_default() += 1;
                let mut fields = record.fields;
                if one_way && record.code == "E-REMOTE-IGNORED" {
                    // Given up as a pair, until one of the two changes: also what a full read would carry over besides.
                    fields.clear();
                }
                if fields.is_empty() {
                    // Every field waits.
                    fields.extend(FIELDS.iter().map(|(field, _)| (*field).to_owned()));
                }
                if let Some(remote) = record.remote {
                    waiting
                        .remote
                        .entry(remote.0)
                        .or_default()
                        .extend(fields.clone());
                }
                if let Some(local) = record.local {
                    waiting.local.entry(local).or_default().extend(fields);
                }
            }
            for (what, remote, local) in decided {
                // It waits for something else, such as an address, that somebody is told of.
                let is_held = remote.is_some_and(|id| waiting.remote.contains_key(&id.0))
                    || local.is_some_and(|key| waiting.local.contains_key(&key));
                if !is_held {
                    waiting.decided.push(what);
                }
            }
            for id in ids {
                for (field, local, remote) in values_of(&store, &self.vault, &id).await?.fields {
                    for value in [local, remote] {
                        let value = value.unwrap_or_default();
                        waiting
                            .kept
                            .insert((field.clone(), crate::oracle::canonical(&field, &value)));
                    }
                }
            }
            Ok::<_, contactbridge::model::Error>(waiting)
        };
        drive(&self.shared, work)
            .expect("nobody kills it")
            .expect("what waits can be listed")
    }

    pub fn row_of(&self, anchor: &str) -> Option<LocalKey> {
        let universe = self.shared.borrow();
        let column = universe.database.column("last_name");
        universe
            .database
            .living()
            .find(|(_, row)| crate::oracle::shown(&row.cells[column]) == anchor)
            .map(|(key, _)| key.clone())
    }

    pub fn contact_of(&self, anchor: &str) -> Option<i64> {
        let universe = self.shared.borrow();
        universe
            .crm
            .living()
            .find(|person| person.values["lastName"] == anchor)
            .map(|person| person.id)
    }
}

pub fn brief(report: &BridgeReport) -> String {
    format!(
        "{:?} pull {:?} push {:?} conflicts {} review {} quarantined {} watermark {:?} error {:?}",
        report.outcome,
        [
            report.pull.created,
            report.pull.updated,
            report.pull.deleted,
            report.pull.unchanged,
            report.pull.held
        ],
        [
            report.push.created,
            report.push.updated,
            report.push.deleted,
            report.push.unchanged,
            report.push.held
        ],
        report.conflicts,
        report.review,
        report.quarantined,
        report.watermark,
        report.error
    )
}

/// How a seed is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    /// No faults; users act between runs only.
    Calm,
    /// No faults; users act while the bridge runs.
    Busy,
    /// Everything.
    Foul,
    /// A bridge that flows one way, or does not carry deletions over by itself ([`Settings::narrow`]).
    Narrow,
    /// People share addresses and take deletions back ([`Settings::kin`]).
    Kin,
    /// Merges, backups, lies, replicas, clocks that change, a full disk ([`Settings::rare`]).
    Rare,
}

impl Play {
    fn is_faulty(self) -> bool {
        !matches!(self, Self::Calm | Self::Busy)
    }
}

/// What a seed came to.
pub struct Played {
    pub broken: Vec<String>,
    pub trace: Vec<String>,
    pub life: Life,
    pub runs_until_quiet: u64,
    pub held: usize,
    /// What waits in the end, by code.
    pub codes: BTreeMap<String, u64>,
}

impl Played {
    /// What the world came to, in one number: the same for the same seed.
    pub fn fingerprint(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let universe = self.life.shared.borrow();
        let mut hasher = DefaultHasher::new();
        format!(
            "{:?} {:?} {:?} {:?} {:?}",
            universe.crm.people,
            universe.database.rows,
            universe.disk.visible,
            universe.all_points,
            universe.faults
        )
        .hash(&mut hasher);
        hasher.finish()
    }
}

/// Plays a seed from its beginning to its judgement.
pub fn play(seed: u64, how: Play, death: Option<Death>) -> Played {
    let mut chance = Chance::new(seed ^ 0xabcd);
    let settings = match how {
        Play::Calm | Play::Busy => Settings::fair(&mut chance),
        Play::Foul => Settings::foul(&mut chance),
        Play::Narrow => Settings::narrow(&mut chance),
        Play::Kin => Settings::kin(&mut chance),
        Play::Rare => Settings::rare(&mut chance),
    };
    play_in(seed, settings, how, death, |_| {})
}

/// As [`play`], in a given world; `prepare` may change it before it begins.
pub fn play_in(
    seed: u64,
    settings: Settings,
    how: Play,
    death: Option<Death>,
    prepare: impl FnOnce(&mut Life),
) -> Played {
    let mut life = Life::new(seed, settings.clone());
    prepare(&mut life);
    let rounds = {
        let mut universe = life.shared.borrow_mut();
        let line = format!("SEED {seed} {how:?} {settings:?}");
        universe.say(|| line);
        for _ in 0..settings.people {
            match universe.chance.below(5) {
                0 => universe.somebody_is_on_both_sides(),
                1 | 2 => {
                    universe.somebody_is_made(crate::oracle::Side::Remote);
                }
                _ => {
                    universe.somebody_is_made(crate::oracle::Side::Local);
                }
            }
            universe.pass_time(Duration::from_secs(7));
        }
        universe.chance.between(2, 6)
    };
    for round in 0..rounds {
        if settings.delete_policy == DeletePolicy::Review {
            life.somebody_decides();
        }
        {
            let mut universe = life.shared.borrow_mut();
            let universe = &mut *universe;
            if round > 0 {
                for _ in 0..universe.chance.below(6) {
                    universe.somebody_acts();
                    let pause = universe
                        .chance
                        .below(universe.settings.pace.as_millis() as u64 + 1);
                    universe.pass_time(Duration::from_millis(pause));
                }
            }
            universe.time_passes_over_backups();
            universe.busy = match how {
                Play::Calm => 0,
                _ => [0, 10, 40, 150][universe.chance.below(4) as usize],
            };
            universe.faulty = how.is_faulty();
            universe.death = match (how, death) {
                (_, Some(death)) => death,
                (how, None) if how.is_faulty() && universe.chance.coin() => Death::Random(200),
                _ => Death::Never,
            };
        }
        let overtaken = settings.overtaken > 0 && {
            let mut universe = life.shared.borrow_mut();
            universe.chance.permille(settings.overtaken)
        };
        if overtaken {
            let at = life.shared.borrow_mut().chance.between(1, 60);
            life.run_overtaken(at);
        } else {
            life.run(&RunOptions::default());
        }
    }
    finish(life)
}

/// Everything stops, and the bridge runs until it is quiet; then it is judged.
pub fn finish(mut life: Life) -> Played {
    {
        let mut universe = life.shared.borrow_mut();
        (universe.busy, universe.faulty, universe.death) = (0, false, Death::Never);
        universe.past.full_at = None;
        universe.say(|| "ALL IS QUIET".into());
    }
    let mut runs_until_quiet = 0;
    // Nothing may still be on its way, and a full read must come where absences have to be found.
    life.wait(Duration::from_secs(26 * 3600));
    for turn in 1..=3 {
        let before = life.writes();
        life.good_run();
        if life.writes() != before {
            runs_until_quiet = turn;
            // The contract says the second; a pair that has just met and whose value the service cuts takes three (Foul 267, 459).
            // Who waited for a contact that a merge took away is settled after that one.
            let slowly = life.shared.borrow().settings.rare.settles_slowly();
            if turn > 2 + u64::from(slowly) {
                life.shared
                    .borrow_mut()
                    .log
                    .broken
                    .push(format!("I6 run {turn} after all stopped still wrote"));
            }
        }
        life.wait(Duration::from_secs(900));
    }
    if life.shared.borrow().settings.rare.settles_slowly() {
        // Who waits because of a contact that took the place of another, or went back in time, may be settled by the next full read,
        // and shows what the service makes of that to the run after it.
        for wait in [26 * 3600, 900] {
            life.wait(Duration::from_secs(wait));
            life.good_run();
        }
    }
    // Quiescence, also of a full read.
    for wait in [900, 26 * 3600] {
        life.wait(Duration::from_secs(wait));
        let before = life.writes();
        let report = life.good_run();
        let after = life.writes();
        if after != before {
            let line = format!(
                "I6 a quiet run wrote: {} calls to the CRM, {} rows; {}",
                after.0 - before.0,
                after.1 - before.1,
                brief(&report)
            );
            life.shared.borrow_mut().log.broken.push(line);
        }
        if report.outcome == Outcome::Failed || report.outcome == Outcome::Stopped {
            let line = format!("a quiet run ended badly: {}", brief(&report));
            life.shared.borrow_mut().log.broken.push(line);
        }
    }
    let waiting = life.waiting();
    let (broken, trace) = {
        let mut universe = life.shared.borrow_mut();
        for decided in &waiting.decided {
            let line = format!("{decided}, which nobody carries out");
            universe.log.broken.push(line);
        }
        universe.check_questions(&waiting);
        universe.say(|| format!("what waits: {:?}", waiting.codes));
        match universe.settings.source() {
            Some(source) => universe.check_one_way(source, &waiting),
            None => universe.check_convergence(&waiting),
        }
        (
            std::mem::take(&mut universe.log.broken),
            std::mem::take(&mut universe.trace),
        )
    };
    let held = waiting.remote.len() + waiting.local.len();
    Played {
        broken,
        trace,
        life,
        runs_until_quiet,
        held,
        codes: waiting.codes,
    }
}
