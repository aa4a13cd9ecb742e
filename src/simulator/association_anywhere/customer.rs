//! A customer as the service keeps it: a tree of named elements, so that sections nobody knows are kept like the others.
//!
//! It must not know how a tree is written or asked for.

/// An element: a name with a text, or with children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name in camel case.
    pub name: String,
    /// Its text; nothing for one that has children.
    pub text: String,
    /// Its children, in order.
    pub children: Vec<Node>,
    /// Whether its text is written as CDATA where the character set allows it.
    pub cdata: bool,
}

impl Node {
    /// An element with a text; an empty one is written as an empty element.
    pub fn leaf(name: &str, text: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            text: text.into(),
            ..Self::default()
        }
    }

    /// An element whose text is written as CDATA.
    pub fn cdata(name: &str, text: impl Into<String>) -> Self {
        Self {
            cdata: true,
            ..Self::leaf(name, text)
        }
    }

    /// An element with children.
    pub fn branch(name: &str, children: Vec<Node>) -> Self {
        Self {
            name: name.to_owned(),
            children,
            ..Self::default()
        }
    }

    /// An element with these leaves.
    pub fn record(name: &str, fields: &[(&str, &str)]) -> Self {
        let leaves = fields.iter().map(|(name, text)| Node::leaf(name, *text));
        Self::branch(name, leaves.collect())
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of this name; nothing when there is none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// Sets the text of the first child of this name, or adds one.
    pub fn set(&mut self, name: &str, text: impl Into<String>) {
        match self.children.iter_mut().find(|child| child.name == name) {
            Some(child) => child.text = text.into(),
            None => self.children.push(Node::leaf(name, text)),
        }
    }
}

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Its id: any text.
    pub id: String,
    /// `I` an individual, `C` a company, or what an association adds of its own.
    pub cust_type: String,
    /// The name under which the person signs on; may be empty.
    pub login_id: String,
    /// The `name` element.
    pub name: Node,
    /// The sections, such as `addresses`; one that isn't here is missing from the answer even when it is asked for.
    pub sections: Vec<Node>,
}

impl Customer {
    /// An individual of this name with nothing else.
    pub fn individual(id: &str, first: &str, last: &str) -> Self {
        let name = [
            ("prefixName", ""),
            ("firstName", first),
            ("middleName", ""),
            ("lastName", last),
            ("suffixName", ""),
            ("degreeName", ""),
            ("informalName", ""),
            ("displayName", &format!("{first} {last}")),
        ];
        Self {
            id: id.to_owned(),
            cust_type: "I".to_owned(),
            login_id: String::new(),
            name: Node::record("name", &name),
            sections: Vec::new(),
        }
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Node> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The section of this name, to be changed; made when it isn't there.
    pub fn section_mut(&mut self, name: &str) -> &mut Node {
        let at = match self.sections.iter().position(|node| node.name == name) {
            Some(at) => at,
            None => {
                self.sections.push(Node::branch(name, Vec::new()));
                self.sections.len() - 1
            }
        };
        &mut self.sections[at]
    }

    /// Adds an item to a section, which is made when it isn't there.
    pub fn add(&mut self, section: &str, item: Node) {
        self.section_mut(section).children.push(item);
    }

    /// A field of a section's item of this number, counted from 0.
    pub fn field(&self, section: &str, item: usize, field: &str) -> Option<&str> {
        self.section(section)?.children.get(item)?.get(field)
    }

    /// Sets a field of a section's item of this number, counted from 0; false when there is no such item.
    pub fn set(&mut self, section: &str, item: usize, field: &str, text: &str) -> bool {
        match self.section_mut(section).children.get_mut(item) {
            Some(item) => {
                item.set(field, text);
                true
            }
            None => false,
        }
    }
}

/// The table whose trigger puts a change of this section into the queue. CEN_CUST_MAST is the vendor's word, the ADDR,
/// PHONE, CYBER, EMP and CRT ones are tables of real sites, the others are guesses (§5).
pub(super) fn table_of(section: &str) -> &'static str {
    match section {
        "addresses" => "CEN_CUST_ADDR",
        "phones" => "CEN_CUST_PHONE",
        "emails" | "websites" => "CEN_CUST_CYBER",
        "jobs" | "employmentAttributes" | "employees" => "CEN_CUST_EMP",
        "certifications" => "CRT_CUST_MAST",
        "memberships" | "committeePositions" => "CEN_CUST_SUBGROUP",
        "subscriptions" => "CEN_CUST_SUBSCR",
        "customerAttributes" => "CEN_CUST_ATTR",
        "custDimAttrs" => "CEN_CUST_DIM",
        "communicationPreferences" => "CEN_CUST_PREF",
        "files" => "CEN_CUST_FILE",
        "awards" => "CEN_CUST_AWARD",
        // Type, login, name, roles, and the small ones that stand in the customer's own row.
        _ => MASTER,
    }
}

/// The table of customers.
pub(super) const MASTER: &str = "CEN_CUST_MAST";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_items_are_reached_by_section_and_number() {
        let mut customer = Customer::individual("007", "Ada", "Byron");
        assert!(!customer.set("emails", 0, "address", "a@example.org"));
        customer.add(
            "emails",
            Node::record("email", &[("address", "a@example.org")]),
        );
        assert!(customer.set("emails", 0, "address", "b@example.org"));
        assert!(customer.set("emails", 0, "best", "true"));
        assert_eq!(
            customer.field("emails", 0, "address"),
            Some("b@example.org")
        );
        assert_eq!(customer.field("emails", 0, "best"), Some("true"));
        assert_eq!(customer.field("emails", 1, "best"), None);
        assert_eq!(customer.field("phones", 0, "best"), None);
    }
}
