//! Which requests the faults befall: by their numbers, or by chance that follows from the seed.

use super::Operation;
use super::chance::strikes;
use super::switches::{Fault, Rule, When};

/// The rules at work: how many requests each has seen.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<(Rule, u64)>,
}

impl Rules {
    pub(super) fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules: rules.into_iter().map(|rule| (rule, 0)).collect(),
        }
    }

    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push((rule, 0));
    }

    /// Whether any rule needs a fate, which costs a hash of the request.
    pub(super) fn need_fate(&self) -> bool {
        self.rules
            .iter()
            .any(|(rule, _)| matches!(rule.when, When::Share(share) if share > 0.0 && share < 1.0))
    }

    /// The faults that befall a request of this operation with this fate, in the order of the rules.
    pub(super) fn draw(&mut self, operation: Operation, fate: u64) -> Vec<Fault> {
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
            fault: Fault::Html,
            when: When::Numbers { from: 2, to: 3 },
            operation: Some(Operation::ContactListRetrieve),
        }]);
        let struck: Vec<bool> = (0..4)
            .map(|_| {
                assert!(rules.draw(Operation::ContactListUpdateInsert, 0).is_empty());
                !rules.draw(Operation::ContactListRetrieve, 0).is_empty()
            })
            .collect();
        assert_eq!(struck, [false, true, true, false]);
    }
}
