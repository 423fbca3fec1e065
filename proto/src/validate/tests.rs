use super::*;
use crate::Item;
use proptest::prelude::*;

fn usd(units: i64, nanos: i32) -> Option<Money> {
    Some(Money {
        currency_code: "USD".into(),
        units,
        nanos,
    })
}

fn item(quantity: i32, unit_price: Option<Money>) -> Item {
    Item {
        product_id: "OLJCESPC7Z".into(),
        quantity,
        unit_price,
    }
}

/// 2 × 1.75 + 3 × 0.999999999 + 4.5 = 10.999999997
fn order() -> Order {
    Order {
        order_id: "an-order".into(),
        items: vec![item(2, usd(1, 750_000_000)), item(3, usd(0, 999_999_999))],
        shipping_cost: usd(4, 500_000_000),
        total: usd(10, 999_999_997),
        ..Order::default()
    }
}

/// The refusal of the good order after one change.
fn refusal(change: impl FnOnce(&mut Order)) -> Refusal {
    let mut order = order();
    change(&mut order);
    validate(&order).expect_err("a changed order")
}

#[test]
fn a_good_order_gets_a_receipt_of_its_own_id_lines_and_cents() {
    let expected = Receipt {
        order_id: "an-order".into(),
        status: Status::Placed.into(),
        lines: 2,
        total_cents: 1_099,
    };
    assert_eq!(validate(&order()), Ok(expected));
}

#[test]
fn an_order_without_lines_or_with_too_many_is_refused() {
    assert_eq!(refusal(|o| o.items.clear()), Refusal::Empty);
    let fill = |lines: usize| {
        move |o: &mut Order| {
            o.items = vec![item(1, usd(1, 0)); lines];
            o.shipping_cost = usd(0, 0);
            o.total = usd(lines as i64, 0);
        }
    };
    assert_eq!(refusal(fill(MAX_LINES + 1)), Refusal::Lines(MAX_LINES + 1));
    let mut most = order();
    fill(MAX_LINES)(&mut most);
    assert_eq!(validate(&most).map(|r| r.lines), Ok(10_000));
}

#[test]
fn a_quantity_of_none_or_less_is_refused_with_its_line() {
    for quantity in [0, -1, i32::MIN] {
        let refusal = refusal(|o| o.items[1].quantity = quantity);
        assert_eq!(refusal, Refusal::Quantity { line: 2, quantity });
    }
}

#[test]
fn an_unknown_currency_is_refused_and_so_is_a_second_one() {
    fn code(money: &mut Option<Money>) -> &mut String {
        &mut money.as_mut().expect("an amount").currency_code
    }
    for (unknown, change) in [
        // ISO 4217's own code for tests: well formed, and still none that an order can be in.
        ("the total", "XTS"),
        ("the total", ""),
        ("the total", "usd"),
    ] {
        let refusal = refusal(|o| {
            *code(&mut o.total) = change.into();
        });
        assert_eq!(refusal.name(), "currency");
        let text = refusal.to_string();
        assert!(text.contains(unknown) && text.contains("USD EUR") && text.contains(change));
    }
    let line = refusal(|o| *code(&mut o.items[1].unit_price) = "EUR".into());
    assert_eq!(
        line.to_string(),
        "expected the unit price of line 2 in USD, the total's currency, got 'EUR'"
    );
    let shipping = refusal(|o| *code(&mut o.shipping_cost) = "EUR".into());
    assert_eq!(shipping.name(), "currency");
    let mut francs = order();
    for money in [&mut francs.shipping_cost, &mut francs.total] {
        *code(money) = "CHF".into();
    }
    for item in &mut francs.items {
        *code(&mut item.unit_price) = "CHF".into();
    }
    assert_eq!(validate(&francs).map(|r| r.total_cents), Ok(1_099));
}

