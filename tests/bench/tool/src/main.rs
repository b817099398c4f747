//! What the benchmarks need beside `oms`. `tests/bench/peers --help` says what they measure.

mod data;
mod floor;
mod frames;
mod load;
mod serve;
mod store;

use std::env;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use data::Hashing;
use floor::{Done, Place};
use load::Load;
use store::Store;
use tokio::net::TcpListener;

const HELP: &str = "\
oms-bench serve ADDRESS:PORT ACCESS_KEY [hash]   an S3 store in memory; with `hash` it hashes all that it receives
oms-bench copy FROM TO IN_FLIGHT                 the floor: bucket FROM of the source into bucket TO of the target
oms-bench compare FROM TO                        lists both, and counts what differs
oms-bench fill SIDE BUCKET COUNT SIZE IN_FLIGHT  writes objects; SIDE is SRC or DST
oms-bench make SIDE BUCKET                       makes a bucket
oms-bench remove SIDE BUCKET                     removes a bucket
oms-bench load ADDRESS:PORT PATH RATE SECONDS    shows and starts of a task, with API_TOKEN and the body API_START

The stores are SRC_URL, SRC_AK, SRC_SK and DST_URL, DST_AK, DST_SK. Only addresses of this machine are served and loaded.
All but `serve` print one line of JSON.";

fn variable(name: &str) -> Done<String> {
    env::var(name).map_err(|_| format!("{name} is not set").into())
}

fn place(side: &str, bucket: &str) -> Done<Place> {
    let value = |what: &str| variable(&format!("{side}_{what}"));
    Place::new(&value("URL")?, &value("AK")?, &value("SK")?, bucket)
}

fn local(address: &str) -> Done<SocketAddr> {
    let address: SocketAddr = address.parse()?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("only addresses of this machine".into()),
    }
}

async fn run(arguments: &[&str]) -> Done<String> {
    match *arguments {
        ["serve", address, access_key, ref rest @ ..] => {
            let hashing = if rest == ["hash"] {
                Hashing::Everything
            } else {
                Hashing::Unknown
            };
            let listener = TcpListener::bind(local(address)?).await?;
            println!("http://{}", listener.local_addr()?);
            serve::serve(listener, Arc::new(Store::new(access_key, hashing))).await;
            Ok(String::new())
        }
        ["copy", from, to, in_flight] => {
            let (source, target) = (place("SRC", from)?, place("DST", to)?);
            let total = floor::copy(&source, &target, in_flight.parse()?).await?;
            Ok(format!(
                "{{\"objects\":{},\"bytes\":{}}}",
                total.objects, total.bytes
            ))
        }
        ["compare", from, to] => {
            let found = floor::compare(&place("SRC", from)?, &place("DST", to)?).await?;
            Ok(format!(
                "{{\"objects\":{},\"different\":{}}}",
                found.objects, found.different
            ))
        }
        ["fill", side, bucket, count, size, in_flight] => {
            floor::fill(
                &place(side, bucket)?,
                count.parse()?,
                size.parse()?,
                in_flight.parse()?,
            )
            .await?;
            Ok("{}".to_owned())
        }
        ["make", side, bucket] => place(side, bucket)?.make().await.map(|()| "{}".to_owned()),
        ["remove", side, bucket] => place(side, bucket)?.remove().await.map(|()| "{}".to_owned()),
        ["load", address, path, rate, seconds] => {
            let load = Load {
                host: local(address)?.to_string(),
                token: variable("API_TOKEN")?,
                path: path.to_owned(),
                start: variable("API_START")?,
                rate: rate.parse()?,
                seconds: seconds.parse()?,
            };
            if load.seconds > load::MOST.0 || load.rate == 0 || load.rate > load::MOST.1 {
                return Err("too much".into());
            }
            load::run(load).await
        }
        _ => Err(HELP.into()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments).await {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("oms-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
