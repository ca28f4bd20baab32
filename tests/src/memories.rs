//! Tenants of many memories, for what searching them costs.

use batch_core::json::sha256_hex;
use serde_json::{Value, json};

use crate::World;
use crate::seam::dispatch;

/// Memories that are really made; the others are copies of their search rows.
pub const MADE: usize = 40;

const WORDS: usize = 200;

/// 200 words, about half of them different ones, as in English.
pub fn text(seed: usize) -> String {
    const COMMON: [&str; 16] =
        ["the", "of", "and", "to", "a", "in", "is", "it", "that", "for", "was", "on", "with", "as", "be", "at"];
    const SYLLABLES: [&str; 12] = ["ra", "ten", "lo", "mi", "ster", "co", "pa", "du", "val", "ke", "bor", "gel"];
    let word = |n: usize| {
        let hash = sha256_hex(format!("{seed}#{n}").as_bytes());
        let number = |at: usize| usize::from_str_radix(&hash[at..at + 4], 16).expect("hex digits");
        match number(0) % 5 {
            0 | 1 => COMMON[number(4) % 16].to_owned(),
            2 => [4, 8].map(|at| SYLLABLES[number(at) % 12]).concat(),
            _ => [4, 8, 12].map(|at| SYLLABLES[number(at) % 12]).concat(),
        }
    };
    (0..WORDS).map(word).collect::<Vec<_>>().join(" ")
}

async fn create(world: &World, contents: impl Iterator<Item = String>) {
    let operations: Vec<Value> =
        contents.map(|content| json!({ "type": "create", "data": { "content": content } })).collect();
    let answer = world.post_with("/api/v1/batch", &[], &json!({ "operations": operations })).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
}

/// A world whose tenant has so many memories of 200 words, more than [`MADE`], and one that speaks of Zanzibar.
pub async fn world_with(count: usize) -> World {
    let world = World::new().await;
    create(&world, (0..MADE).map(text)).await;
    let rows = world.items("SearchTable");
    for n in MADE..count - 1 {
        let mut copy = rows[n % MADE].clone();
        let id = format!("mem_{}", &sha256_hex(format!("{n}").as_bytes())[..32]);
        let shard = u8::from_str_radix(&sha256_hex(id.as_bytes())[..2], 16).expect("hex digits") % 8;
        copy["pk"]["S"] = json!(format!("T#t1#S#{shard}"));
        copy["sk"]["S"] = json!(id);
        let put = json!({ "TableName": "SearchTable", "Item": copy });
        dispatch(world.seam.database(), "PutItem", put).expect("it is written");
    }
    create(&world, std::iter::once("a trip to Zanzibar".to_owned())).await;
    world.seam.take_calls();
    world
}
