//! How the messages of a corpus are made: the shape of Online Boutique's orders, and string lengths that give the
//! encoded sizes which the tests of this module state. It knows nothing of operations and their ids.

use super::{Corpus, PayloadClass};
use crate::{Address, Blob, Item, Message, Money, Order, Status};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

/// A named algorithm with a fixed stream, so that a corpus stays what it is from release to release.
type Random = Xoshiro256PlusPlus;

/// Customers, and so keys of a stream or a queue.
const USERS: usize = 64;
/// Products in the catalogue that lines are drawn from.
const PRODUCTS: usize = 512;
/// Numbers in a blob of numbers.
const NUMBERS: usize = 1_000;
/// Between neighbours' starts in the shared pool of a text or byte class; prime, so that no two line up.
const STRIDE: usize = 61;

/// 2025-01-01T00:00:00Z. Orders are created in the thirty days from then on; no clock is read.
const CREATED_FROM_MS: i64 = 1_735_689_600_000;
const THIRTY_DAYS_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// Streets, then (city, state, country, zip) that belong together.
const STREETS: [&str; 8] = [
    "Harbour Street",
    "Station Road",
    "Mill Lane",
    "Market Square",
    "Church Street",
    "Orchard Avenue",
    "Bridge Street",
    "Park Row",
];
const PLACES: [(&str, &str, &str, &str); 8] = [
    ("Rotterdam", "ZH", "Netherlands", "3011"),
    ("Portland", "OR", "USA", "97201"),
    ("Leeds", "WYK", "United Kingdom", "LS1 4DY"),
    ("Toronto", "ON", "Canada", "M5H 2N2"),
    ("Hamburg", "HH", "Germany", "20095"),
    ("Lyon", "ARA", "France", "69002"),
    ("Brisbane", "QLD", "Australia", "4000"),
    ("Basel", "BS", "Switzerland", "4051"),
];
const CURRENCIES: [&str; 6] = ["USD", "EUR", "GBP", "CAD", "AUD", "CHF"];

pub(super) fn messages(class: PayloadClass, seed: u64, count: usize) -> Vec<Message> {
    let mut random = Random::seed_from_u64(seed);
    let blobs = |make: &mut dyn FnMut(usize) -> Blob| -> Vec<Message> {
        (0..count).map(|i| Message::Blob(make(i))).collect()
    };
    match class {
        PayloadClass::Empty => blobs(&mut |_| Blob::default()),
        PayloadClass::Order(lines) => orders(lines as usize, count, &mut random),
        PayloadClass::Text(length) => {
            let pool = text(pool_length(length), &mut random);
            blobs(&mut |i| Blob {
                payload: pool[window(i, length)].to_owned(),
                ..Blob::default()
            })
        }
        PayloadClass::Bytes(length) => {
            let mut pool = vec![0; pool_length(length)];
            random.fill_bytes(&mut pool);
            blobs(&mut |i| Blob {
                data: pool[window(i, length)].to_vec(),
                ..Blob::default()
            })
        }
        // The range whose zigzag form is one byte.
        PayloadClass::Ints => blobs(&mut |_| Blob {
            ints: numbers(|| random.random_range(-64..=63)),
            ..Blob::default()
        }),
        PayloadClass::Doubles => blobs(&mut |_| Blob {
            doubles: numbers(|| random.random_range(-1_000.0..1_000.0)),
            ..Blob::default()
        }),
        // Shown as `7.0`: the case where JSON is the smaller one.
        PayloadClass::WholeDoubles => blobs(&mut |_| Blob {
            doubles: numbers(|| f64::from(random.random_range(1..=9))),
            ..Blob::default()
        }),
    }
}

fn numbers<T>(mut draw: impl FnMut() -> T) -> Vec<T> {
    (0..NUMBERS).map(|_| draw()).collect()
}

/// A text or byte class is cut from one random pool at 1,024 places: as random as a fresh draw to whoever encodes or
/// compresses a single message, and made at the speed of memory.
fn pool_length(length: u32) -> usize {
    STRIDE * Corpus::SIZE + length as usize
}

fn window(i: usize, length: u32) -> std::ops::Range<usize> {
    i * STRIDE..i * STRIDE + length as usize
}

/// Random characters that neither JSON nor UTF-8 has to expand.
fn text(length: usize, random: &mut Random) -> String {
    draw(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
        length,
        random,
    )
}

fn draw(alphabet: &[u8], length: usize, random: &mut Random) -> String {
    (0..length)
        .map(|_| char::from(alphabet[random.random_range(0..alphabet.len())]))
        .collect()
}

/// A 128-bit number as UUID text, version 4.
fn uuid(random: &mut Random) -> String {
    let bits: u128 = random.random();
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let (a, b, c, d, e) = (
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    );
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// What stays with a customer from order to order.
struct User {
    id: String,
    email: String,
    address: Address,
}

fn user(random: &mut Random) -> User {
    let (city, state, country, zip) = PLACES[random.random_range(0..PLACES.len())];
    let street = STREETS[random.random_range(0..STREETS.len())];
    User {
        id: uuid(random),
        email: format!(
            "customer.{}@example.com",
            draw(b"0123456789abcdef", 8, random)
        ),
        address: Address {
            street: format!("{} {street}", random.random_range(10..=199)),
            city: city.into(),
            state: state.into(),
            country: country.into(),
            zip: zip.into(),
        },
    }
}

fn orders(lines: usize, count: usize, random: &mut Random) -> Vec<Message> {
    let users: Vec<User> = (0..USERS).map(|_| user(random)).collect();
    let products: Vec<String> = (0..PRODUCTS)
        .map(|_| draw(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 10, random))
        .collect();
    (0..count)
        .map(|_| {
            let user = &users[random.random_range(0..USERS)];
            Message::Order(order(lines, user, &products, random))
        })
        .collect()
}

fn order(lines: usize, user: &User, products: &[String], random: &mut Random) -> Order {
    let currency = CURRENCIES[random.random_range(0..CURRENCIES.len())];
    let mut total_cents = 0;
    let items = (0..lines)
        .map(|_| {
            // Two digits of cents and never none: nanos are then nine digits, and never the default.
            let cents = random.random_range(1..=250) * 100 + random.random_range(10..=99);
            let quantity = random.random_range(1..=9);
            total_cents += i64::from(quantity) * cents;
            Item {
                product_id: products[random.random_range(0..products.len())].clone(),
                quantity,
                unit_price: Some(money(currency, cents)),
            }
        })
        .collect();
    let mut shipping_cents = random.random_range(3..=30) * 100 + random.random_range(10..=98);
    if (total_cents + shipping_cents) % 100 == 0 {
        shipping_cents += 1; // a total in whole units would leave its nanos at their default
    }
    total_cents += shipping_cents;
    Order {
        order_id: uuid(random),
        user_id: user.id.clone(),
        email: user.email.clone(),
        address: Some(user.address.clone()),
        items,
        shipping_cost: Some(money(currency, shipping_cents)),
        total: Some(money(currency, total_cents)),
        status: Status::Placed.into(),
        created_at_ms: CREATED_FROM_MS + random.random_range(0..THIRTY_DAYS_MS),
    }
}

fn money(currency: &str, cents: i64) -> Money {
    Money {
        currency_code: currency.into(),
        units: cents / 100,
        nanos: (cents % 100) as i32 * 10_000_000,
    }
}
