//! Orders from text: which documents a file holds, and what is wrong with each. The fields are held against the contract's
//! own descriptor, the values against the checks by which the service refuses.

use super::{Problem, fields};
use bench_proto::{Corpus, Format, Message, Order, Refusal, validate};
use prost_reflect::{DescriptorPool, MessageDescriptor};
use serde::de::IgnoredAny;
use serde_json::Value;

/// Every order of a file, and every problem; an order with a problem is not among the orders.
pub(super) fn parse(text: &str) -> (Vec<Message>, Vec<Problem>) {
    let contract = contract();
    let (mut orders, mut problems) = (Vec::new(), Vec::new());
    for (line, document) in documents(text) {
        match order(line, document, &contract) {
            Ok(order) => orders.push(Message::Order(order)),
            Err(found) => problems.extend(found),
        }
    }
    (orders, problems)
}

fn contract() -> MessageDescriptor {
    DescriptorPool::decode(bench_proto::DESCRIPTORS)
        .ok()
        .and_then(|pool| pool.get_message_by_name("hopbench.v1.Order"))
        .expect("the contract describes its order")
}

/// The documents of a file, each with the line on which it begins: one a line, or a single one over several lines.
pub(super) fn documents(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim().is_empty())
        .collect();
    if let [(first, head), (_, next), ..] = lines[..] {
        let whole = serde_json::from_str::<IgnoredAny>(text).is_ok();
        // An object that ends on no line of its own, with a mistake somewhere: one document all the same.
        let cut = serde_json::from_str::<IgnoredAny>(head).is_err_and(|error| error.is_eof());
        if whole || cut && !next.trim_start().starts_with('{') {
            let start = text.len() - text.trim_start().len();
            return vec![(first, text[start..].trim_end())];
        }
    }
    lines
}

fn order(line: usize, text: &str, contract: &MessageDescriptor) -> Result<Order, Vec<Problem>> {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return Err(vec![no_json(line, &error)]),
    };
    if value.is_array() {
        let sentence =
            "expected one order a line, got a list; `jq -c '.[]'` writes each on a line of its own";
        return Err(vec![Problem::new(line, "", sentence)]);
    }
    let mut problems = Vec::new();
    fields::check(&value, contract, "", &mut |field, sentence| {
        problems.push(Problem::new(line, field, sentence));
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    // What the service itself would say to it.
    let order: Order = Format::Json
        .decode(text.as_bytes())
        .map_err(|error| vec![Problem::new(line, "", error.to_string())])?;
    if let Err(refusal) = validate(&order) {
        let problem = Problem::new(line, field_of(&refusal), refusal.to_string());
        return Err(vec![problem]);
    }
    fits(line, order)
}

/// What came instead of JSON, and where.
pub(super) fn no_json(line: usize, error: &serde_json::Error) -> Problem {
    let said = error.to_string();
    let cause = said.split(" at line ").next().unwrap_or_default();
    let sentence = format!(
        "expected a JSON object, got what is none at column {}: {cause}",
        error.column()
    );
    Problem::new(line + error.line().saturating_sub(1), "", sentence)
}

/// Refuses an order that no listener takes.
fn fits(line: usize, order: Order) -> Result<Order, Vec<Problem>> {
    let most = bench_transport::Settings::default().max_body;
    let message = Message::Order(order);
    let mut alone = Corpus::of(vec![message]).expect("one order");
    let length = alone.message(0, 0, 0).encode(Format::Json).len();
    if length > most {
        let sentence = format!(
            "expected an order of at most {most} bytes as JSON, which is what the service takes, got {length}"
        );
        return Err(vec![Problem::new(line, "", sentence)]);
    }
    match alone.messages() {
        [Message::Order(order)] => Ok(order.clone()),
        _ => unreachable!("one order went in"),
    }
}

/// The field that a refusal is about.
pub(super) fn field_of(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Empty | Refusal::Lines(_) => "items".into(),
        Refusal::Quantity { line, .. } => format!("items[{}].quantity", line.saturating_sub(1)),
        Refusal::Sum { .. } => "total".into(),
        Refusal::Money { amount, .. } | Refusal::Currency { amount, .. } => amount_of(amount),
    }
}

/// A refusal names an amount in words.
fn amount_of(words: &str) -> String {
    let line = words.strip_prefix("the unit price of line ");
    match line.and_then(|line| line.parse::<usize>().ok()) {
        Some(line) => format!("items[{}].unit_price", line.saturating_sub(1)),
        None if words.starts_with("the shipping cost") => "shipping_cost".into(),
        None => "total".into(),
    }
}
