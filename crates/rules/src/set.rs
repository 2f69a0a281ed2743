//! A tenant's texts as one compiled set.

use er_event::problem::Mistake;
use er_tenant::rules::{Language, Texts, RULES_MAX};
use grl::{Diagnostic, Error, Functions, Mode, RuleSet, Source};

/// All texts of a version, compiled.
#[derive(Debug)]
pub struct Compiled {
    /// What [`crate::Rules::open`] reads.
    pub bytes: Vec<u8>,
    /// Rule names in the order in which ties are resolved.
    pub names: Vec<String>,
}

/// Compiles all texts into one set, in the order of their names, or says all that is wrong with them.
pub fn compile(texts: &Texts) -> Result<Compiled, Vec<Mistake>> {
    compiled(texts, grl::compile_to_run)
}

/// As [`compile`], with what [`crate::Rules::explain`] needs to show.
pub fn compile_explained(texts: &Texts) -> Result<Compiled, Vec<Mistake>> {
    compiled(texts, |sources, functions| grl::compile(sources, functions, Mode::Check))
}

fn compiled(
    texts: &Texts,
    compile: impl FnOnce(&[Source<'_>], &Functions) -> Result<RuleSet<'static>, Error>,
) -> Result<Compiled, Vec<Mistake>> {
    let sources: Vec<Source<'_>> =
        texts.values().map(|text| Source { text: &text.text, json: text.language == Language::Json }).collect();
    match compile(&sources, &Functions::eventrunner()) {
        Ok(set) if set.len() > RULES_MAX => Err(vec![too_many(texts, &set)]),
        Ok(set) => Ok(Compiled { names: set.names().map(str::to_owned).collect(), bytes: set.to_bytes() }),
        Err(Error::Refused(diagnostics)) => Err(diagnostics.iter().map(|found| mistake(texts, found)).collect()),
        Err(error @ Error::Damaged(_)) => Err(vec![whole(texts, error.to_string())]),
    }
}

fn too_many(texts: &Texts, set: &RuleSet<'_>) -> Mistake {
    whole(texts, format!("the tenant would have {} rules, and may have {RULES_MAX}", set.len()))
}

/// About all texts together.
fn whole(texts: &Texts, message: String) -> Mistake {
    let text = texts.keys().next().cloned().unwrap_or_default();
    Mistake { text, line: 1, column: 1, message, expected: String::new(), excerpt: String::new() }
}

fn mistake(texts: &Texts, found: &Diagnostic) -> Mistake {
    let number = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
    let (name, text) = texts.iter().nth(found.source).map_or(("", ""), |(name, text)| (name, &*text.text));
    Mistake {
        text: name.to_owned(),
        line: number(found.place.line),
        column: number(found.place.column + 1),
        message: found.message.clone(),
        expected: found.expected.clone(),
        excerpt: found.render(text, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use er_tenant::rules::Text;

    fn texts(rules: usize) -> Texts {
        let rule = |n| format!("rule R{n} {{ when Event.type == \"{n}\" then Tag(\"x\"); Retract(\"R{n}\"); }}\n");
        let text = (0..rules).map(rule).collect();
        [("all".to_owned(), Text { language: Language::Grl, text })].into()
    }

    #[test]
    fn a_tenant_has_so_many_rules_and_no_more() {
        assert_eq!(compile(&texts(RULES_MAX)).map(|compiled| compiled.names.len()), Ok(RULES_MAX));
        let mistakes = compile(&texts(RULES_MAX + 1)).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].message.contains("10001 rules, and may have 10000"), "{mistakes:?}");
    }
}
