//! What makes an order one that the service works on, and the receipt it then gets. Pure: the service refuses by it,
//! and the caller checks receipts by value with it.

use crate::{Money, Order, Receipt, Status};

/// Currencies that the service knows (ISO 4217).
pub const CURRENCIES: [&str; 12] = [
    "USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "PLN",
];

/// The most lines that an order may have.
pub const MAX_LINES: usize = 10_000;

const NANOS_PER_UNIT: i128 = 1_000_000_000;
const NANOS_PER_CENT: i128 = 10_000_000;

/// Why an order is refused. [`Refusal::name`] is the short name that counts are kept by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No lines at all.
    #[error("expected an order of at least one line, got none")]
    Empty,
    /// More lines than [`MAX_LINES`].
    #[error("expected an order of at most {MAX_LINES} lines, got {0}; send it as several orders")]
    Lines(usize),
    /// A line that orders nothing, or less.
    #[error("expected a quantity above 0 in line {line}, got {quantity}")]
    Quantity {
        /// The line, from 1.
        line: usize,
        /// What it asks for.
        quantity: i32,
    },
    /// An amount that is missing, negative or not in its normal form.
    #[error(
        "expected {amount} as units and nanos of 0 or more, nanos below 1,000,000,000, got {got}"
    )]
    Money {
        /// Which amount.
        amount: String,
        /// What came.
        got: String,
    },
    /// A currency that is unknown, or not the total's.
    #[error("expected {amount} in {expected}, got '{got}'")]
    Currency {
        /// Which amount.
        amount: String,
        /// What would do.
        expected: String,
        /// What came.
        got: String,
    },
    /// The total is not what lines and shipping come to.
    #[error(
        "expected a total of {expected}, the sum of quantity × price and shipping, got {got}; amounts are exact to the nano"
    )]
    Sum {
        /// Lines and shipping.
        expected: String,
        /// The order's own total.
        got: String,
    },
}

impl Refusal {
    /// Every name there is.
    pub const NAMES: [&'static str; 6] = ["empty", "lines", "quantity", "money", "currency", "sum"];

    /// The stable short name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Lines(_) => "lines",
            Self::Quantity { .. } => "quantity",
            Self::Money { .. } => "money",
            Self::Currency { .. } => "currency",
            Self::Sum { .. } => "sum",
        }
    }
}

/// Checks an order and makes out its receipt: one to 10,000 lines, every quantity above 0, a known currency and the
/// same one throughout, and lines × price + shipping = total, exactly. Cents in the receipt leave out what is below
/// a hundredth.
pub fn validate(order: &Order) -> Result<Receipt, Refusal> {
    match order.items.len() {
        0 => return Err(Refusal::Empty),
        lines if lines > MAX_LINES => return Err(Refusal::Lines(lines)),
        _ => {}
    }
    let total = amount(order.total.as_ref(), || "the total".into())?;
    let currency = total.currency_code.as_str();
    if !CURRENCIES.contains(&currency) {
        return Err(Refusal::Currency {
            amount: "the total".into(),
            expected: format!("one of {}", CURRENCIES.join(" ")),
            got: currency.into(),
        });
    }
    let shipping = amount(order.shipping_cost.as_ref(), || "the shipping cost".into())?;
    same_currency(currency, shipping, || "the shipping cost".into())?;
    // Units and nanos apart: 10,000 lines of the largest quantity and price still fit.
    let (mut units, mut nanos) = (i128::from(shipping.units), i128::from(shipping.nanos));
    for (index, item) in order.items.iter().enumerate() {
        if item.quantity <= 0 {
            return Err(Refusal::Quantity {
                line: index + 1,
                quantity: item.quantity,
            });
        }
        let name = || format!("the unit price of line {}", index + 1);
        let price = amount(item.unit_price.as_ref(), name)?;
        same_currency(currency, price, name)?;
        let quantity = i128::from(item.quantity);
        units += quantity * i128::from(price.units);
        nanos += quantity * i128::from(price.nanos);
    }
    units += nanos / NANOS_PER_UNIT;
    nanos %= NANOS_PER_UNIT;
    let got = (i128::from(total.units), i128::from(total.nanos));
    if (units, nanos) != got {
        let text = |(units, nanos): (i128, i128)| format!("{units}.{nanos:09} {currency}");
        return Err(Refusal::Sum {
            expected: text((units, nanos)),
            got: text(got),
        });
    }
    let cents = units * 100 + nanos / NANOS_PER_CENT;
    Ok(Receipt {
        order_id: order.order_id.clone(),
        status: Status::Placed.into(),
        lines: order.items.len() as i32,
        total_cents: i64::try_from(cents).map_err(|_| Refusal::Money {
            amount: "the total in hundredths in 64 bits, and the total".into(),
            got: format!("{units} units"),
        })?,
    })
}

fn amount(money: Option<&Money>, name: impl Fn() -> String) -> Result<&Money, Refusal> {
    match money {
        Some(m) if m.units >= 0 && (0..1_000_000_000).contains(&m.nanos) => Ok(m),
        Some(m) => Err(Refusal::Money {
            amount: name(),
            got: format!("units {} and nanos {}", m.units, m.nanos),
        }),
        None => Err(Refusal::Money {
            amount: name(),
            got: "nothing".into(),
        }),
    }
}

fn same_currency(expected: &str, money: &Money, name: impl Fn() -> String) -> Result<(), Refusal> {
    if money.currency_code == expected {
        return Ok(());
    }
    Err(Refusal::Currency {
        amount: name(),
        expected: format!("{expected}, the total's currency"),
        got: money.currency_code.clone(),
    })
}

#[cfg(test)]
mod tests;
