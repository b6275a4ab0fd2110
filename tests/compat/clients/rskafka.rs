//! rskafka against one node: produce and fetch with every codec, create, list and delete topics, delete records.
use rskafka::client::partition::{Compression, OffsetAt, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use std::collections::BTreeMap;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn holds(what: bool, why: &str) -> Outcome {
    if what { Ok(()) } else { Err(why.into()) }
}

async fn round_trip(client: &Client, name: &str, codec: Compression) -> Outcome {
    let topic = format!("rskafka-{name}");
    client.controller_client()?.create_topic(&topic, 1, 1, 5_000).await?;
    let part = client.partition_client(&topic, 0, UnknownTopicHandling::Retry).await?;
    let now = chrono::Utc::now();
    let records: Vec<Record> = (0..500)
        .map(|i| Record {
            key: Some(format!("k{i}").into_bytes()),
            value: Some(format!("v{i}").into_bytes()),
            headers: BTreeMap::from([("h".to_owned(), vec![i as u8])]),
            timestamp: chrono::DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap(),
        })
        .collect();
    part.produce(records.clone(), codec).await?;
    let mut got = Vec::new();
    while got.len() < 500 {
        let (more, high) = part.fetch_records(got.len() as i64, 1..1_000_000, 5_000).await?;
        holds(high == 500 && !more.is_empty(), "fetch_records")?;
        got.extend(more);
    }
    for (i, r) in got.iter().enumerate() {
        holds(r.offset == i as i64 && r.record == records[i], "a record differs")?;
    }
    holds(part.get_offset(OffsetAt::Latest).await? == 500, "the latest offset")?;
    part.delete_records(10, 5_000).await?;
    holds(part.get_offset(OffsetAt::Earliest).await? == 10, "the earliest offset")
}

async fn admin(client: &Client) -> Outcome {
    let has = |all: Vec<rskafka::topic::Topic>| all.iter().any(|t| t.name == "rskafka-adm" && t.partitions.len() == 2);
    client.controller_client()?.create_topic("rskafka-adm", 2, 1, 5_000).await?;
    holds(has(client.list_topics().await?), "the topic is not listed")?;
    client.controller_client()?.delete_topic("rskafka-adm", 5_000).await?;
    holds(!has(client.list_topics().await?), "the topic is still listed")
}

#[tokio::main]
async fn main() {
    let client = ClientBuilder::new(vec![std::env::args().nth(1).unwrap()]).build().await.unwrap();
    let mut failed = false;
    let mut check = |name: &str, r: Outcome| match r {
        Ok(()) => println!("ok {name}"),
        Err(e) => {
            failed = true;
            println!("FAILED {name}: {e}");
        }
    };
    for (name, codec) in [
        ("none", Compression::NoCompression),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ] {
        check(&format!("produce and fetch, {name}"), round_trip(&client, name, codec).await);
    }
    check("admin", admin(&client).await);
    std::process::exit(failed as i32);
}
