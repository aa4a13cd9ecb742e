//! Which requests the faults befall: by their numbers, or by chance that follows from the seed.

use super::chance::strikes;

/// Which requests a fault befalls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// This share of them, 0 to 1, chosen by the seed.
    Share(f64),
    /// Those with these numbers, counted from 1 among the requests of the rule's operation since the rule was set.
    Numbers {
        /// The first one.
        from: u64,
        /// The last one.
        to: u64,
    },
}

/// A fault, and the requests that it befalls.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule<O, F> {
    /// What happens.
    pub fault: F,
    /// To which requests.
    pub when: When,
    /// Of which operation; `None` for every one.
    pub operation: Option<O>,
}

impl<O, F> Rule<O, F> {
    /// A fault for every request of this operation.
    pub fn always(operation: O, fault: F) -> Self {
        Self {
            fault,
            when: When::Share(1.0),
            operation: Some(operation),
        }
    }

    /// A fault for the next request of this operation alone.
    pub fn once(operation: O, fault: F) -> Self {
        Self {
            fault,
            when: When::Numbers { from: 1, to: 1 },
            operation: Some(operation),
        }
    }
}

/// The rules at work: how many requests each has seen.
#[derive(Debug)]
pub(super) struct Rules<O, F> {
    rules: Vec<(Rule<O, F>, u64)>,
}

impl<O, F> Default for Rules<O, F> {
    fn default() -> Self {
        Self { rules: Vec::new() }
    }
}

impl<O: Copy + PartialEq, F: Clone> Rules<O, F> {
    pub(super) fn new(rules: Vec<Rule<O, F>>) -> Self {
        Self {
            rules: rules.into_iter().map(|rule| (rule, 0)).collect(),
        }
    }

    pub(super) fn add(&mut self, rule: Rule<O, F>) {
        self.rules.push((rule, 0));
    }

    /// Whether any rule needs a fate, which costs a hash of the request.
    pub(super) fn need_fate(&self) -> bool {
        self.rules
            .iter()
            .any(|(rule, _)| matches!(rule.when, When::Share(share) if share > 0.0 && share < 1.0))
    }

    /// The faults that befall a request of this operation with this fate, in the order of the rules.
    pub(super) fn draw(&mut self, operation: O, fate: u64) -> Vec<F> {
        let mut struck = Vec::new();
        for (place, (rule, count)) in self.rules.iter_mut().enumerate() {
            if rule.operation.is_some_and(|wanted| wanted != operation) {
                continue;
            }
            *count += 1;
            let strikes = match rule.when {
                When::Share(share) => strikes(share, fate.wrapping_add((place as u64) << 32)),
                When::Numbers { from, to } => (from..=to).contains(count),
            };
            if strikes {
                struck.push(rule.fault.clone());
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_rule_strikes_its_requests_alone() {
        let mut rules = Rules::new(vec![Rule {
            fault: "html",
            when: When::Numbers { from: 2, to: 3 },
            operation: Some('r'),
        }]);
        let struck: Vec<bool> = (0..4)
            .map(|_| {
                assert!(rules.draw('u', 0).is_empty());
                !rules.draw('r', 0).is_empty()
            })
            .collect();
        assert_eq!(struck, [false, true, true, false]);
    }
}
