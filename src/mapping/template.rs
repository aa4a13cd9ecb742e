//! Templates: `{{ name }}` pieces between plain text.
//!
//! White space belongs to what it separates: beside a piece that is empty, one of the two runs of white space goes, and
//! what then stands at the ends of the whole goes too. So `{{ first }} {{ middle }} {{ last }}` never leaves two blanks or
//! one at an end. White space inside a value stays. When all pieces are empty the result is empty, whatever text is between.

/// How many pieces a template may have.
pub const TEMPLATE_PIECES_MAX: usize = 64;

/// A template whose names are of type `T`: as written at first, then resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template<T> {
    pieces: Vec<Piece<T>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<T> {
    Plain(String),
    Name(T),
}

impl Template<String> {
    /// Reads a template; the error is a sentence about its spelling.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut names = 0;
        while let Some(open) = rest.find("{{") {
            if open > 0 {
                pieces.push(Piece::Plain(rest[..open].to_owned()));
            }
            let inner = &rest[open + 2..];
            let close = inner
                .find("}}")
                .ok_or("the template has a \"{{\" without its \"}}\"")?;
            let name = inner[..close].trim();
            if name.is_empty() {
                return Err("the template has an empty {{ }}".to_owned());
            }
            pieces.push(Piece::Name(name.to_owned()));
            names += 1;
            rest = &inner[close + 2..];
        }
        if rest.contains("}}") {
            return Err("the template has a \"}}\" without its \"{{\"".to_owned());
        }
        if names == 0 {
            return Err(
                "the template names nothing; write {{ name }} where a value belongs".to_owned(),
            );
        }
        if !rest.is_empty() {
            pieces.push(Piece::Plain(rest.to_owned()));
        }
        if pieces.len() > TEMPLATE_PIECES_MAX {
            return Err(format!(
                "the template has more than {TEMPLATE_PIECES_MAX} pieces"
            ));
        }
        Ok(Self { pieces })
    }
}

impl<T> Template<T> {
    /// The same template with each name resolved, or the problems of all names that can't be.
    pub(super) fn resolve<U>(
        &self,
        mut resolve: impl FnMut(&T) -> Result<U, String>,
    ) -> Result<Template<U>, Vec<String>> {
        let mut problems = Vec::new();
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Plain(text) => pieces.push(Piece::Plain(text.clone())),
                Piece::Name(name) => match resolve(name) {
                    Ok(name) => pieces.push(Piece::Name(name)),
                    Err(problem) => problems.push(problem),
                },
            }
        }
        if problems.is_empty() {
            Ok(Template { pieces })
        } else {
            Err(problems)
        }
    }

    /// The names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(name),
            Piece::Plain(_) => None,
        })
    }

    /// The template as text again, with each name spelled by `name`.
    pub(super) fn spelling(&self, name: impl Fn(&T) -> String) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Plain(text) => text.clone(),
                Piece::Name(inner) => format!("{{{{{}}}}}", name(inner)),
            })
            .collect()
    }

    /// Fills the template in; `None` when every name is empty.
    pub(super) fn fill<'v>(&self, mut value: impl FnMut(&T) -> Option<&'v str>) -> Option<String>
    where
        T: 'v,
    {
        let mut out = String::new();
        let mut any = false;
        // Whether white space that comes next stands beside nothing.
        let mut bare = true;
        // How much of `out` is white space of the template itself, at its end.
        let mut loose = 0;
        for piece in &self.pieces {
            match piece {
                Piece::Plain(text) => {
                    let text = if bare { text.trim_start() } else { text };
                    out.push_str(text);
                    if !text.is_empty() {
                        loose = text.len() - text.trim_end().len();
                        bare = loose > 0;
                    }
                }
                Piece::Name(name) => match value(name).filter(|text| !text.is_empty()) {
                    Some(text) => {
                        any = true;
                        out.push_str(text);
                        loose = 0;
                        bare = false;
                    }
                    None => bare |= loose > 0 || out.is_empty(),
                },
            }
        }
        out.truncate(out.len() - loose);
        (any && !out.is_empty()).then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill(template: &str, values: &[(&str, &str)]) -> Option<String> {
        Template::parse(template).unwrap().fill(|name| {
            values
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| *value)
        })
    }

    #[test]
    fn empty_pieces_leave_no_white_space_behind() {
        let all = [("a", "A"), ("b", "B"), ("c", "C")];
        for (template, values, result) in [
            ("{{ a }} {{b}}", &all[..], Some("A B")),
            ("{{a}} {{b}}", &all[..1], Some("A")),
            ("{{a}} {{b}}", &all[1..2], Some("B")),
            ("{{a}} {{x}} {{b}}", &all[..], Some("A B")),
            ("{{a}} {{x}} {{y}} {{b}}", &all[..], Some("A B")),
            ("Dr {{a}}", &all[..], Some("Dr A")),
            ("Dr {{x}}", &all[..], None),
            ("{{a}}, {{x}}", &all[..], Some("A,")),
            ("{{a}}-{{b}}{{c}}", &all[..], Some("A-BC")),
            ("{{a}}{{x}} {{b}}", &all[..], Some("A B")),
            ("{{x}}", &[], None),
        ] {
            assert_eq!(fill(template, values).as_deref(), result, "{template}");
        }
        assert_eq!(
            fill("{{a}} {{b}}", &[("a", " p "), ("b", " q")]).as_deref(),
            Some(" p   q")
        );
    }

    #[test]
    fn bad_templates_are_refused() {
        for text in ["", "plain", "{{", "{{ }}", "{{a", "a}}", "{{a}} }}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        assert!(Template::parse(&"{{a}}".repeat(65)).is_err());
    }

    #[test]
    fn every_name_that_can_not_be_resolved_is_told() {
        let template = Template::parse("{{a}} {{b}} {{c}}").unwrap();
        let problems = template
            .resolve(|name| {
                if name == "b" {
                    Ok(())
                } else {
                    Err(name.clone())
                }
            })
            .unwrap_err();
        assert_eq!(problems, ["a", "c"]);
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused_and_ends_are_clean(text in "[a-c {}]{0,30}") {
            if let Ok(template) = Template::parse(&text)
                && let Some(result) = template.fill(|name| (name == "a").then_some("A"))
            {
                prop_assert_eq!(result.trim(), &result);
                prop_assert!(result.contains('A'));
            }
        }
    }
}
