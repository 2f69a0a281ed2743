//! What can be called: the built-in functions, the methods, and those that the host offers.

use crate::value::KindOf;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Param {
    Text,
    /// Any number.
    Number,
    /// A number without fraction.
    Whole,
    Bool,
    Time,
    /// An array of texts.
    Texts,
    Any,
}

/// A function that rules can call by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub params: Vec<Param>,
    /// How many of `params` may be left out, from the last.
    pub optional: usize,
    /// None when it gives nothing, or something unknown before it is called.
    pub result: Option<KindOf>,
}

/// The host's functions. A call reaches [`crate::Host::call`] with the function's place in this list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Functions {
    list: Vec<Function>,
}

/// A function of the language itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Param],
    /// The last parameter may come any number of times.
    pub(crate) variadic: bool,
    pub(crate) result: Option<KindOf>,
}

/// A method of texts, arrays or objects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    /// What it is called on.
    pub(crate) of: &'static [KindOf],
    pub(crate) params: &'static [Param],
    pub(crate) variadic: bool,
    pub(crate) result: KindOf,
}

// === impl Functions ===

impl Functions {
    pub fn new() -> Self {
        Functions::default()
    }

    /// Adds a function; one of the same name as a built-in takes its place.
    #[must_use]
    pub fn with(mut self, name: &str, params: &[Param], result: Option<KindOf>) -> Self {
        self.list.push(Function { name: name.to_owned(), params: params.to_vec(), optional: 0, result });
        self
    }

    /// As [`Functions::with`], the last `optional` parameters being so.
    #[must_use]
    pub fn with_optional(mut self, name: &str, params: &[Param], optional: usize, result: Option<KindOf>) -> Self {
        self.list.push(Function { name: name.to_owned(), params: params.to_vec(), optional, result });
        self
    }

    pub fn of(list: Vec<Function>) -> Self {
        Functions { list }
    }

    /// What EventRunner's rules may call: `Drop`, `Route`, `Emit`, `Tag`, `SetExtension`, `DeadLetter`, in this order.
    pub fn eventrunner() -> Self {
        Functions::new()
            .with("Drop", &[Param::Text], None)
            .with("Route", &[Param::Text], None)
            .with("Emit", &[Param::Text, Param::Any], None)
            .with("Tag", &[Param::Text], None)
            .with("SetExtension", &[Param::Text, Param::Any], None)
            .with("DeadLetter", &[Param::Text], None)
    }

    pub fn list(&self) -> &[Function] {
        &self.list
    }

    pub(crate) fn find(&self, name: &str) -> Option<(usize, &Function)> {
        self.list.iter().enumerate().find(|(_, function)| function.name == name)
    }
}

const fn function(name: &'static str, params: &'static [Param], result: Option<KindOf>) -> Builtin {
    Builtin { name, params, variadic: false, result }
}

const fn math(name: &'static str) -> Builtin {
    function(name, &[Param::Number], Some(KindOf::Float))
}

const fn math2(name: &'static str) -> Builtin {
    function(name, &[Param::Number, Param::Number], Some(KindOf::Float))
}

const fn time_part(name: &'static str) -> Builtin {
    function(name, &[Param::Time], Some(KindOf::Int))
}

