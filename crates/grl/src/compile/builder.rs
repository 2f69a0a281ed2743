//! Puts a set together: tests, indexes and code, in the order in which a run wants them.

use std::collections::HashMap;

use super::code::reads;
use super::conditions::{parts, paths_of, probe, Probe, Wanted};
use super::emit::Emitter;
use super::index::{insert, write_alphas, Alpha};
use super::paths::{NodeFacts, Paths};
use super::tables::{add_text, Tables};
use super::Read;
use crate::error::Error;
use crate::form::{hash_of, rule, RuleSet, Section, NONE};
use crate::functions::Functions;
use crate::syntax::ast::{Expr, ExprKind, Op, Rule, StatementKind};
use crate::syntax::Report;
use crate::value::Value;

/// A part of conditions, once for all rules that have it.
struct Test {
    code: Vec<u8>,
    /// Without shared expressions, so that it shows all that is read.
    plain: Vec<u8>,
    text: u32,
    indexed: bool,
    residual_rules: Vec<u32>,
}

struct Builder<'f> {
    tables: Tables,
    functions: &'f Functions,
    tests: Vec<Test>,
    test_ids: HashMap<Vec<u8>, u32>,
    alphas: Vec<Alpha>,
    alpha_of: HashMap<u32, u32>,
    /// Of a path and what is wanted of it, as a key.
    cond_ids: HashMap<(u32, Vec<u32>), u32>,
    cond_rules: Vec<Vec<u32>>,
    facts: Vec<NodeFacts>,
    /// How many rules ask for the same values of the same path.
    uses: HashMap<String, usize>,
    /// Whether the words that only an explanation shows are kept.
    words: bool,
}

pub(super) fn build(read: &Read, functions: &Functions, words: bool) -> Result<RuleSet<'static>, Error> {
    let mut order: Vec<usize> = (0..read.rules.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(read.rules[*index].1.salience));
    let mut paths = Paths::new();
    for (_, rule) in &read.rules {
        paths_of_rule(rule, &mut paths);
    }
    paths.number();
    let facts = vec![NodeFacts::default(); paths.len()];
    let mut builder = Builder { tables: Tables::new(paths), functions, facts, words, ..Builder::empty(functions) };
    let mut shared = builder.shared_calls(read);
    builder.uses = uses_of(read);
    let reports: Vec<Report<'_>> = read.texts.iter().enumerate().map(|(at, text)| Report::new(text, at)).collect();
    for (rank, index) in order.iter().enumerate() {
        let (source, rule) = &read.rules[*index];
        builder.rule(rank as u32, *index as u32, rule, &reports[*source], &mut shared);
    }
    builder.finish(read, &order)
}

/// Conditions that no more rules than these have are always counted.
const USES_COUNTED: usize = 8;

fn uses_of(read: &Read) -> HashMap<String, usize> {
    let mut uses = HashMap::new();
    for (_, rule) in &read.rules {
        let keys = parts(&rule.when).into_iter().filter_map(|part| probe(part)?.key());
        keys.for_each(|key| *uses.entry(key).or_default() += 1);
    }
    uses
}

fn paths_of_rule(rule: &Rule, paths: &mut Paths) {
    let mut add = |steps: &[super::paths::Step]| paths.add(steps);
    paths_of(&rule.when, &mut add);
    for statement in &rule.then {
        match &statement.kind {
            StatementKind::Assign { target, value, .. } => {
                paths_of(target, &mut add);
                paths_of(value, &mut add);
            }
            StatementKind::Do(expr) => paths_of(expr, &mut add),
        }
    }
}

// === impl Builder ===

impl<'f> Builder<'f> {
    fn empty(functions: &'f Functions) -> Self {
        Builder {
            tables: Tables::new(Paths::new()),
            functions,
            tests: Vec::new(),
            test_ids: HashMap::new(),
            alphas: Vec::new(),
            alpha_of: HashMap::new(),
            cond_ids: HashMap::new(),
            cond_rules: Vec::new(),
            facts: Vec::new(),
            uses: HashMap::new(),
            words: true,
        }
    }

    /// Calls that occur in more than one place of all conditions, none having its memo yet.
    fn shared_calls(&mut self, read: &Read) -> HashMap<Vec<u8>, Option<u32>> {
        let mut counts: HashMap<Vec<u8>, u32> = HashMap::new();
        let mut emitter =
            Emitter { tables: &mut self.tables, functions: self.functions, shared: None, code: Vec::new() };
        for (_, rule) in &read.rules {
            for part in parts(&rule.when).into_iter().filter(|part| probe(part).is_none()) {
                count_calls(part, &mut emitter, &mut counts);
            }
        }
        counts.into_iter().filter(|(_, count)| *count > 1).map(|(code, _)| (code, None)).collect()
    }

