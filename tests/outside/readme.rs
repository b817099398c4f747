//! Runs the commands of the README in one shell, in their order.

use std::process::Stdio;
use std::time::Duration;

use oms::sandbox::{Fault, FaultRule, Operation, Sandbox};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::binary::Home;
use crate::support::rig::{SOURCE, Stores, TARGET, TIMEOUT};
use crate::support::service::{FAILED, PAUSED, PROJECT, fill};

const README: &str = include_str!("../../README.md");
/// Printed by the shell after each block.
const END: &str = "--- end of the block ---";

/// The `sh` blocks below a heading.
fn blocks(heading: &str) -> Vec<&'static str> {
    let section = README.split("\n## ").find(|section| section.starts_with(heading));
    let mut found = Vec::new();
    for block in section.unwrap().split("```sh\n").skip(1) {
        found.push(block.split("```").next().unwrap());
    }
    found
}

/// One shell for all blocks.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Shell {
    fn start() -> Self {
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let input = child.stdin.take().unwrap();
        Self { child, input, output }
    }

    /// Runs a block and returns what it prints.
    async fn run(&mut self, block: &str) -> String {
        let text = format!("{block}\necho '{END}'\n");
        self.input.write_all(text.as_bytes()).await.unwrap();
        let mut printed = String::new();
        loop {
            let line = timeout(TIMEOUT, self.output.next_line()).await;
            match line
                .unwrap_or_else(|_| panic!("{block} prints {printed} and does not end"))
                .unwrap()
            {
                Some(line) if line == END => return printed,
                Some(line) => printed = format!("{printed}{line}\n"),
                None => panic!("{block} ends the shell: {printed}"),
            }
        }
    }

    async fn end(self) {
        let Self { mut child, input, .. } = self;
        drop(input);
        assert!(child.wait().await.unwrap().success());
    }
}

/// The settings that a reader must fill in.
fn filled_in(serve: &str, token: &str, stores: &Stores) -> String {
    let node = |store: &Sandbox, bucket: &str| {
        let endpoint = store.endpoint();
        format!(r#"'"endpoint": "{endpoint}", "region": "lab", "bucket": "{bucket}"'"#)
    };
    let mut text = format!("TOKEN={token}\nAPI={serve}/v1/{PROJECT}/objectstorage\n");
    for (side, store, bucket) in [
        ("SOURCE", &stores.source, SOURCE),
        ("TARGET", &stores.target, TARGET),
    ] {
        text += &format!("{side}={}\n", node(store, bucket));
        text += &format!(
            "{side}_AK={} {side}_SK={}\n",
            store.access_key(),
            store.secret_key()
        );
    }
    text
}

#[tokio::test]
async fn the_commands_of_the_readme_copy_a_bucket() {
    let [settings, create, watch, stop, start, failures, list_and_delete] =
        blocks("Copy a bucket").try_into().unwrap();
    let stores = Stores::new().await;
    fill(&stores, 30);
    let plan = stores.target.faults();
    let refused = Fault::Status {
        status: 400,
        code: "InvalidArgument".to_owned(),
        retry_after: None,
    };
    plan.add(FaultRule::new(Operation::PutObject, refused).key("00003"));
    // This write hangs, so that the task is still running when it is stopped.
    let forever = Fault::Delay(Duration::from_secs(3600));
    plan.add(FaultRule::new(Operation::PutObject, forever).key("00029"));
    let home = Home::new();
    let mut serve = home.serve().await;
    let caller = serve.caller(&home.token());

    let mut shell = Shell::start();
    // These values are replaced. The rest of the block is used as it is.
    let names = ["TOKEN=", "API=", "SOURCE", "TARGET"];
    let kept: Vec<&str> = settings
        .lines()
        .filter(|line| !names.iter().any(|name| line.starts_with(name)))
        .collect();
    shell.run(&filled_in(&caller.base, &home.token(), &stores)).await;
    shell.run(&kept.join("\n")).await;

    shell.run(create).await;
    let task: i64 = shell.run("echo $TASK").await.trim().parse().unwrap();
    caller.wait_for_objects(task, 1).await;
    let shown = shell.run(watch).await;
    assert!(shown.contains("\"status\":2"), "{shown}");
    assert_eq!(shell.run(stop).await.trim(), "");
    caller
        .wait(task, "be paused", |task| task["status"] == PAUSED)
        .await;
    plan.clear();
    let refused = Fault::Status {
        status: 400,
        code: "InvalidArgument".to_owned(),
        retry_after: None,
    };
    plan.add(FaultRule::new(Operation::PutObject, refused).key("00003"));
    assert_eq!(shell.run(start).await.trim(), "");
    caller.wait(task, "fail", |task| task["status"] == FAILED).await;
    plan.clear();
    let listed = shell.run(failures).await;
    assert!(listed.contains("00003"), "{listed}");
    caller.wait_until_succeeded(task).await;
    stores.assert_same();
    let listed = shell.run(list_and_delete).await;
    assert!(listed.contains(&task.to_string()), "{listed}");
    let count = caller
        .call(reqwest::Method::GET, "/tasks/count", None)
        .await
        .fine();
    assert_eq!(count["taskcount"], 0);
    shell.end().await;
    assert!(serve.terminate().await.0.success());
}

/// The README must stay short.
#[test]
fn the_readme_is_short() {
    // The bars and rules of tables are not words.
    let is_word = |word: &&str| word.chars().any(char::is_alphanumeric);
    let words = README.split_whitespace().filter(is_word).count();
    assert!(words <= 1200, "the README has {words} words");
}
