//! Table P: what becomes of a pair, whatever stands on both sides.

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::model::{
    Canonical, ConflictPolicy, DeletePolicy, Digest, Direction, FieldProblem, LocalKey, RemoteId,
    Stamp,
};
use crate::sync::memory::{Base, Link, Side};
use crate::sync::merge::{Circumstances, FieldRule, Newer};
use crate::sync::plan::{LocalState, Policies, RemoteState, Step, plan_pair, remote_unchanged};
use crate::sync::view::{LocalView, RemoteView};

/// Fields of a record: as many as it takes for one to hide another.
const FIELDS: usize = 4;

/// What one side shows of a field.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub enum Shown {
    Value(u8),
    Bad,
    /// The part that holds it was not handed over; only the remote does that.
    Silent,
}

impl Shown {
    fn value(self) -> Result<Canonical, FieldProblem> {
        match self {
            Self::Value(number) if number % 4 == 0 => Ok(None),
            Self::Value(number) => Ok(Some((number % 4).to_string())),
            Self::Bad => Err(FieldProblem {
                code: "Q-DATE",
                reason: "not a date".to_owned(),
            }),
            Self::Silent => Err(FieldProblem::silence()),
        }
    }

    pub fn digest(self) -> Digest {
        match self {
            Self::Value(number) => Digest(u64::from(number % 4)),
            Self::Bad | Self::Silent => Digest::default(),
        }
    }
}

#[derive(Debug)]
pub struct Field {
    pub rule: FieldRule,
    pub base: Option<Base>,
    pub row: Shown,
    pub contact: Shown,
}

/// How one side stands.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub enum Presence {
    Unchanged,
    Seen,
    Gone,
}

#[derive(Debug)]
pub struct Pair {
    pub direction: Direction,
    pub deletes: DeletePolicy,
    pub circumstances: Circumstances,
    pub fields: Vec<Field>,
    pub remote: Presence,
    pub row_is_there: bool,
    pub link: Link,
    pub row: LocalView,
    pub contact: RemoteView,
}

impl<'a> Arbitrary<'a> for Pair {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let side = |u: &mut Unstructured<'a>| -> Result<Option<Side>> {
            Ok(*u.choose(&[None, None, Some(Side::Local), Some(Side::Remote)])?)
        };
        let directions = [Direction::Both, Direction::Pull, Direction::Push];
        let direction = *u.choose(&directions)?;
        let mut fields = Vec::new();
        for _ in 0..u.int_in_range(1..=FIELDS)? {
            let own = *u.choose(&directions)?;
            let policies = [
                ConflictPolicy::Newest,
                ConflictPolicy::Remote,
                ConflictPolicy::Local,
                ConflictPolicy::Review,
            ];
            let (narrowed, idle) = narrow(direction, own);
            let row = match u.arbitrary()? {
                Shown::Silent => Shown::Bad,
                shown => shown,
            };
            let base = |u: &mut Unstructured<'a>| Ok(Digest(u.int_in_range(0..=3)?));
            fields.push(Field {
                rule: FieldRule {
                    direction: narrowed,
                    policy: *u.choose(&policies)?,
                    idle,
                },
                base: if u.ratio(1, 5)? {
                    None
                } else {
                    Some(Base {
                        local: base(u)?,
                        remote: base(u)?,
                    })
                },
                row,
                contact: u.arbitrary()?,
            });
        }
        let newer = match side(u)? {
            Some(side) => Newer::Known(side),
            None => Newer::Unknown,
        };
        let stamp = |u: &mut Unstructured<'a>| -> Result<Option<Stamp>> {
            let seconds = u.int_in_range(0..=2)?;
            let time = chrono::DateTime::from_timestamp(seconds, 0);
            Ok(time
                .filter(|_| seconds > 0)
                .map(|time| Stamp(time.naive_utc())))
        };
        let id = RemoteId("1".to_owned());
        let key = LocalKey::Int(1);
        Ok(Self {
            direction,
            deletes: *u.choose(&[
                DeletePolicy::Apply,
                DeletePolicy::Review,
                DeletePolicy::Ignore,
            ])?,
            circumstances: Circumstances {
                newer,
                full: u.arbitrary()?,
                rewound: side(u)?,
                doubtful: u.arbitrary()?,
                take: side(u)?,
                waiting: u.arbitrary()?,
            },
            remote: u.arbitrary()?,
            row_is_there: u.ratio(2, 3)?,
            link: Link {
                remote: id.clone(),
                local: key.clone(),
                row: Digest(u.int_in_range(0..=1)?),
                stamp: stamp(u)?,
                own_stamp: u.arbitrary()?,
                drifted: u.arbitrary()?,
                gone: side(u)?,
                misses: u.arbitrary()?,
                met: u.arbitrary()?,
                mapping: 1,
                external: None,
                email: None,
                bases: fields.iter().map(|field| field.base).collect(),
                children: Vec::new(),
            },
            row: LocalView {
                key,
                values: fields.iter().map(|field| field.row.value()).collect(),
                digests: fields.iter().map(|field| field.row.digest()).collect(),
                row: Digest(u.int_in_range(0..=1)?),
                changed_at: None,
                marked: false,
                external: None,
                email: None,
            },
            contact: RemoteView {
                id,
                stamp: stamp(u)?,
                deleted: false,
                values: fields.iter().map(|field| field.contact.value()).collect(),
                digests: fields.iter().map(|field| field.contact.digest()).collect(),
                children: Vec::new(),
                child_problems: Vec::new(),
                external: None,
                email: None,
                content: Digest(0),
            },
            fields,
        })
    }
}

