//! The tree of a rule set. Left-associative chains are flat, so that a long condition is not a deep one.

/// Bytes of the text, from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// A name and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub name: Name,
    /// As written between the quotes, escapes and all.
    pub description: Option<Name>,
    pub salience: i32,
    pub when: Expr,
    pub then: Vec<Statement>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub kind: StatementKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub enum StatementKind {
    /// `target = value`, or with an operator `target += value`.
    Assign { target: Expr, op: Option<Op>, value: Expr },
    /// An expression for its effect.
    Do(Expr),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
    /// Levels of nesting, itself included.
    pub depth: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    Literal(Literal),
    /// A fact, or a name that an assignment made.
    Root(String),
    Member(Box<Expr>, Name),
    Index(Box<Expr>, Box<Expr>),
    Call(Name, Vec<Expr>),
    Method(Box<Expr>, Name, Vec<Expr>),
    Not(Box<Expr>),
    Group(Box<Expr>),
    /// Operators of one level, applied left to right.
    Chain(Box<Expr>, Vec<(Op, Expr)>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    Mul,
    Div,
    Mod,
    Add,
    Sub,
    BitAnd,
    BitOr,
    Gt,
    Lt,
    Gte,
    Lte,
    Eq,
    NotEq,
    And,
    Or,
}

// === impl Op ===

impl Op {
    pub fn text(self) -> &'static str {
        match self {
            Op::Mul => "*",
            Op::Div => "/",
            Op::Mod => "%",
            Op::Add => "+",
            Op::Sub => "-",
            Op::BitAnd => "&",
            Op::BitOr => "|",
            Op::Gt => ">",
            Op::Lt => "<",
            Op::Gte => ">=",
            Op::Lte => "<=",
            Op::Eq => "==",
            Op::NotEq => "!=",
            Op::And => "&&",
            Op::Or => "||",
        }
    }

    /// How tightly it binds; `&` and `|` bind like `+`, as in Grule.
    pub fn level(self) -> u8 {
        match self {
            Op::Mul | Op::Div | Op::Mod => 5,
            Op::Add | Op::Sub | Op::BitAnd | Op::BitOr => 4,
            Op::Gt | Op::Lt | Op::Gte | Op::Lte | Op::Eq | Op::NotEq => 3,
            Op::And => 2,
            Op::Or => 1,
        }
    }

    /// The operator that says the same of swapped sides.
    pub fn mirrored(self) -> Op {
        match self {
            Op::Gt => Op::Lt,
            Op::Lt => Op::Gt,
            Op::Gte => Op::Lte,
            Op::Lte => Op::Gte,
            other => other,
        }
    }
}

// === impl Expr ===

impl Expr {
    /// The expression inside its brackets.
    pub fn bare(&self) -> &Expr {
        let mut expr = self;
        while let ExprKind::Group(inner) = &expr.kind {
            expr = inner;
        }
        expr
    }

    /// A name with members and selectors only: what can be assigned to.
    pub fn is_place(&self) -> bool {
        let mut expr = self;
        loop {
            match &expr.kind {
                ExprKind::Root(_) => return true,
                ExprKind::Member(base, _) | ExprKind::Index(base, _) => expr = base,
                _ => return false,
            }
        }
    }
}