    fn rule(
        &mut self,
        rank: u32,
        order: u32,
        rule: &Rule,
        report: &Report<'_>,
        shared: &mut HashMap<Vec<u8>, Option<u32>>,
    ) {
        let parts = parts(&rule.when);
        let probes: Vec<Option<Probe>> = parts.iter().map(|part| probe(part)).collect();
        let uses: Vec<Option<usize>> =
            probes.iter().map(|probe| self.uses.get(&probe.as_ref()?.key()?).copied()).collect();
        let fewest = uses.iter().flatten().min().copied();
        let mut conds = Vec::new();
        let (mut all, mut residual) = (Vec::new(), Vec::new());
        for ((part, probe), uses) in parts.iter().zip(probes).zip(uses) {
            // Counted is what few rules ask for; the rest is looked at when all of that is true. Ranges are counted
            // only where there is nothing sharper, for many of them are true at once.
            let probe = probe.filter(|_| match (fewest, uses) {
                (None, _) => true,
                (Some(fewest), Some(uses)) => uses <= (fewest * 2).max(USES_COUNTED),
                (Some(_), None) => false,
            });
            let test = self.test(part, probe.is_some(), report, shared);
            let place = report.place(part.span.start);
            all.extend([test, place.line as u32, place.column as u32]);
            match probe {
                Some(probe) => conds.push(self.cond(probe)),
                None => residual.push(test),
            }
        }
        conds.sort_unstable();
        conds.dedup();
        if conds.is_empty() {
            let gate = residual.iter().find_map(|test| reads(&self.tests[*test as usize].plain).1);
            conds.extend(gate.map(|node| self.presence(node)));
        }
        for cond in &conds {
            self.cond_rules[*cond as usize].push(rank);
        }
        residual.dedup();
        for test in &residual {
            let rules = &mut self.tests[*test as usize].residual_rules;
            if rules.last() != Some(&rank) {
                rules.push(rank);
            }
        }
        if conds.is_empty() {
            self.tables.writer.word(Section::Always, rank);
        }
        let then = self.then(rule, report);
        let mut record = [0; rule::WORDS];
        record[rule::NAME] = self.tables.text(&rule.name.text);
        record[rule::DESCRIPTION] = match &rule.description {
            Some(description) if self.words => self.tables.text(&description.text),
            _ => NONE,
        };
        record[rule::SALIENCE] = rule.salience as u32;
        record[rule::ORDER] = order;
        record[rule::NEEDED] = conds.len() as u32;
        record[rule::TESTS] = self.tables.pool(&residual);
        record[rule::TESTS_LEN] = residual.len() as u32;
        record[rule::ALL] = self.tables.pool(&all);
        record[rule::ALL_LEN] = parts.len() as u32;
        (record[rule::THEN], record[rule::THEN_LEN]) = then;
        let place = report.place(rule.name.span.start);
        record[rule::LINE] = place.line as u32;
        record[rule::COLUMN] = place.column as u32;
        self.tables.writer.words(Section::Rules, &record);
    }

    fn then(&mut self, rule: &Rule, report: &Report<'_>) -> (u32, u32) {
        let mut emitter =
            Emitter { tables: &mut self.tables, functions: self.functions, shared: None, code: Vec::new() };
        for statement in &rule.then {
            emitter.statement(statement, report);
        }
        let code = emitter.code;
        self.tables.code(&code)
    }

    fn test(
        &mut self,
        part: &Expr,
        indexed: bool,
        report: &Report<'_>,
        shared: &mut HashMap<Vec<u8>, Option<u32>>,
    ) -> u32 {
        let mut emitter =
            Emitter { tables: &mut self.tables, functions: self.functions, shared: None, code: Vec::new() };
        let plain = emitter.alone(part);
        if let Some(id) = self.test_ids.get(&plain) {
            let test = &mut self.tests[*id as usize];
            test.indexed &= indexed;
            return *id;
        }
        emitter.shared = Some(shared);
        let code = emitter.alone(part);
        let text = if self.words { self.tables.text(&one_line(report.text(part.span))) } else { self.tables.text("") };
        let id = self.tests.len() as u32;
        self.test_ids.insert(plain.clone(), id);
        self.tests.push(Test { code, plain, text, indexed, residual_rules: Vec::new() });
        id
    }

    fn alpha(&mut self, node: u32) -> u32 {
        let next = self.alphas.len() as u32;
        let id = *self.alpha_of.entry(node).or_insert(next);
        if id == next {
            self.alphas.push(Alpha::default());
            if let Some(facts) = self.facts.get_mut(node as usize) {
                facts.alpha = Some(id);
            }
        }
        id
    }

    fn new_cond(&mut self, key: (u32, Vec<u32>)) -> (u32, bool) {
        let next = self.cond_rules.len() as u32;
        let id = *self.cond_ids.entry(key).or_insert(next);
        if id == next {
            self.cond_rules.push(Vec::new());
        }
        (id, id == next)
    }

