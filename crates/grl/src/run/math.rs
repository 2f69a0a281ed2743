//! The mathematical functions, by Go's definitions of them.

use super::methods::whole_at;
use crate::value::Value;

/// None when there is no such function.
pub(super) fn call(name: &str, arguments: &[Value<'_>]) -> Option<Value<'static>> {
    let at = |index: usize| arguments.get(index).and_then(Value::as_f64).unwrap_or(0.0);
    let (x, y) = (at(0), at(1));
    let float = match name {
        "Max" => fold(arguments, |best, value| value > best),
        "Min" => fold(arguments, |best, value| value < best),
        "Abs" => x.abs(),
        "Acos" => x.acos(),
        "Acosh" => x.acosh(),
        "Asin" => x.asin(),
        "Asinh" => x.asinh(),
        "Atan" => x.atan(),
        "Atan2" => x.atan2(y),
        "Atanh" => x.atanh(),
        "Cbrt" => x.cbrt(),
        "Ceil" => x.ceil(),
        "Copysign" => x.copysign(y),
        "Cos" => x.cos(),
        "Cosh" => x.cosh(),
        "Dim" => {
            let difference = x - y;
            if difference <= 0.0 {
                0.0
            } else {
                difference
            }
        }
        "Erf" => libm::erf(x),
        "Erfc" => libm::erfc(x),
        "Erfcinv" => erfinv(1.0 - x),
        "Erfinv" => erfinv(x),
        "Exp" => x.exp(),
        "Exp2" => x.exp2(),
        "Expm1" => x.exp_m1(),
        "Float64frombits" => f64::from_bits(whole_at(arguments, 0) as u64),
        "Floor" => x.floor(),
        "Gamma" => gamma(x),
        "Hypot" => x.hypot(y),
        "J0" => libm::j0(x),
        "J1" => libm::j1(x),
        "Jn" => bessel(whole_at(arguments, 0), y),
        "Ldexp" => libm::ldexp(x, whole_at(arguments, 1).clamp(-10_000, 10_000) as i32),
        "MathLog" => x.ln(),
        "Log10" => x.log10(),
        "Log1p" => x.ln_1p(),
        "Log2" => x.log2(),
        "Logb" => logb(x),
        "Mod" => x % y,
        "NaN" => f64::NAN,
        "Pow" => x.powf(y),
        "Pow10" => pow10(whole_at(arguments, 0)),
        "Remainder" => libm::remainder(x, y),
        "Round" => x.round(),
        "RoundToEven" => x.round_ties_even(),
        "Sin" => x.sin(),
        "Sinh" => x.sinh(),
        "Sqrt" => x.sqrt(),
        "Tan" => x.tan(),
        "Tanh" => x.tanh(),
        "Trunc" => x.trunc(),
        "Float64bits" => {
            let bits = x.to_bits();
            return Some(i64::try_from(bits).map_or(Value::Uint(bits), Value::Int));
        }
        "Ilogb" => return Some(Value::Int(ilogb(x))),
        "IsInf" => {
            let sign = whole_at(arguments, 1);
            return Some(Value::Bool(sign >= 0 && x == f64::INFINITY || sign <= 0 && x == f64::NEG_INFINITY));
        }
        "IsNaN" => return Some(Value::Bool(x.is_nan())),
        "Signbit" => return Some(Value::Bool(x.is_sign_negative())),
        _ => return None,
    };
    Some(Value::Float(float))
}

/// The best of the arguments, the first of equals; 0 of none.
fn fold(arguments: &[Value<'_>], better: fn(f64, f64) -> bool) -> f64 {
    let mut values = arguments.iter().filter_map(Value::as_f64);
    let first = values.next().unwrap_or(0.0);
    values.fold(first, |best, value| if better(best, value) { value } else { best })
}

/// Of whole numbers exact; Go's is not a number at the negative ones.
fn gamma(x: f64) -> f64 {
    if x == f64::NEG_INFINITY || x < 0.0 && x.fract() == 0.0 {
        return f64::NAN;
    }
    libm::tgamma(x)
}

/// Orders beyond these are zero wherever they can be computed at all.
fn bessel(order: i64, x: f64) -> f64 {
    const ORDER_MAX: i64 = 100_000;
    if order.abs() > ORDER_MAX {
        return 0.0;
    }
    libm::jn(order as i32, x)
}

fn pow10(n: i64) -> f64 {
    match n {
        ..=-324 => 0.0,
        309.. => f64::INFINITY,
        // As the parser rounds it, which repeated multiplication would not.
        n => format!("1e{n}").parse().unwrap_or(f64::NAN),
    }
}

fn ilogb(x: f64) -> i64 {
    if x == 0.0 {
        return i64::from(i32::MIN);
    }
    if !x.is_finite() {
        return i64::from(i32::MAX);
    }
    i64::from(libm::ilogb(x))
}

fn logb(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if !x.is_finite() {
        return x * x;
    }
    f64::from(libm::ilogb(x))
}

/// The inverse of the error function: an estimate by Giles' series, then Newton's steps on it.
fn erfinv(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 1.0 {
        return f64::NAN;
    }
    if x.abs() == 1.0 {
        return x * f64::INFINITY;
    }
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let half = 2.0 / (std::f64::consts::PI * 0.147) + log / 2.0;
    let mut y = ((half * half - log / 0.147).sqrt() - half).max(0.0).sqrt().copysign(x);
    for _ in 0..4 {
        // Far from zero the difference to one says more than the value itself.
        let error = if x > 0.5 { (1.0 - x) - libm::erfc(y) } else { libm::erf(y) - x };
        let slope = 2.0 / std::f64::consts::PI.sqrt() * (-y * y).exp();
        if slope == 0.0 {
            break;
        }
        let step = error / slope;
        y -= step / (1.0 + y * step);
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, arguments: &[f64]) -> f64 {
        let arguments: Vec<Value> = arguments.iter().map(|value| Value::Float(*value)).collect();
        call(name, &arguments).unwrap().as_f64().unwrap()
    }

    #[test]
    fn inverses_come_back() {
        for x in [-0.999, -0.5, -1e-9, 0.0, 1e-300, 0.25, 0.5, 0.75, 0.9999999] {
            let y = value("Erfinv", &[x]);
            assert!((libm::erf(y) - x).abs() <= 1e-15 * x.abs().max(0.1), "{x} {y}");
        }
        assert_eq!(value("Erfinv", &[1.0]), f64::INFINITY);
        assert!(value("Erfinv", &[1.5]).is_nan());
    }

    #[test]
    fn corners_are_those_of_go() {
        assert_eq!(value("Max", &[]), 0.0);
        assert_eq!(value("Min", &[3.0, 2.0, 9.0]), 2.0);
        assert_eq!(value("Dim", &[2.0, 5.5]), 0.0);
        assert_eq!(value("Pow10", &[-2.0]), 0.01);
        assert_eq!(value("Pow10", &[400.0]), f64::INFINITY);
        assert_eq!(value("Gamma", &[5.0]), 24.0);
        assert!(value("Gamma", &[-2.0]).is_nan());
        assert_eq!(value("Ilogb", &[10.0]), 3.0);
        assert_eq!(value("Logb", &[0.0]), f64::NEG_INFINITY);
        assert_eq!(value("Mod", &[-7.0, 4.0]), -3.0);
        assert_eq!(value("Float64frombits", &[value("Float64bits", &[2.5])]), 2.5);
        assert_eq!(call("Nope", &[]), None);
    }
}