#[test]
fn an_amount_that_is_missing_negative_or_beyond_its_nanos_is_refused() {
    let wrong = [
        None,
        usd(-1, 0),
        usd(1, -1),
        usd(1, 1_000_000_000),
        usd(i64::MIN, i32::MIN),
    ];
    for amount in wrong {
        let refusals = [
            refusal(|o| o.total = amount.clone()),
            refusal(|o| o.shipping_cost = amount.clone()),
            refusal(|o| o.items[0].unit_price = amount.clone()),
        ];
        for (refusal, name) in refusals.iter().zip(["total", "shipping", "line 1"]) {
            assert_eq!(refusal.name(), "money");
            assert!(refusal.to_string().contains(name), "{refusal}");
        }
    }
}

#[test]
fn a_total_that_is_one_nano_off_is_refused_with_the_right_one() {
    for nanos in [999_999_996, 999_999_998] {
        let refusal = refusal(|o| o.total = usd(10, nanos));
        assert_eq!(refusal.name(), "sum");
        let text = refusal.to_string();
        assert!(text.contains("a total of 10.999999997 USD"), "{text}");
        assert!(text.contains(&format!("got 10.{nanos} USD")), "{text}");
    }
    assert_eq!(refusal(|o| o.total = usd(11, 999_999_997)).name(), "sum");
    assert_eq!(refusal(|o| o.total = usd(9, 999_999_997)).name(), "sum");
}

#[test]
fn the_largest_amounts_are_refused_and_do_not_overflow() {
    let largest = refusal(|o| {
        o.items = vec![item(i32::MAX, usd(i64::MAX, 999_999_999)); MAX_LINES];
        o.total = usd(i64::MAX, 999_999_999);
    });
    assert_eq!(largest.name(), "sum");
    let cents = refusal(|o| {
        o.items = vec![item(1, usd(i64::MAX, 0))];
        o.shipping_cost = usd(0, 0);
        o.total = usd(i64::MAX, 0);
    });
    assert_eq!(cents.name(), "money");
    assert!(cents.to_string().contains("hundredths"), "{cents}");
}

#[test]
fn names_are_distinct_and_as_listed() {
    let refusals = [
        Refusal::Empty,
        Refusal::Lines(20_000),
        refusal(|o| o.items[0].quantity = 0),
        refusal(|o| o.total = None),
        refusal(|o| o.total.as_mut().expect("a total").currency_code.clear()),
        refusal(|o| o.total = usd(0, 0)),
    ];
    assert_eq!(refusals.map(|r| r.name()), Refusal::NAMES);
}

proptest! {
    #[test]
    fn exactly_the_sum_of_lines_and_shipping_is_accepted(
        lines in proptest::collection::vec((1..1_000_i32, 0..1_000_000_i64, 0..1_000_000_000_i32), 1..20),
        shipping in (0..1_000_i64, 0..1_000_000_000_i32),
        off in prop_oneof![Just(0_i128), -2_000_000_000..2_000_000_000_i128],
    ) {
        let nanos = |units: i64, nanos: i32| i128::from(units) * 1_000_000_000 + i128::from(nanos);
        let sum: i128 = lines.iter().map(|l| i128::from(l.0) * nanos(l.1, l.2)).sum::<i128>()
            + nanos(shipping.0, shipping.1);
        let total = sum + off;
        prop_assume!(total >= 0);
        let order = Order {
            items: lines.iter().map(|l| item(l.0, usd(l.1, l.2))).collect(),
            shipping_cost: usd(shipping.0, shipping.1),
            total: usd((total / 1_000_000_000) as i64, (total % 1_000_000_000) as i32),
            ..Order::default()
        };
        match validate(&order) {
            Ok(receipt) => {
                prop_assert_eq!(off, 0);
                prop_assert_eq!(i128::from(receipt.total_cents), sum / 10_000_000);
            }
            Err(refusal) => {
                prop_assert_ne!(off, 0);
                prop_assert_eq!(refusal.name(), "sum");
            }
        }
    }
}