    fn cond(&mut self, probe: Probe) -> u32 {
        let node = self.tables.paths.find(&probe.steps);
        let alpha = self.alpha(node) as usize;
        match probe.wanted {
            Wanted::OneOf(values) => {
                let mut constants: Vec<u32> =
                    values.iter().map(|value| self.tables.constant(&canonical(value))).collect();
                constants.sort_unstable();
                constants.dedup();
                let (cond, new) = self.new_cond((node, [&[0], constants.as_slice()].concat()));
                if new {
                    for constant in constants {
                        let Alpha { equal, equal_at, .. } = &mut self.alphas[alpha];
                        let at = *equal_at.entry(constant).or_insert(equal.len());
                        if at == equal.len() {
                            equal.push((constant, Vec::new()));
                        }
                        equal[at].1.push(cond);
                    }
                }
                cond
            }
            Wanted::Side(op, value) => {
                let constant = self.tables.constant(&canonical(&value));
                let code = match op {
                    Op::Gt => 1,
                    Op::Gte => 2,
                    Op::Lt => 3,
                    _ => 4,
                };
                let (cond, new) = self.new_cond((node, vec![code, constant]));
                if new {
                    let alpha = &mut self.alphas[alpha];
                    let side = if code < 3 { &mut alpha.above } else { &mut alpha.below };
                    side.push((op, constant, cond));
                }
                cond
            }
        }
    }

    fn presence(&mut self, node: u32) -> u32 {
        let (cond, _) = self.new_cond((node, vec![5]));
        let alpha = self.alpha(node) as usize;
        self.alphas[alpha].present = Some(cond);
        cond
    }

    fn finish(mut self, read: &Read, order: &[usize]) -> Result<RuleSet<'static>, Error> {
        let Tables { paths, mut writer, texts, memo_reads, values, .. } = self.tables;
        for (memo, nodes) in memo_reads.iter().enumerate() {
            for node in nodes {
                if let Some(facts) = self.facts.get_mut(*node as usize) {
                    facts.readers.push((memo as u32) << 1 | 1);
                }
            }
        }
        for (id, test) in self.tests.iter().enumerate() {
            for node in reads(&test.plain).0 {
                if let Some(facts) = self.facts.get_mut(node as usize) {
                    let readers = if test.indexed { &mut facts.indexed_readers } else { &mut facts.readers };
                    readers.push((id as u32) << 1);
                }
            }
            let at = writer.len(Section::Code) as u32;
            writer.bytes(Section::Code, &test.code);
            let rules = (writer.len(Section::Pool) / 4) as u32;
            writer.words(Section::Pool, &test.residual_rules);
            let record = [at, test.code.len() as u32, test.text, rules, test.residual_rules.len() as u32];
            writer.words(Section::Tests, &record);
        }
        for rules in &self.cond_rules {
            let at = (writer.len(Section::Pool) / 4) as u32;
            writer.words(Section::Pool, rules);
            writer.words(Section::Conds, &[at, rules.len() as u32]);
        }
        write_alphas(&mut self.alphas, &values, &mut writer);
        paths.write(&self.facts, &mut writer, |writer, name| match texts.get(name) {
            Some(id) => *id,
            None => add_text(writer, name),
        });
        let names: Vec<&str> = order.iter().map(|index| read.rules[*index].1.name.text.as_str()).collect();
        let mut slots = vec![0; (names.len() * 2).next_power_of_two().max(2)];
        for (rank, name) in names.iter().enumerate() {
            insert(&mut slots, hash_of(&Value::text(*name)), rank as u32 + 1);
        }
        writer.words(Section::Names, &slots);
        for function in self.functions.list() {
            let name = add_text(&mut writer, &function.name);
            writer.word(Section::Meta, name);
        }
        writer.finish()
    }
}

/// Numbers that are equal become one constant.
fn canonical(value: &Value<'static>) -> Value<'static> {
    match value {
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 9.0e15 => Value::Int(*float as i64),
        other => other.clone(),
    }
}

/// Counts the calls in an expression, by their code.
fn count_calls(expr: &Expr, emitter: &mut Emitter<'_>, counts: &mut HashMap<Vec<u8>, u32>) {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Root(_) => {}
        ExprKind::Member(base, _) | ExprKind::Not(base) | ExprKind::Group(base) => count_calls(base, emitter, counts),
        ExprKind::Index(base, index) => {
            count_calls(base, emitter, counts);
            count_calls(index, emitter, counts);
        }
        ExprKind::Chain(first, rest) => {
            count_calls(first, emitter, counts);
            rest.iter().for_each(|(_, right)| count_calls(right, emitter, counts));
        }
        ExprKind::Call(_, arguments) => {
            arguments.iter().for_each(|argument| count_calls(argument, emitter, counts));
        }
        ExprKind::Method(base, _, arguments) => {
            *counts.entry(emitter.alone(expr)).or_default() += 1;
            count_calls(base, emitter, counts);
            arguments.iter().for_each(|argument| count_calls(argument, emitter, counts));
        }
    }
}

/// A piece of text without its line breaks.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(['\n', '\r', '\t']).map(str::trim).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}
