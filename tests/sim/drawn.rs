//! Stories drawn step by step by a state machine: where one breaks something, the shortest that still does is printed.
//!
//! The worlds of seeds go further (faults, users who act in the middle of a run); these tell what went wrong in a few lines.

use std::time::Duration;

use contactbridge::state::Table;
use contactbridge::sync::RunOptions;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use crate::chance::Chance;
use crate::life::{Life, finish};
use crate::oracle::Side;
use crate::settings::Settings;
use crate::universe::Death;

/// What one step does. Places are taken round the living.
#[derive(Clone, Debug)]
enum Step {
    Make(Side),
    Meet,
    Edit(Side, usize, usize, bool),
    Delete(Side, usize),
    Run,
    /// A run that dies at this point, if it gets so far.
    Die(u64),
    /// So many minutes pass.
    Wait(u64),
}

const FIELDS: [&str; 5] = ["first_name", "title", "born_on", "opted_in", "city"];

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Remote), Just(Side::Local)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => side().prop_map(Step::Make),
        1 => Just(Step::Meet),
        6 => (side(), 0usize..6, 0..FIELDS.len(), prop::bool::weighted(0.2))
            .prop_map(|(side, who, field, cleared)| Step::Edit(side, who, field, cleared)),
        2 => (side(), 0usize..6).prop_map(|(side, who)| Step::Delete(side, who)),
        4 => Just(Step::Run),
        2 => (1u64..60).prop_map(Step::Die),
        2 => (0u64..3000).prop_map(Step::Wait),
    ]
}

fn take(life: &mut Life, step: &Step) {
    match step {
        Step::Make(side) => {
            life.shared.borrow_mut().somebody_is_made(*side);
        }
        Step::Meet => life.shared.borrow_mut().somebody_is_on_both_sides(),
        Step::Edit(side, who, field, cleared) => {
            let mut universe = life.shared.borrow_mut();
            let field = FIELDS[*field];
            universe.log.edits += 1;
            let number = 100 + universe.log.edits;
            let value = match field {
                "opted_in" => (number % 2).to_string(),
                _ if *cleared => String::new(),
                "born_on" => format!("19{:02}-03-1{}", number % 90 + 10, number % 7),
                _ => format!("Zqx{number}"),
            };
            match side {
                Side::Remote => {
                    let ids: Vec<i64> = universe.crm.living().map(|person| person.id).collect();
                    if !ids.is_empty() {
                        universe.edit_contact(ids[who % ids.len()], field, &value);
                    }
                }
                Side::Local => {
                    let keys: Vec<_> = universe
                        .database
                        .living()
                        .map(|(key, _)| key.clone())
                        .collect();
                    if !keys.is_empty() {
                        universe.edit_row(&keys[who % keys.len()], field, &value);
                    }
                }
            }
        }
        Step::Delete(side, who) => {
            let mut universe = life.shared.borrow_mut();
            match side {
                Side::Remote => {
                    let ids: Vec<i64> = universe.crm.living().map(|person| person.id).collect();
                    if !ids.is_empty() {
                        universe.user_deletes_contact(ids[who % ids.len()]);
                    }
                }
                Side::Local => {
                    let keys: Vec<_> = universe
                        .database
                        .living()
                        .map(|(key, _)| key.clone())
                        .collect();
                    if !keys.is_empty() {
                        universe.user_deletes_row(&keys[who % keys.len()]);
                    }
                }
            }
        }
        Step::Run | Step::Die(_) => {
            life.shared.borrow_mut().death = match step {
                Step::Die(point) => Death::At(*point),
                _ => Death::Never,
            };
            life.run(&RunOptions::default());
            life.shared.borrow_mut().death = Death::Never;
        }
        Step::Wait(minutes) => life.wait(Duration::from_secs(minutes * 60)),
    }
}

/// What the steps so far make possible, and what no number of runs may exceed.
#[derive(Clone, Debug)]
struct Known {
    seed: u64,
    /// So many people were ever made by users.
    born: usize,
}

struct Steps;

impl ReferenceStateMachine for Steps {
    type State = Known;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Known> {
        let begins = any::<u64>().prop_map(|seed| Known { seed, born: 0 });
        begins.boxed()
    }

    fn transitions(_known: &Known) -> BoxedStrategy<Step> {
        step().boxed()
    }

    /// Also what a shorter story must keep: nobody is edited who was not made.
    fn preconditions(known: &Known, step: &Step) -> bool {
        known.born > 0 || !matches!(step, Step::Edit(..) | Step::Delete(..))
    }

    fn apply(mut known: Known, step: &Step) -> Known {
        known.born += usize::from(matches!(step, Step::Make(_) | Step::Meet));
        known
    }
}

/// A life that follows the steps, by a bridge that may forget its reviews.
struct Story<const FORGETFUL: bool>;

impl<const FORGETFUL: bool> StateMachineTest for Story<FORGETFUL> {
    type SystemUnderTest = Life;
    type Reference = Steps;

    fn init_test(known: &Known) -> Life {
        let life = Life::new(known.seed, Settings::fair(&mut Chance::new(known.seed)));
        if FORGETFUL {
            life.shared.borrow_mut().disk.forgets = vec![Table::Review];
        }
        life
    }

    fn apply(mut life: Life, _known: &Known, step: Step) -> Life {
        take(&mut life, &step);
        life
    }

    fn check_invariants(life: &Life, known: &Known) {
        let universe = life.shared.borrow();
        assert_eq!(universe.log.broken, Vec::<String>::new());
        let echoes = &universe.log.echoes;
        let contacts = universe
            .crm
            .living()
            .filter(|person| !echoes.contains(&person.id));
        assert!(contacts.count() <= known.born, "more contacts than people");
        let rows = universe.database.living().count();
        assert!(rows <= known.born, "more rows than people");
    }

    fn teardown(life: Life, _known: Known) {
        assert_eq!(finish(life).broken, Vec::<String>::new());
    }
}

/// The shortest story that was found to break something, if any was.
fn shortest<const FORGETFUL: bool>(cases: u64) -> Result<(), String> {
    let config = Config {
        cases: u32::try_from(cases).expect("not that many"),
        failure_persistence: None,
        ..Config::default()
    };
    let chance = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(config.clone(), chance);
    runner
        .run(
            &Steps::sequential_strategy(1..40),
            |(known, steps, seen)| {
                Story::<FORGETFUL>::test_sequential(config.clone(), known, steps, seen);
                Ok(())
            },
        )
        .map_err(|failure| failure.to_string())
}

/// I2, I3, I5, I6, I7 and I10 over any sequence of what can happen between runs.
#[test]
fn whatever_happens_step_by_step_nothing_is_lost_or_doubled() {
    let cases = crate::number("SIM_STORIES").unwrap_or(400);
    shortest::<false>(cases).unwrap_or_else(|story| panic!("{story}"));
}

#[test]
fn a_bridge_that_forgets_its_reviews_is_found_out_in_a_few_steps() {
    let story = shortest::<true>(400).expect_err("nobody noticed");
    println!("{story}");
}
