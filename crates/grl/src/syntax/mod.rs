//! From text to a tree, with every error of the text at once.

pub mod ast;
mod diagnostic;
mod expression;
mod lexer;
mod literal;
mod parser;

pub use diagnostic::{Diagnostic, Place, Report, Severity};
pub use lexer::{lex, Comment, Kind, Lexed, Token};
pub use parser::parse;

pub(crate) use diagnostic::nearest;
pub(crate) use lexer::is_name;