/// Calls name them by their place here, so new ones go to the end.
pub(crate) const BUILTINS: &[Builtin] = &[
    function("Complete", &[], None),
    function("Retract", &[Param::Text], None),
    function("Changed", &[Param::Text], None),
    function("Forget", &[Param::Text], None),
    function("Log", &[Param::Text], None),
    function("LogFormat", &[Param::Text, Param::Any], None),
    function("Now", &[], Some(KindOf::Time)),
    function("MakeTime", &[Param::Whole; 6], Some(KindOf::Time)),
    time_part("GetTimeYear"),
    time_part("GetTimeMonth"),
    time_part("GetTimeDay"),
    time_part("GetTimeHour"),
    time_part("GetTimeMinute"),
    time_part("GetTimeSecond"),
    function("IsTimeBefore", &[Param::Time, Param::Time], Some(KindOf::Bool)),
    function("IsTimeAfter", &[Param::Time, Param::Time], Some(KindOf::Bool)),
    function("TimeFormat", &[Param::Time, Param::Text], Some(KindOf::Text)),
    function("StringContains", &[Param::Text, Param::Text], Some(KindOf::Bool)),
    function("ContainsStr", &[Param::Texts, Param::Text], Some(KindOf::Bool)),
    function("IsNil", &[Param::Any], Some(KindOf::Bool)),
    function("IsZero", &[Param::Any], Some(KindOf::Bool)),
    Builtin { name: "Max", params: &[Param::Number], variadic: true, result: Some(KindOf::Float) },
    Builtin { name: "Min", params: &[Param::Number], variadic: true, result: Some(KindOf::Float) },
    math("Abs"),
    math("Acos"),
    math("Acosh"),
    math("Asin"),
    math("Asinh"),
    math("Atan"),
    math2("Atan2"),
    math("Atanh"),
    math("Cbrt"),
    math("Ceil"),
    math2("Copysign"),
    math("Cos"),
    math("Cosh"),
    math2("Dim"),
    math("Erf"),
    math("Erfc"),
    math("Erfcinv"),
    math("Erfinv"),
    math("Exp"),
    math("Exp2"),
    math("Expm1"),
    function("Float64bits", &[Param::Number], Some(KindOf::Int)),
    function("Float64frombits", &[Param::Whole], Some(KindOf::Float)),
    math("Floor"),
    math("Gamma"),
    math2("Hypot"),
    function("Ilogb", &[Param::Number], Some(KindOf::Int)),
    function("IsInf", &[Param::Number, Param::Whole], Some(KindOf::Bool)),
    function("IsNaN", &[Param::Number], Some(KindOf::Bool)),
    math("J0"),
    math("J1"),
    function("Jn", &[Param::Whole, Param::Number], Some(KindOf::Float)),
    function("Ldexp", &[Param::Number, Param::Whole], Some(KindOf::Float)),
    math("MathLog"),
    math("Log10"),
    math("Log1p"),
    math("Log2"),
    math("Logb"),
    math2("Mod"),
    function("NaN", &[], Some(KindOf::Float)),
    math2("Pow"),
    function("Pow10", &[Param::Whole], Some(KindOf::Float)),
    math2("Remainder"),
    math("Round"),
    math("RoundToEven"),
    function("Signbit", &[Param::Number], Some(KindOf::Bool)),
    math("Sin"),
    math("Sinh"),
    math("Sqrt"),
    math("Tan"),
    math("Tanh"),
    math("Trunc"),
];

pub(crate) fn builtin(name: &str) -> Option<(usize, &'static Builtin)> {
    BUILTINS.iter().enumerate().find(|(_, builtin)| builtin.name == name)
}

const fn method(name: &'static str, params: &'static [Param], result: KindOf) -> Method {
    Method { name, of: &[KindOf::Text], params, variadic: false, result }
}

const fn of_time(name: &'static str, params: &'static [Param], result: KindOf) -> Method {
    Method { name, of: &[KindOf::Time], params, variadic: false, result }
}

/// Calls name them by their place here, so new ones go to the end.
pub(crate) const METHODS: &[Method] = &[
    Method { name: "In", of: &[KindOf::Text], params: &[Param::Text], variadic: true, result: KindOf::Bool },
    method("Compare", &[Param::Text], KindOf::Int),
    method("Contains", &[Param::Text], KindOf::Bool),
    method("Count", &[Param::Text], KindOf::Int),
    method("HasPrefix", &[Param::Text], KindOf::Bool),
    method("HasSuffix", &[Param::Text], KindOf::Bool),
    method("Index", &[Param::Text], KindOf::Int),
    method("LastIndex", &[Param::Text], KindOf::Int),
    method("Repeat", &[Param::Number], KindOf::Text),
    method("Replace", &[Param::Text, Param::Text], KindOf::Text),
    method("Split", &[Param::Text], KindOf::Array),
    method("ToLower", &[], KindOf::Text),
    method("ToUpper", &[], KindOf::Text),
    method("Trim", &[], KindOf::Text),
    Method {
        name: "Len",
        of: &[KindOf::Text, KindOf::Array, KindOf::Object],
        params: &[],
        variadic: false,
        result: KindOf::Int,
    },
    method("MatchString", &[Param::Text], KindOf::Bool),
    Method { name: "Append", of: &[KindOf::Array], params: &[Param::Any], variadic: true, result: KindOf::Array },
    of_time("Year", &[], KindOf::Int),
    of_time("Month", &[], KindOf::Int),
    of_time("Day", &[], KindOf::Int),
    of_time("Hour", &[], KindOf::Int),
    of_time("Minute", &[], KindOf::Int),
    of_time("Second", &[], KindOf::Int),
    of_time("Nanosecond", &[], KindOf::Int),
    of_time("Weekday", &[], KindOf::Int),
    of_time("YearDay", &[], KindOf::Int),
    of_time("Unix", &[], KindOf::Int),
    of_time("UnixMilli", &[], KindOf::Int),
    of_time("Before", &[Param::Time], KindOf::Bool),
    of_time("After", &[Param::Time], KindOf::Bool),
    of_time("Equal", &[Param::Time], KindOf::Bool),
    of_time("IsZero", &[], KindOf::Bool),
    of_time("Format", &[Param::Text], KindOf::Text),
    of_time("String", &[], KindOf::Text),
];

pub(crate) const APPEND: &str = "Append";

pub(crate) fn method_named(name: &str) -> Option<(usize, &'static Method)> {
    METHODS.iter().enumerate().find(|(_, method)| method.name == name)
}