/// A field's own direction under that of its bridge: the narrower of both, and idle where they exclude each other.
fn narrow(bridge: Direction, own: Direction) -> (Direction, bool) {
    match (bridge, own) {
        (Direction::Both, own) => (own, false),
        (bridge, own) => (bridge, own != Direction::Both && own != bridge),
    }
}

impl Pair {
    pub fn rules(&self) -> Vec<FieldRule> {
        self.fields.iter().map(|field| field.rule).collect()
    }

    pub fn step(&self) -> Step {
        let remote = match self.remote {
            Presence::Unchanged => RemoteState::Unchanged,
            Presence::Seen => RemoteState::Seen(self.contact.clone()),
            Presence::Gone => RemoteState::Dead,
        };
        let local = if self.row_is_there {
            LocalState::Row(self.row.clone())
        } else {
            LocalState::Gone
        };
        let rules = self.rules();
        let policies = Policies {
            fields: &rules,
            direction: self.direction,
            deletes: self.deletes,
            circumstances: self.circumstances,
        };
        let step = plan_pair(&self.link, &remote, &local, policies);
        assert_eq!(
            step,
            plan_pair(&self.link, &remote, &local, policies),
            "the same twice"
        );
        step
    }

    /// Whether the row shows a value that the CRM is to have and that it did not show when both agreed.
    fn row_edited(&self) -> bool {
        self.fields.iter().any(|field| {
            let flows = field.rule.pushes() && matches!(field.row, Shown::Value(_));
            flows
                && field
                    .base
                    .is_some_and(|base| base.local != field.row.digest())
        })
    }

    fn contact_edited(&self) -> bool {
        self.fields.iter().any(|field| {
            let flows = field.rule.pulls() && matches!(field.contact, Shown::Value(_));
            flows
                && field
                    .base
                    .is_some_and(|base| base.remote != field.contact.digest())
        })
    }
}

pub fn check(pair: &Pair) {
    let step = pair.step();
    let (pulls, pushes) = (pair.direction.pulls(), pair.direction.pushes());
    let (take, gone) = (pair.circumstances.take, pair.remote == Presence::Gone);
    let (rewound, doubtful) = (pair.circumstances.rewound, pair.circumstances.doubtful);
    // Which sides a step may follow on, and what it needs of them.
    let fits = match &step {
        Step::Nothing => true,
        Step::Settle(merged) => {
            pair.row_is_there && !gone && merged.flows.len() == pair.fields.len()
        }
        Step::DeleteLocal | Step::RestoreRemote => pair.row_is_there && gone,
        Step::DeleteRemote | Step::RestoreLocal => !pair.row_is_there && !gone,
        Step::HoldDelete(Side::Remote) | Step::IgnoreDelete(Side::Remote) => {
            pair.row_is_there && gone
        }
        Step::HoldDelete(Side::Local) | Step::IgnoreDelete(Side::Local) | Step::DoubtDelete => {
            !pair.row_is_there && !gone
        }
        Step::Bury => !pair.row_is_there && gone,
    };
    assert!(fits, "{step:?} {pair:?}");
    assert!(
        (step == Step::Bury) == (!pair.row_is_there && gone),
        "P6 {step:?} {pair:?}"
    );
    // A one-way bridge writes nothing on its source.
    let allowed = match &step {
        Step::DeleteLocal | Step::RestoreLocal => pulls,
        Step::DeleteRemote | Step::RestoreRemote => pushes,
        Step::HoldDelete(Side::Remote) | Step::IgnoreDelete(Side::Remote) => pulls,
        Step::HoldDelete(Side::Local) | Step::IgnoreDelete(Side::Local) => pushes,
        Step::DoubtDelete => pulls && pushes,
        Step::Nothing | Step::Settle(_) | Step::Bury => true,
    };
    assert!(allowed, "against the direction: {step:?} {pair:?}");
    // P4, P5: an edit is never lost to a deletion.
    match &step {
        Step::DeleteLocal => {
            assert!(!pair.row_edited(), "P5 {pair:?}");
            assert!(!(rewound == Some(Side::Remote) && pushes), "P9 {pair:?}");
        }
        Step::DeleteRemote => {
            let seen = pair.remote == Presence::Seen;
            // F12: what an accepted backup brought back is none; F15: what may be one is a person's, who has seen it.
            let counts = rewound != Some(Side::Remote) && !(doubtful && take == Some(Side::Local));
            let lost = seen && counts && pair.contact_edited();
            assert!(!lost, "P4 {pair:?}");
            assert!(!(rewound == Some(Side::Local) && pulls), "P9 {pair:?}");
        }
        Step::RestoreLocal if doubtful && pushes => {
            assert!(take.is_some() || rewound == Some(Side::Local), "P4 {pair:?}");
        }
        Step::DoubtDelete => assert!(
            doubtful && take.is_none() && pair.deletes != DeletePolicy::Ignore,
            "P4 {pair:?}"
        ),
        _ => {}
    }
    // P7: only `apply`, or a person, deletes.
    if matches!(step, Step::DeleteLocal | Step::DeleteRemote) {
        assert!(
            pair.deletes == DeletePolicy::Apply || take.is_some(),
            "P7 {pair:?}"
        );
    }
    assert!(!matches!(step, Step::HoldDelete(_)) || pair.deletes == DeletePolicy::Review);
    // A person may leave a deletion without consequence too, where nothing can be restored.
    let one_way = pair.direction != Direction::Both;
    assert!(
        !matches!(step, Step::IgnoreDelete(_))
            || pair.deletes == DeletePolicy::Ignore
            || (take.is_some() && one_way),
        "{pair:?}"
    );
    // What is as the base has it shows no edit.
    if remote_unchanged(&pair.link, &pair.contact) {
        assert!(!pair.contact_edited(), "{pair:?}");
    }
}
